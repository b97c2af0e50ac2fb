// TLS contexts: who is believed, what certificates and keys are taken. Faults TL02, TL11.

#include "exceptions.hpp"
#include "io_raw_tls.hpp"
#include "io_tls_fixture.hpp"

#include <stdlib.h>

#include <chrono>
#include <filesystem>
#include <fstream>
#include <stdexcept>
#include <string>
#include <system_error>
#include <utility>

using namespace std::chrono_literals;
using namespace copse_test;
namespace io = copse::io;
using io::certificate_errc;

namespace {

using IoTlsContext = tls_fixture;

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

}  // namespace
