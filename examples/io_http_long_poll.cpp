// Long polling: a request that is answered when there is something to say. Each one that waits is a parked fiber.
//
//     io_http_long_poll [endpoint]     serves until SIGINT or SIGTERM; 127.0.0.1:8081 unless given; port 0 picks a free one
//     io_http_long_poll --self-test    serves itself once, and ends
//
// Try it with `curl http://127.0.0.1:8081/wait` in one terminal, and `curl -d 'good news' http://127.0.0.1:8081/say` in
// another. `curl -N http://127.0.0.1:8081/stream` keeps listening.
#include <copse/fibers.hpp>
#include <copse/io/http/server.hpp>
#include <copse/io/signal_listener.hpp>
#include <copse/io/socket.hpp>

#include <chrono>
#include <csignal>
#include <exception>
#include <iostream>
#include <string>
#include <string_view>
#include <vector>

namespace io = copse::io;
namespace http = copse::io::http;
using namespace std::chrono_literals;

namespace {

// [news]
// What was said so far, and those who wait for more. Fibers of one thread share it: it needs no lock.
class news {
public:
    void say(std::string text) {
        all_.push_back(std::move(text));
        told_.set();    // readies all who wait …
        told_.clear();  // … and only them
    }

    // The next after the first `known`; empty if there is none for too long.
    std::string next(std::size_t known, std::chrono::seconds longest) {
        if (known == all_.size()) told_.wait_for(longest);
        return known < all_.size() ? all_[known] : std::string();
    }

    std::size_t size() const { return all_.size(); }

private:
    std::vector<std::string> all_;
    copse::event told_;
};

void answer(http::exchange& x, news& board) {
    if (x.request().path() == "/say") {
        board.say(x.read_body());
        x.respond({.status = 204});
    } else if (x.request().path() == "/wait") {
        const std::string text = board.next(board.size(), 30s);
        x.respond(text.empty() ? http::response{.status = 204} : http::text(text + "\n"));
    } else if (x.request().path() == "/stream") {
        x.start(http::text(""));
        x.flush();
        for (std::size_t known = board.size();;) {
            const std::string text = board.next(known, 30s);
            if (text == "bye") break;
            x.write(text + "\n");  // an empty line now and then tells whether the client is still there
            if (!text.empty()) ++known;
        }
    } else {
        x.respond(http::text("there are /say, /wait and /stream\n", 404));
    }
}
// [/news]

// Sends a request, and returns what comes back up to the end of the connection, without the head.
std::string ask(const io::endpoint& server, const std::string& target, std::string_view body = {}) {
    io::socket connection = io::connect(server);
    connection.send_all("POST " + target + " HTTP/1.0\r\nContent-Length: " + std::to_string(body.size()) + "\r\n\r\n" +
                        std::string(body));
    std::string all;
    while (const auto chunk = connection.recv_pooled()) all += chunk.text();
    return all.substr(all.find("\r\n\r\n") + 4);
}

void test(const http::server& server) {
    const io::endpoint at = server.local_endpoint();
    auto first = copse::spawn([&] { return ask(at, "/wait"); });
    auto second = copse::spawn([&] { return ask(at, "/wait"); });
    auto stream = copse::spawn([&] { return ask(at, "/stream"); });
    while (server.stats().requests < 3) copse::yield();  // all three have asked
    ask(at, "/say", "many small trees");
    std::cout << "first:  " << first.get() << "second: " << second.get();
    ask(at, "/say", "growing close together");
    ask(at, "/say", "bye");
    std::cout << "stream: " << stream.get();
}

void run(std::string_view argument) {
    const bool self_test = argument == "--self-test";
    io::signal_listener stop({SIGINT, SIGTERM});
    news board;
    http::server server(self_test ? "127.0.0.1:0" : argument, [&](http::exchange& x) { answer(x, board); });
    server.start();
    std::cout << "listening on " << server.local_endpoint() << std::endl;
    if (self_test) {
        test(server);
    } else {
        stop.wait();
    }
    server.stop_for(1s);
}

}  // namespace

int main(int argc, char** argv) {
    if (argc > 2 || (argc == 2 && std::string_view(argv[1]) == "--help")) {
        std::cerr << "usage: io_http_long_poll [endpoint | --self-test]\n";
        return 2;
    }
    try {
        run(argc == 2 ? argv[1] : "127.0.0.1:8081");
        return 0;
    } catch (const std::exception& e) {
        std::cerr << "io_http_long_poll: " << e.what() << '\n';
        return 1;
    }
}
