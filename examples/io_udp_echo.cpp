// A UDP server that returns every datagram, and a client that asks again when no answer comes: nobody else would notice that
// one got lost.
//
//     io_udp_echo [endpoint]             serves until SIGINT or SIGTERM; 127.0.0.1:8004 unless given; port 0 picks a free one
//     io_udp_echo --ask endpoint text    sends the text, and prints the answer
//     io_udp_echo --self-test            asks itself once, and ends
#include <copse/io/datagram_server.hpp>
#include <copse/io/datagram_socket.hpp>
#include <copse/io/wait.hpp>

#include <array>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <exception>
#include <iostream>
#include <span>
#include <string>
#include <string_view>
#include <system_error>

#include <sys/signalfd.h>
#include <unistd.h>

namespace io = copse::io;
using namespace std::chrono_literals;

namespace {

// [echo]
// Runs in a fiber for each datagram. It may wait; the others are served meanwhile.
void echo(io::incoming_datagram& d) { d.reply(d.bytes()); }
// [/echo]

// [ask]
std::string ask(const io::endpoint& server, std::string_view question) {
    io::socket s = io::connect_datagram(server);  // from now on only its answers are received
    std::array<std::byte, 1500> answer;
    for (auto patience = 100ms;; patience *= 2) {
        s.send(question);
        try {
            const io::datagram d = s.recv_from_for(answer, patience);
            if (d.truncated) throw std::length_error("the answer has " + std::to_string(d.full_size) + " bytes");
            return {reinterpret_cast<const char*>(answer.data()), d.size};
        } catch (const io::timed_out&) {
            if (patience > 2s) throw;
        }
    }
}
// [/ask]

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

void serve(std::string_view where, bool self_test) {
    const int stop = signals_to_stop();
    io::datagram_server server(where, echo);
    server.start();
    std::cout << "listening on " << server.local_endpoint() << std::endl;
    if (self_test) {
        std::cout << "answer: " << ask(server.local_endpoint(), "many small trees") << '\n';
    } else {
        io::wait_readable(stop);
    }
    server.stop_for(1s);
    close(stop);
}

}  // namespace

int main(int argc, char** argv) {
    const std::string_view first = argc > 1 ? argv[1] : "127.0.0.1:8004";
    if ((first == "--ask" ? argc != 4 : argc > 2) || first == "--help") {
        std::cerr << "usage: io_udp_echo [endpoint | --ask endpoint text | --self-test]\n";
        return 2;
    }
    try {
        if (first == "--ask") {
            std::cout << ask(io::endpoint::parse(argv[2]), argv[3]) << '\n';
        } else {
            const bool self_test = first == "--self-test";
            serve(self_test ? "127.0.0.1:0" : first, self_test);
        }
        return 0;
    } catch (const std::exception& e) {
        std::cerr << "io_udp_echo: " << e.what() << '\n';
        return 1;
    }
}
