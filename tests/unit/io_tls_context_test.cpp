// TLS contexts: what is agreed on, what is refused. Faults TL10, TL13.

#include "exceptions.hpp"
#include "io_raw_tls.hpp"
#include "io_tls_fixture.hpp"

#include <copse/virtual_time.hpp>

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

using namespace std::chrono_literals;
using namespace copse_test;
namespace io = copse::io;
using io::certificate_errc;

namespace {

using IoTlsContext = tls_fixture;

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
    EXPECT_EQ(io::tls_context::client({.handshake_timeout = 0s}).handshake_timeout(), std::chrono::nanoseconds::max());
    const io::tls_trust ours{.ca_pem = common_authority().pem};
    EXPECT_EQ(what_is_thrown_by([&] { common_server_context({.client_trust = ours}); }),
              "tls_context: client_trust is given, but `clients` says that they are ignored");
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
