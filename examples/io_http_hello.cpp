// An HTTP server: a handler for each request, written as if it had the thread to itself.
//
//     io_http_hello [endpoint]     serves until SIGINT or SIGTERM; 127.0.0.1:8080 unless given; port 0 picks a free one
//     io_http_hello --self-test    serves itself once, and ends
//
// Try it with `curl -i http://127.0.0.1:8080/trees` and `curl -T file http://127.0.0.1:8080/count`.
#include <copse/io/http/server.hpp>
#include <copse/io/signal_listener.hpp>
#include <copse/io/socket.hpp>

#include <array>
#include <chrono>
#include <csignal>
#include <exception>
#include <iostream>
#include <span>
#include <string>
#include <string_view>

namespace io = copse::io;
namespace http = copse::io::http;
using namespace std::chrono_literals;

namespace {

// [hello]
// Reads the body as it comes: it may be larger than memory.
http::response count(http::exchange& x) {
    x.limit_body(std::uint64_t{1} << 40);
    std::uint64_t bytes = 0;
    std::array<std::byte, 4096> piece;
    while (const std::size_t n = x.read_body_some(piece)) bytes += n;
    return http::text(std::to_string(bytes) + " bytes\n");
}

http::response answer(http::exchange& x) {
    const http::request& asked = x.request();
    if (asked.path() == "/count") return count(x);
    if (asked.method != "GET" && asked.method != "HEAD") return http::text("only GET\n", 405);
    return http::text("Hello, " + std::string(asked.path().substr(1)) + "!\n");
}
// [/hello]

void test(const io::endpoint& server) {
    io::socket connection = io::connect(server);
    connection.send_all("GET /trees HTTP/1.1\r\nHost: localhost\r\n\r\n"
                        "PUT /count HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"
                        "5\r\nmany \r\n6\r\nsmall \r\n5\r\ntrees\r\n0\r\n\r\n"
                        "DELETE / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    while (const auto chunk = connection.recv_pooled()) std::cout << chunk.text();
}

void run(std::string_view argument) {
    const bool self_test = argument == "--self-test";
    io::signal_listener stop({SIGINT, SIGTERM});
    // [serve]
    http::server server(self_test ? "127.0.0.1:0" : argument, answer);
    server.start();
    std::cout << "listening on " << server.local_endpoint() << std::endl;
    if (self_test) {
        test(server.local_endpoint());
    } else {
        stop.wait();
    }
    server.stop_for(5s);  // idle connections are closed at once; requests that run have five seconds
    // [/serve]
}

}  // namespace

int main(int argc, char** argv) {
    if (argc > 2 || (argc == 2 && std::string_view(argv[1]) == "--help")) {
        std::cerr << "usage: io_http_hello [endpoint | --self-test]\n";
        return 2;
    }
    try {
        run(argc == 2 ? argv[1] : "127.0.0.1:8080");
        return 0;
    } catch (const std::exception& e) {
        std::cerr << "io_http_hello: " << e.what() << '\n';
        return 1;
    }
}
