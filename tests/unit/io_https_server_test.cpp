// The HTTP server over streams whose TLS breaks.

#include "exceptions.hpp"
#include "io_http_server.hpp"
#include "io_tls_pair.hpp"

#include <copse/io/any_stream.hpp>
#include <copse/io/tls_error.hpp>
#include <copse/virtual_time.hpp>

#include <chrono>
#include <span>
#include <string>
#include <utility>

using namespace std::chrono_literals;
using namespace copse_test;
namespace io = copse::io;
namespace http = copse::io::http;

namespace {

/// What TLS says when a record is none, once the head has been read.
struct broken_tls {
    io::socket below;
    bool used = false;

    std::size_t recv(std::span<std::byte> into) {
        if (std::exchange(used, true)) throw io::tls_error(io::tls_errc::too_many_control_messages, "recv");
        return below.recv(into);
    }
    std::size_t recv_until(std::span<std::byte> into, copse::clock::time_point /*when*/) { return recv(into); }
    void send_all(std::span<const io::const_buffer> pieces) { below.send_all(pieces); }
    void send_all_until(std::span<const io::const_buffer> pieces, copse::clock::time_point /*when*/) {
        below.send_all(pieces);
    }
    void shutdown(io::shut how) { below.shutdown(how); }
    void close() { below.close(); }
    bool is_open() const noexcept { return below.is_open(); }
};

class HttpsServer : public HttpServer {};

TEST_F(HttpsServer, Fault_TL01_AClientThatBreaksTlsWithinItsBodyIsEverydayLife) {
    error_recorder told;
    serve([](http::exchange& x) { x.read_body(); },
          {.secure = [](io::socket s) { return io::any_stream(broken_tls{std::move(s)}); }});
    EXPECT_EQ(ask_and_wait("PUT / HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n"), "");
    EXPECT_EQ(told.count(), 0U);
    EXPECT_EQ(server_->stats().failures, 0U);
}

TEST_F(HttpsServer, Fault_NT24_AStopEndsHandshakes) {
    const auto own = common_server_context();
    const copse::virtual_time time;
    serve(mirror,
          {.secure = [own](io::socket s) -> io::any_stream { return io::tls_stream::server(std::move(s), own); }});
    io::socket silent = client();
    io::socket half = client();
    half.send_all("\x16\x03\x01");  // the begin of a record
    while (server_->stats().connections != 2) copse::yield();
    EXPECT_TRUE(server_->stop_for(1h));
    EXPECT_EQ(time.elapsed(), 0s) << "it did not wait for the end of their time";
    EXPECT_EQ(server_->stats().failed_handshakes, 0U);
    server_.reset();
}

}  // namespace
