// The HTTP client over TLS.

#include "io_http_script.hpp"
#include "io_tls_pair.hpp"

#include <copse/io/http/client.hpp>

#include <functional>
#include <string>
#include <string_view>
#include <utility>

#include <sys/socket.h>

using namespace copse_test;
namespace io = copse::io;
namespace http = copse::io::http;

namespace {

using IoHttpsClient = io_leak_check;

constexpr std::string_view answer = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

/// One connection, seen from the server.
struct secured_connection {
    io::tls_stream stream;
    int below;
    std::size_t number;  // 0 for the first
};

/// Shakes hands with whoever comes.
class https_script {
public:
    using play = std::function<void(secured_connection&)>;

    explicit https_script(play p)
        : below_([p = std::move(p), context = common_server_context()](scripted_connection& c) {
              const int below = c.socket.native_handle();
              secured_connection s{io::tls_stream::server(std::move(c.socket), context), below, c.number};
              p(s);
          }) {}

    std::string url() const {
        std::string made = "https://localhost" + below_.address().substr(below_.address().find(':'));
        return made + "/";
    }
    std::size_t connections() const { return below_.connections; }

private:
    script below_;
};

http::client_options trusting(const io::tls_context& context) {
    return {.connect = [](const http::url& to) { return io::connect("127.0.0.1:" + std::to_string(to.port())); },
            .secure = [context](io::any_stream plain, const std::string& host) -> io::any_stream {
                return io::tls_stream::client(std::move(plain), context, host);
            }};
}

// What waits in the socket of a kept connection may be a ticket, or the server's goodbye.
TEST_F(IoHttpsClient, Fault_HT17_AClosedConnectionIsNotReused) {
    copse::event answered;
    copse::event closed;
    https_script server([&](secured_connection& c) {
        recv_text(c.stream);
        c.stream.send_all(answer);
        if (c.number != 0) return;
        answered.wait();
        c.stream.close();
        closed.set();
    });
    http::client client(trusting(common_client_context()));
    EXPECT_EQ(client.get(server.url()).body, "ok");
    answered.set();
    closed.wait();
    EXPECT_EQ(client.post(server.url(), "x", "text/plain").body, "ok");
    EXPECT_EQ(client.stats().reused, 0U);
    EXPECT_EQ(server.connections(), 2U);
}

TEST_F(IoHttpsClient, KeepsItsConnection) {
    https_script server([](secured_connection& c) {
        while (!recv_text(c.stream).empty()) c.stream.send_all(answer);
    });
    http::client client(trusting(common_client_context()));
    for (int i = 0; i < 3; ++i) EXPECT_EQ(client.get(server.url()).body, "ok");
    EXPECT_EQ(client.stats().reused, 2U);
}

TEST_F(IoHttpsClient, ErrorsKeepTheirType) {
    https_script server([](secured_connection& c) {
        recv_text(c.stream);
        c.stream.send_all(std::string_view("HTTP/1.1 200 OK\r\n\r\nhalf"));
        ::shutdown(c.below, SHUT_WR);  // without a goodbye
        recv_text(c.stream);
    });
    http::client trustful(trusting(common_client_context()));
    const auto ask = [&] { trustful.get(server.url()); };
    EXPECT_THROW(ask(), io::stream_truncated);
    EXPECT_TRUE(text_of(ask).starts_with("GET " + server.url() + ": ")) << text_of(ask);
    http::client strict(trusting(io::tls_context::client({.trust{.ca_pem = self_signed().pem}})));
    try {
        strict.get(server.url());
        ADD_FAILURE();
    } catch (const io::tls_error& e) {
        EXPECT_EQ(e.code(), io::certificate_errc::issuer_unknown) << e.what();
        EXPECT_TRUE(std::string_view(e.what()).starts_with("GET " + server.url() + ": ")) << e.what();
    }
}

}  // namespace
