// A TCP server that answers each line with the same line in capitals. A stream has no lines: they are cut from whatever
// chunks arrive.
//
//     io_upper_server [endpoint]     serves until SIGINT or SIGTERM; 127.0.0.1:8002 unless given; port 0 picks a free one
//     io_upper_server --self-test    serves itself once, and ends
//
// Try it with `io_client 127.0.0.1:8002`.
#include <copse/fibers.hpp>
#include <copse/io/socket.hpp>
#include <copse/io/stream_server.hpp>
#include <copse/io/wait.hpp>

#include <algorithm>
#include <cctype>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <exception>
#include <iostream>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>

#include <sys/signalfd.h>
#include <unistd.h>

namespace io = copse::io;
using namespace std::chrono_literals;

namespace {

// [lines]
// Cuts what a connection sends into lines.
class line_reader {
public:
    explicit line_reader(io::socket& from) : from_(from) {}

    // The next line without its end; nothing at the end of the stream. What comes after the last line end is a line too.
    std::optional<std::string> next() {
        for (;;) {
            if (const auto end = rest_.find('\n'); end != std::string::npos) {
                std::string line = rest_.substr(0, end);
                rest_.erase(0, end + 1);
                return line;
            }
            if (rest_.size() > longest) throw std::length_error("a line is longer than 64 KiB");
            const auto chunk = from_.recv_pooled();
            if (!chunk) return rest_.empty() ? std::nullopt : std::optional(std::exchange(rest_, ""));
            rest_ += chunk.text();
        }
    }

private:
    static constexpr std::size_t longest = 64 * 1024;
    io::socket& from_;
    std::string rest_;
};
// [/lines]

std::string in_capitals(std::string text) {
    std::transform(text.begin(), text.end(), text.begin(),
                   [](unsigned char c) { return static_cast<char>(std::toupper(c)); });
    return text;
}

// Runs in a fiber for each connection.
void answer(io::socket& client) {
    line_reader lines(client);
    while (const auto line = lines.next()) client.send_all(in_capitals(*line) + '\n');
}

// SIGINT and SIGTERM become something that a fiber can wait for.
int signals_to_stop() {
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGINT);
    sigaddset(&signals, SIGTERM);
    sigprocmask(SIG_BLOCK, &signals, nullptr);
    const int fd = signalfd(-1, &signals, SFD_NONBLOCK | SFD_CLOEXEC);
    if (fd < 0) throw std::system_error(errno, std::generic_category(), "signalfd");
    return fd;
}

void test(const io::endpoint& server) {
    io::socket connection = io::connect(server);
    line_reader answers(connection);
    for (const std::string_view part : {"a line in tw", "o parts\ntwo lines\nin o", "ne part\n", "no end"}) {
        connection.send_all(part);
        copse::yield();
    }
    connection.shutdown(io::shut::write);
    while (const auto line = answers.next()) std::cout << *line << '\n';
}

void run(std::string_view argument) {
    const bool self_test = argument == "--self-test";
    const int stop = signals_to_stop();
    // [serve]
    io::stream_server server(self_test ? "127.0.0.1:0" : argument, answer);
    server.start();
    std::cout << "listening on " << server.local_endpoint() << std::endl;
    if (self_test) {
        test(server.local_endpoint());
    } else {
        io::wait_readable(stop);
    }
    server.stop_for(1s);  // no more connections; those that are open have a second to end, and are killed then
    // [/serve]
    close(stop);
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
