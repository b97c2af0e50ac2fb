// A TCP server that answers each line with the same line in capitals. A stream has no lines: they are cut from whatever
// chunks arrive.
//
//     io_upper_server [endpoint]     serves until SIGINT or SIGTERM; 127.0.0.1:8002 unless given; port 0 picks a free one
//     io_upper_server --self-test    serves itself once, and ends
//
// Try it with `io_client 127.0.0.1:8002`.
#include <copse/fibers.hpp>
#include <copse/io/line_reader.hpp>
#include <copse/io/signal_listener.hpp>
#include <copse/io/socket.hpp>
#include <copse/io/stream_server.hpp>

#include <algorithm>
#include <cctype>
#include <chrono>
#include <csignal>
#include <exception>
#include <functional>
#include <iostream>
#include <string>
#include <string_view>

namespace io = copse::io;
using namespace std::chrono_literals;

namespace {

std::string in_capitals(std::string_view line) {
    std::string text(line);
    std::transform(text.begin(), text.end(), text.begin(),
                   [](unsigned char c) { return static_cast<char>(std::toupper(c)); });
    return text;
}

// [lines]
// Runs in a fiber for each connection.
void answer(io::socket& client) {
    for (const std::string_view line : io::line_reader(std::ref(client))) client.send_all(in_capitals(line) + '\n');
}
// [/lines]

void test(const io::endpoint& server) {
    io::socket connection = io::connect(server);
    io::line_reader answers(std::ref(connection));
    for (const std::string_view part : {"a line in tw", "o parts\ntwo lines\nin o", "ne part\n", "no end"}) {
        connection.send_all(part);
        copse::yield();
    }
    connection.shutdown(io::shut::write);
    while (const auto line = answers.next()) std::cout << *line << '\n';
}

void run(std::string_view argument) {
    const bool self_test = argument == "--self-test";
    io::signal_listener stop({SIGINT, SIGTERM});
    // [serve]
    io::stream_server server(self_test ? "127.0.0.1:0" : argument, answer);
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
        std::cerr << "usage: io_upper_server [endpoint | --self-test]\n";
        return 2;
    }
    try {
        run(argc == 2 ? argv[1] : "127.0.0.1:8002");
        return 0;
    } catch (const std::exception& e) {
        std::cerr << "io_upper_server: " << e.what() << '\n';
        return 1;
    }
}
