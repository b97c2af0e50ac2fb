// TLS contexts: who is believed, what is agreed on, what is refused. Faults TL02, TL10, TL11, TL13.

#include "exceptions.hpp"
#include "io_raw_tls.hpp"
#include "io_tls_pair.hpp"

#include <copse/virtual_time.hpp>

#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <optional>
#include <thread>
#include <vector>

using namespace std::chrono_literals;
using namespace copse_test;
namespace io = copse::io;
using io::certificate_errc;

namespace {

struct made_before {
    made_before() {
        common_server();
        make_tls_pair();
    }
};

class IoTlsContext : private made_before, public io_leak_check {};

/// What a client says of a server that shows `shown`.
std::error_code verdict(const made_certificate& shown, const std::string& host = "localhost",
                        io::tls_trust trust = {}) {
    if (trust.empty()) trust.ca_pem = common_authority().pem;
    auto ends = io::socketpair();
    auto serving = copse::spawn([&, s = std::move(ends.second)]() mutable {
        raw_peer server(std::move(s), raw_context(TLS_server_method()).use(shown), true);
        server.shake_hands();
        server.recv();
    });
    std::error_code said;
    try {
        auto stream = io::tls_stream::client(std::move(ends.first), io::tls_context::client({.trust = trust}), host);
        EXPECT_EQ(stream.peer_certificate()->pem, shown.pem.substr(0, shown.pem.find("-----END") + 26));
    } catch (const io::tls_error& e) {
        said = e.code();
    }
    serving.join();
    serving.exception();
    return said;
}

const std::error_code fine;

// ---- TL02: each with its twin that is right

TEST_F(IoTlsContext, Fault_TL02_ValidInTime) {
    const auto& roots = common_authority();
    EXPECT_EQ(verdict(issue(roots, {.until = 2h})), fine);
    EXPECT_EQ(verdict(issue(roots, {.from = -5h, .until = -1h})), certificate_errc::expired);
    EXPECT_EQ(verdict(issue(roots, {.from = 1h, .until = 5h})), certificate_errc::not_yet_valid);
}

TEST_F(IoTlsContext, Fault_TL02_SignedBySomebodyBelieved) {
    EXPECT_EQ(verdict(self_signed()), certificate_errc::self_signed);
    const auto own = self_signed();
    EXPECT_EQ(verdict(own, "localhost", {.ca_pem = own.pem}), fine);
    const auto strange = authority("strange roots");
    EXPECT_EQ(verdict(issue(strange)), certificate_errc::issuer_unknown);
    EXPECT_EQ(verdict(issue(strange), "localhost", {.ca_pem = strange.pem + common_authority().pem}), fine);
    EXPECT_EQ(verdict(issue(common_server(), {.common_name = "below"})), certificate_errc::invalid_authority)
        << "a server signs nothing";
}

TEST_F(IoTlsContext, Fault_TL02_TheChainMustBeComplete) {
    const auto between = authority("between", &common_authority());
    const auto leaf = issue(between);
    EXPECT_EQ(verdict(leaf), fine);
    made_certificate bare = leaf;
    bare.pem.resize(bare.pem.size() - between.pem.size());
    EXPECT_EQ(verdict(bare), certificate_errc::issuer_unknown);
    EXPECT_EQ(verdict(bare, "localhost", {.ca_pem = common_authority().pem + between.pem}), fine);
}

TEST_F(IoTlsContext, Fault_TL02_TheHostMustBeMeant) {
    const auto named = [](const std::string& names) { return issue(common_authority(), {.alternative_names = names}); };
    EXPECT_EQ(verdict(named("DNS:a.example"), "a.example"), fine);
    EXPECT_EQ(verdict(named("DNS:a.example"), "A.Example."), fine);
    EXPECT_EQ(verdict(named("DNS:a.example"), "b.example"), certificate_errc::wrong_host);
    EXPECT_EQ(verdict(named("DNS:*.b.example"), "a.b.example"), fine);
    EXPECT_EQ(verdict(named("DNS:*.b.example"), "b.example"), certificate_errc::wrong_host);
    EXPECT_EQ(verdict(named("DNS:*.b.example"), "a.a.b.example"), certificate_errc::wrong_host);
    EXPECT_EQ(verdict(named("DNS:*.example"), "a.example"), certificate_errc::wrong_host);
    EXPECT_EQ(verdict(named("DNS:f*.b.example"), "foo.b.example"), certificate_errc::wrong_host);
    EXPECT_EQ(verdict(named("DNS:a.*.example"), "a.b.example"), certificate_errc::wrong_host);
    EXPECT_EQ(verdict(named(""), "localhost"), certificate_errc::wrong_host) << "the common name does not count";
    const auto zero = issue(common_authority(), {.bytes_as_dns_name = std::string("a.example\0.evil.test", 20)});
    EXPECT_NE(verdict(zero, "a.example"), fine);
    const auto no_zero = issue(common_authority(), {.bytes_as_dns_name = "a.example"});
    EXPECT_EQ(verdict(no_zero, "a.example"), fine);
}

TEST_F(IoTlsContext, Fault_TL02_AnAddressIsNoName) {
    const auto named = [](const std::string& names) { return issue(common_authority(), {.alternative_names = names}); };
    EXPECT_EQ(verdict(named("IP:192.0.2.1"), "192.0.2.1"), fine);
    EXPECT_EQ(verdict(named("IP:192.0.2.2"), "192.0.2.1"), certificate_errc::wrong_address);
    EXPECT_EQ(verdict(named("DNS:192.0.2.1"), "192.0.2.1"), certificate_errc::wrong_address);
    EXPECT_EQ(verdict(named("IP:2001:db8::1"), "[2001:db8::1]"), fine);
    EXPECT_EQ(verdict(named("IP:2001:db8::2"), "2001:db8::1"), certificate_errc::wrong_address);
}

TEST_F(IoTlsContext, Fault_TL02_WeakKeysAndDigests) {
    const auto& roots = common_authority();
    EXPECT_EQ(verdict(issue(roots, {.rsa_bits = 2048})), fine);
    EXPECT_EQ(verdict(issue(roots, {.rsa_bits = 1024})), certificate_errc::key_too_small);
    // Only RSA signs with all of them.
    const auto rsa = self_signed({.common_name = "RSA", .constraints = "CA:TRUE", .rsa_bits = 2048});
    const io::tls_trust trust{.ca_pem = rsa.pem};
    EXPECT_EQ(verdict(issue(rsa, {.digest = "SHA384"}), "localhost", trust), fine);
    EXPECT_EQ(verdict(issue(rsa, {.digest = "SHA1"}), "localhost", trust), certificate_errc::digest_too_weak);
    EXPECT_EQ(verdict(issue(rsa, {.digest = "MD5"}), "localhost", trust), certificate_errc::digest_too_weak);
}

TEST_F(IoTlsContext, Fault_TL02_UsageAndConstraints) {
    const auto& roots = common_authority();
    EXPECT_EQ(verdict(issue(roots, {.usage = "serverAuth"})), fine);
    EXPECT_EQ(verdict(issue(roots, {.usage = "clientAuth"})), certificate_errc::wrong_purpose);
    const auto bound = authority("bound", &roots, "permitted;DNS:b.example");
    EXPECT_EQ(verdict(issue(bound, {.common_name = "a", .alternative_names = "DNS:a.b.example"}), "a.b.example"), fine);
    EXPECT_EQ(verdict(issue(bound, {.common_name = "a", .alternative_names = "DNS:a.example"}), "a.example"),
              certificate_errc::outside_name_constraints);
    const auto kept_out = authority("kept out", &roots, "excluded;DNS:a.example");
    EXPECT_EQ(verdict(issue(kept_out, {.common_name = "a", .alternative_names = "DNS:a.example"}), "a.example"),
              certificate_errc::excluded_by_name_constraints);
}

TEST_F(IoTlsContext, Fault_TL02_Revoked) {
    const auto& roots = common_authority();
    const auto good = issue(roots), bad = issue(roots);
    const io::tls_trust trust{.ca_pem = roots.pem, .crl_pem = revocation_list(roots, {&bad})};
    EXPECT_EQ(verdict(good, "localhost", trust), fine);
    EXPECT_EQ(verdict(bad, "localhost", trust), certificate_errc::revoked);
    EXPECT_EQ(verdict(bad), fine) << "nobody knew";
}

TEST_F(IoTlsContext, ARefusalSaysWhichCertificate) {
    const auto old = issue(common_authority(), {.common_name = "old.example", .from = -5h, .until = -1h});
    const std::string said = what_is_thrown_by(
        [&] { make_tls_pair(common_client_context(), common_server_context({.identity = old.identity()})); });
    EXPECT_EQ(said,
              "tls handshake with \"localhost\" (certificate 0 of its chain, CN=old.example): certificate has expired");
}

TEST_F(IoTlsContext, TheServerLearnsWhy) {
    const auto strange = issue(authority("strange roots"));
    auto [a, b] = io::socketpair();
    auto serving = copse::spawn([&, s = std::move(b)]() mutable {
        return what_is_thrown_by(
            [&] { io::tls_stream::server(std::move(s), common_server_context({.identity = strange.identity()})); });
    });
    EXPECT_THROW(io::tls_stream::client(std::move(a), common_client_context(), "localhost"), io::tls_error);
    EXPECT_EQ(serving.get(), "tls handshake: tlsv1 alert unknown ca");
}

TEST_F(IoTlsContext, WhoInsistsMayBeDeceived) {
    const auto strange =
        common_server_context({.identity = self_signed({.alternative_names = "DNS:a.example"}).identity()});
    EXPECT_TRUE(make_tls_pair(common_client_context({.dangerously_accept_any_certificate = true}), strange).client);
    EXPECT_THROW(make_tls_pair(common_client_context({.dangerously_accept_any_host = true}), strange), io::tls_error);
    const auto other = common_server_context(
        {.identity = issue(common_authority(), {.alternative_names = "DNS:a.example"}).identity()});
    EXPECT_THROW(make_tls_pair(common_client_context(), other), io::tls_error);
    EXPECT_TRUE(make_tls_pair(common_client_context({.dangerously_accept_any_host = true}), other).client);
}

// ---- TL10: sessions

/// A connection that carries something, so that its tickets arrive. Returns whether it was resumed.
bool resumed(const io::tls_context& client, const io::tls_context& server, const std::string& host = "localhost") {
    auto pair = make_tls_pair(client, server, host);
    pair.server.send_all("x");
    recv_text(pair.client);
    EXPECT_EQ(pair.client.session_reused(), pair.server.session_reused());
    EXPECT_TRUE(pair.client.peer_certificate()) << "also of one that was resumed";
    pair.client.close();
    return pair.server.session_reused();
}

TEST_F(IoTlsContext, Fault_TL10_SessionsAreResumed) {
    for (const auto version : {io::tls_version::v1_2, io::tls_version::v1_3}) {
        const auto client = common_client_context({.max_version = version});
        const auto server = common_server_context();
        EXPECT_FALSE(resumed(client, server));
        for (int i = 0; i < 4; ++i) EXPECT_TRUE(resumed(client, server)) << i;
        EXPECT_FALSE(resumed(client, server, "127.0.0.1")) << "of another host nothing is known";
        EXPECT_FALSE(resumed(client, common_server_context())) << "another server has other keys";
        EXPECT_FALSE(resumed(common_client_context({.max_version = version, .kept_sessions = 0}), server));
        const auto without = common_server_context({.session_tickets = false});
        EXPECT_FALSE(resumed(client, without));
        EXPECT_FALSE(resumed(client, without));
    }
}

TEST_F(IoTlsContext, Fault_TL10_TheKeysOfTicketsChange) {
    const auto client = common_client_context();
    const auto server = common_server_context({.ticket_lifetime = 1s});
    EXPECT_FALSE(resumed(client, server));
    EXPECT_TRUE(resumed(client, server));
    std::this_thread::sleep_for(2100ms);  // its clock is the kernel's
    EXPECT_FALSE(resumed(client, server));
}

TEST_F(IoTlsContext, Fault_TL10_NoEarlyData) {
    auto [a, b] = io::socketpair();
    auto serving = copse::spawn([s = std::move(b)]() mutable {
        auto stream = io::tls_stream::server(std::move(s), common_server_context());
        stream.send_all("x");
    });
    raw_peer client(std::move(a), raw_context(TLS_client_method()), false);
    ASSERT_TRUE(client.shake_hands());
    EXPECT_EQ(client.recv(), "x");
    EXPECT_EQ(SSL_SESSION_get_max_early_data(SSL_get_session(client.ssl())), 0U);
    serving.get();
}

// ---- TL10: ALPN

TEST_F(IoTlsContext, Fault_TL10_Alpn) {
    const auto speaks = [](std::vector<std::string> server, std::vector<std::string> client) {
        auto pair = make_tls_pair(common_client_context({.alpn = std::move(client)}),
                                  common_server_context({.alpn = std::move(server)}));
        EXPECT_EQ(pair.client.alpn_protocol(), pair.server.alpn_protocol());
        return pair.client.alpn_protocol();
    };
    EXPECT_EQ(speaks({"h2", "http/1.1"}, {"http/1.1", "h2"}), "h2") << "the server's order counts";
    EXPECT_EQ(speaks({"http/1.1"}, {"h2", "http/1.1"}), "http/1.1");
    EXPECT_EQ(speaks({}, {"h2"}), "");
    EXPECT_EQ(speaks({"h2"}, {}), "");
    EXPECT_EQ(what_is_thrown_by([&] { speaks({"h2"}, {"spdy"}); }),
              "tls handshake with \"localhost\": tlsv1 alert no application protocol");
    EXPECT_THROW(common_client_context({.alpn = {"h2", ""}}), std::invalid_argument);
    EXPECT_THROW(common_client_context({.alpn = {std::string(256, 'h')}}), std::invalid_argument);
    EXPECT_EQ(what_is_thrown_by([] { io::tls_context::client({.handshake_timeout = std::chrono::seconds(-1)}); }),
              "tls_context: `handshake_timeout` is negative");
}

// ---- TL10: SNI

TEST_F(IoTlsContext, Fault_TL10_TheNameChoosesTheServer) {
    copse::virtual_time time;
    const auto a = common_server_context(
        {.identity = issue(common_authority(), {.alternative_names = "DNS:a.example"}).identity(), .alpn = {"of a"}});
    const auto b =
        common_server_context({.identity = issue(common_authority(), {.alternative_names = "DNS:b.example"}).identity(),
                               .clients = io::client_certificates::required});
    std::vector<std::string> asked;
    const auto door = common_server_context({.choose = [&](std::string_view name) -> std::optional<io::tls_context> {
        asked.emplace_back(name);
        copse::sleep(1s);  // looks it up
        if (name == "a.example") return a;
        if (name == "b.example") return b;
        if (name.empty()) return common_server_context();
        return std::nullopt;
    }});
    const auto client = common_client_context({.alpn = {"of a", "other"}});
    auto pair = make_tls_pair(client, door, "a.example");
    EXPECT_EQ(pair.client.peer_certificate()->dns_names, std::vector<std::string>{"a.example"});
    EXPECT_EQ(pair.client.alpn_protocol(), "of a");
    EXPECT_EQ(pair.server.server_name(), "a.example");
    EXPECT_THROW(make_tls_pair(common_client_context({.max_version = io::tls_version::v1_2}), door, "b.example"),
                 io::tls_error)
        << "b wants to know who it is";
    EXPECT_EQ(make_tls_pair(common_client_context({.identity = common_server().identity()}), door, "b.example")
                  .server.peer_certificate()
                  ->subject,
              "CN=localhost");
    EXPECT_TRUE(make_tls_pair(client, door, "127.0.0.1").client);
    EXPECT_EQ(what_is_thrown_by([&] { make_tls_pair(client, door, "c.example"); }),
              "tls handshake with \"c.example\": tlsv1 unrecognized name");
    EXPECT_EQ(asked, (std::vector<std::string>{"a.example", "b.example", "b.example", "", "c.example"}));
    EXPECT_EQ(time.elapsed(), 5s);
}

TEST_F(IoTlsContext, Fault_TL10_ATicketOfOneNameOpensNoOther) {
    const auto open_server = common_server_context(
        {.identity = issue(common_authority(), {.alternative_names = "DNS:open.example"}).identity()});
    const auto closed_server = common_server_context(
        {.identity = issue(common_authority(), {.alternative_names = "DNS:closed.example"}).identity(),
         .clients = io::client_certificates::required});
    const auto door = common_server_context({.choose = [&](std::string_view name) -> std::optional<io::tls_context> {
        return name == "open.example" ? open_server : closed_server;
    }});
    raw_context clients(TLS_client_method());
    const auto connect = [&](const char* name, SSL_SESSION* with) {
        auto [a, b] = io::socketpair();
        auto serving = copse::spawn([&, s = std::move(b)]() mutable {
            return what_is_thrown_by([&] {
                auto stream = io::tls_stream::server(std::move(s), door);
                stream.send_all("in");
            });
        });
        raw_peer client(std::move(a), clients, false);
        client.ask_for(name);
        if (with != nullptr) SSL_set_session(client.ssl(), with);
        client.shake_hands();
        client.recv();
        client.socket().close();
        return std::pair(serving.get(), SSL_get1_session(client.ssl()));
    };
    const auto first = connect("open.example", nullptr);
    EXPECT_EQ(first.first, "nothing");
    const auto again = connect("open.example", first.second);
    EXPECT_EQ(again.first, "nothing");
    const auto crept = connect("closed.example", again.second);
    EXPECT_NE(crept.first, "nothing");
    for (SSL_SESSION* s : {first.second, again.second, crept.second}) SSL_SESSION_free(s);
}

TEST_F(IoTlsContext, AChooserThatThrowsOrTakesTooLong) {
    copse::virtual_time time;
    const auto ask = [](std::function<std::optional<io::tls_context>(std::string_view)> choose) {
        auto ends = io::socketpair();
        auto client = copse::spawn([s = std::move(ends.first)]() mutable {
            return what_is_thrown_by(
                [&] { io::tls_stream::client(std::move(s), common_client_context(), "localhost"); });
        });
        const std::string said = what_is_thrown_by([&] {
            io::tls_stream::server(std::move(ends.second), common_server_context({.choose = std::move(choose)}));
        });
        EXPECT_NE(client.get(), "nothing");
        return said;
    };
    EXPECT_EQ(
        ask([](std::string_view) -> std::optional<io::tls_context> { throw std::runtime_error("no such table"); }),
        "no such table");
    EXPECT_EQ(ask([](std::string_view) -> std::optional<io::tls_context> {
                  copse::sleep(1h);
                  return std::nullopt;
              }),
              "tls handshake, its time is over: Connection timed out");
    EXPECT_EQ(time.elapsed(), 10s);
    EXPECT_EQ(ask([](std::string_view) { return std::optional(common_client_context()); }),
              "tls_server_options::choose returned a context of a client");
}

// ---- TL10: certificates of clients

TEST_F(IoTlsContext, Fault_TL10_ClientCertificates) {
    const auto known = common_client_context({.identity = issue(common_authority(), {.common_name = "me"}).identity()});
    const auto stranger = common_client_context({.identity = self_signed({.common_name = "me"}).identity()});
    const auto nobody = common_client_context();
    const auto required = common_server_context({.clients = io::client_certificates::required});
    const auto optional = common_server_context({.clients = io::client_certificates::optional});
    EXPECT_EQ(make_tls_pair(known, required).server.peer_certificate()->subject, "CN=me");
    EXPECT_EQ(make_tls_pair(known, optional).server.peer_certificate()->subject, "CN=me");
    EXPECT_FALSE(make_tls_pair(nobody, optional).server.peer_certificate());
    EXPECT_FALSE(make_tls_pair(known, common_server_context()).server.peer_certificate());
    const auto refused = [](const io::tls_context& client, const io::tls_context& server) {
        auto [a, b] = io::socketpair();
        auto serving = copse::spawn([&, s = std::move(b)]() mutable {
            return what_is_thrown_by([&] { io::tls_stream::server(std::move(s), server); });
        });
        // Of TLS 1.3 a client has finished before it is judged.
        EXPECT_THROW(
            recv_text(*std::make_unique<io::tls_stream>(io::tls_stream::client(std::move(a), client, "localhost"))),
            io::tls_error);
        return serving.get();
    };
    EXPECT_EQ(refused(nobody, required), "tls handshake: peer did not return a certificate");
    EXPECT_EQ(refused(stranger, required),
              "tls handshake (certificate 0 of its chain, CN=me): self-signed certificate");
    EXPECT_EQ(refused(stranger, optional),
              "tls handshake (certificate 0 of its chain, CN=me): self-signed certificate");
}

// ---- TL11 and what options may say

class IoTlsFiles : public IoTlsContext {
protected:
    IoTlsFiles() {
        char name[] = "/tmp/copse-tls-XXXXXX";
        folder_ = ::mkdtemp(name);
    }
    ~IoTlsFiles() override { std::filesystem::remove_all(folder_); }

    std::string file(const std::string& name, const std::string& text) const {
        const std::string path = folder_ + '/' + name;
        std::ofstream(path) << text;
        return path;
    }

    std::string folder_;
};

TEST_F(IoTlsFiles, EverythingMayComeFromFiles) {
    const auto server = io::tls_context::server({.identity = {.certificate_file = file("own", common_server().pem),
                                                              .key_file = file("key", common_server().key)}});
    const auto client = io::tls_context::client({.trust = {.ca_file = file("roots", common_authority().pem)}});
    EXPECT_TRUE(make_tls_pair(client, server).client);
    const auto together = io::tls_context::server(
        {.identity = {.certificate_file = file("both", common_server().pem + common_server().key)}});
    EXPECT_TRUE(make_tls_pair(client, together).client);
    const auto locked = io::tls_context::server({.identity = {.certificate_pem = common_server().pem,
                                                              .key_pem = encrypted_key(common_server(), "sesame"),
                                                              .key_password = "sesame"}});
    EXPECT_TRUE(make_tls_pair(client, locked).client);
}

TEST_F(IoTlsFiles, Fault_TL11_AuthoritiesThatCannotBeReadAreNone) {
    const auto with = [](io::tls_trust trust) {
        return error_of([&] { io::tls_context::client({.trust = std::move(trust)}); });
    };
    EXPECT_EQ(with({.ca_file = folder_ + "/none"}), std::errc::no_such_file_or_directory);
    EXPECT_EQ(with({.ca_directory = folder_ + "/none"}), std::errc::no_such_file_or_directory);
    EXPECT_EQ(with({.ca_directory = file("f", "")}), std::errc::not_a_directory);
    EXPECT_EQ(with({.ca_file = folder_}), std::errc::is_a_directory);
    EXPECT_EQ(with({.crl_file = folder_ + "/none"}), std::errc::no_such_file_or_directory);
    const std::string empty = file("empty", "");
    EXPECT_THROW(io::tls_context::client({.trust = {.ca_file = empty}}), io::tls_error);
    EXPECT_THROW(io::tls_context::client({.trust = {.ca_pem = "trust me"}}), io::tls_error);
    EXPECT_THROW(io::tls_context::client({.trust = {.ca_pem = common_authority().key}}), io::tls_error);
    EXPECT_THROW(io::tls_context::client({.trust = {.crl_pem = common_authority().pem}}), io::tls_error);
    EXPECT_THROW(io::tls_context::client({.trust = {.ca_file = empty, .ca_pem = "x"}}), std::invalid_argument);
    EXPECT_EQ(what_is_thrown_by([&] { io::tls_context::client({.trust = {.ca_file = folder_ + "/none"}}); }),
              "tls_context: ca_file \"" + folder_ + "/none\": No such file or directory");
    // A directory without certificates, and a system without any: nobody is believed.
    EXPECT_EQ(verdict(common_server(), "localhost", {.ca_directory = folder_}), certificate_errc::issuer_unknown);
    ::setenv("SSL_CERT_FILE", "/nowhere", 1);
    ::setenv("SSL_CERT_DIR", "/nowhere", 1);
    EXPECT_EQ(verdict(common_server(), "localhost", {.and_system = true}), certificate_errc::issuer_unknown);
    ::setenv("SSL_CERT_FILE", file("roots", common_authority().pem).c_str(), 1);
    EXPECT_EQ(verdict(common_server(), "localhost", {.and_system = true}), fine);
    ::unsetenv("SSL_CERT_FILE");
    ::unsetenv("SSL_CERT_DIR");
}

TEST_F(IoTlsFiles, AnIdentityMustBeWhole) {
    const auto& own = common_server();
    const auto refused = [](io::tls_identity who) {
        return what_is_thrown_by([&] { io::tls_context::server({.identity = std::move(who)}); });
    };
    EXPECT_EQ(refused({}), "tls_context: a server needs a certificate");
    EXPECT_EQ(refused({.certificate_pem = own.pem, .key_pem = issue(common_authority()).key}),
              "tls_context: the private key of key_pem: key values mismatch");
    EXPECT_EQ(refused({.certificate_pem = "x", .key_pem = own.key}),
              "tls_context: no certificate in certificate_pem: no start line");
    EXPECT_EQ(refused({.certificate_pem = own.pem})
                  .find("tls_context: no private key that can be read in "
                        "certificate_pem, and neither key_file nor key_pem is given"),
              0U);
    EXPECT_NE(refused({.certificate_pem = own.pem, .key_pem = encrypted_key(own, "sesame")}), "nothing");
    EXPECT_NE(refused({.certificate_pem = own.pem, .key_pem = encrypted_key(own, "sesame"), .key_password = "please"}),
              "nothing");
    EXPECT_NE(refused({.certificate_pem = own.pem + own.pem.substr(0, own.pem.size() / 2), .key_pem = own.key}),
              "nothing");
    EXPECT_EQ(refused({.certificate_file = "a", .certificate_pem = "b"}),
              "tls_context: certificate_file and certificate_pem are both given");
    EXPECT_THROW(common_client_context({.identity = {.key_pem = own.key}}), std::invalid_argument);
    EXPECT_THROW(common_client_context({.min_version = io::tls_version::v1_3, .max_version = io::tls_version::v1_2}),
                 std::invalid_argument);
    EXPECT_THROW(io::tls_context::server({.identity = own.identity(), .clients = io::client_certificates::required}),
                 std::invalid_argument);
    EXPECT_THROW(common_server_context({.ticket_lifetime = 0s}), std::invalid_argument);
}

// ---- TL13

TEST_F(IoTlsContext, Fault_TL13_NothingOldIsSpoken) {
    const auto accepts = [](void (*set)(SSL*)) {
        auto [a, b] = io::socketpair();
        auto serving = copse::spawn([s = std::move(b)]() mutable {
            return what_is_thrown_by([&] { io::tls_stream::server(std::move(s), common_server_context()); });
        });
        raw_context with(TLS_client_method());
        SSL_CTX_set_security_level(with.get(), 0);
        raw_peer client(std::move(a), with, false);
        set(client.ssl());
        if (client.shake_hands()) client.recv();
        client.socket().close();
        return serving.get() == "nothing";
    };
    EXPECT_TRUE(accepts([](SSL*) {}));
    EXPECT_TRUE(accepts([](SSL* s) { SSL_set_max_proto_version(s, TLS1_2_VERSION); }));
    EXPECT_FALSE(accepts([](SSL* s) {
        SSL_set_min_proto_version(s, TLS1_VERSION);
        SSL_set_max_proto_version(s, TLS1_1_VERSION);
    }));
    for (const auto set : {+[](SSL* s) { SSL_set_cipher_list(s, "AES128-GCM-SHA256:@SECLEVEL=0"); },
                           +[](SSL* s) { SSL_set_cipher_list(s, "ECDHE-ECDSA-AES128-SHA:@SECLEVEL=0"); },
                           +[](SSL* s) { SSL_set_cipher_list(s, "NULL:@SECLEVEL=0"); }}) {
        static void (*weaken)(SSL*);
        weaken = set;
        EXPECT_FALSE(accepts([](SSL* s) {
            SSL_set_max_proto_version(s, TLS1_2_VERSION);
            weaken(s);
        }));
    }
}

TEST_F(IoTlsContext, VersionsMayBeNarrowed) {
    const auto only_1_3 = common_server_context({.min_version = io::tls_version::v1_3});
    EXPECT_EQ(make_tls_pair(common_client_context(), only_1_3).client.version(), io::tls_version::v1_3);
    EXPECT_THROW(make_tls_pair(common_client_context({.max_version = io::tls_version::v1_2}), only_1_3), io::tls_error);
}

TEST_F(IoTlsContext, OneContextServesSeveralThreads) {
    const auto client = common_client_context();
    const auto server = common_server_context();
    const auto talk = [&] {
        for (int i = 0; i < 20; ++i) resumed(client, server);
    };
    std::thread other(talk);
    talk();
    other.join();
}

TEST_F(IoTlsContext, ErrorsHaveCategories) {
    EXPECT_EQ(std::error_code(certificate_errc::expired).message(), "certificate has expired");
    EXPECT_STREQ(io::certificate_category().name(), "copse.io.certificate");
    EXPECT_EQ(std::error_code(io::tls_errc::stream_truncated), std::errc::connection_aborted);
    EXPECT_NE(std::error_code(io::tls_errc::sending_cut_off), std::errc::connection_aborted);
    EXPECT_EQ(io::tls_category().message(99), "unknown TLS error");
    EXPECT_EQ(io::openssl_category().message(0x7fffffff), "OpenSSL error 2147483647");
}

}  // namespace
