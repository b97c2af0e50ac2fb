// A TCP server that returns every byte: a fiber for each connection, each written as if it had the thread to itself.
//
//     io_echo_server [endpoint]     serves until SIGINT or SIGTERM; 127.0.0.1:8001 unless given; port 0 picks a free one
//     io_echo_server --self-test    serves itself once, and ends
//
// Try it with `nc 127.0.0.1 8001`.
#include <copse/io/signal_listener.hpp>
#include <copse/io/socket.hpp>
#include <copse/io/stream_server.hpp>

#include <array>
#include <chrono>
#include <csignal>
#include <exception>
#include <iostream>
#include <span>
#include <string_view>

namespace io = copse::io;
using namespace std::chrono_literals;

namespace {

// [echo]
// Runs in a fiber for each connection. Whatever waits here, recv or send, lets the other fibers run.
void echo(io::socket& client) {
    while (const auto chunk = client.recv_pooled()) client.send_all(chunk.bytes());
}
// [/echo]

void test(const io::endpoint& server) {
    constexpr std::string_view sent = "many small trees";
    io::socket connection = io::connect(server);
    connection.send_all(sent);
    std::array<char, sent.size()> returned{};
    connection.recv_exactly(std::as_writable_bytes(std::span(returned)));
    std::cout << "sent:     " << sent << "\nreturned: " << std::string_view(returned.data(), returned.size()) << '\n';
}

void run(std::string_view argument) {
    const bool self_test = argument == "--self-test";
    io::signal_listener stop({SIGINT, SIGTERM});
    // [serve]
    io::stream_server server(self_test ? "127.0.0.1:0" : argument, echo);
    server.start();
    std::cout << "listening on " << server.local_endpoint() << std::endl;
    if (self_test) {
        test(server.local_endpoint());
    } else {
        stop.wait();
    }
    server.stop_for(1s);  // no more connections; those that are open have a second to end, and are killed then
    // [/serve]
}

}  // namespace

int main(int argc, char** argv) {
    if (argc > 2 || (argc == 2 && std::string_view(argv[1]) == "--help")) {
        std::cerr << "usage: io_echo_server [endpoint | --self-test]\n";
        return 2;
    }
    try {
        run(argc == 2 ? argv[1] : "127.0.0.1:8001");
        return 0;
    } catch (const std::exception& e) {
        std::cerr << "io_echo_server: " << e.what() << '\n';
        return 1;
    }
}
