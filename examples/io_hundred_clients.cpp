// A hundred clients at once against one server, all of them fibers of one thread.
//
//     io_hundred_clients
#include <copse/fibers.hpp>
#include <copse/io/socket.hpp>

#include <algorithm>
#include <iostream>
#include <string>
#include <string_view>
#include <vector>

namespace io = copse::io;

namespace {

constexpr int clients = 100;

// [server]
class echo_server {
public:
    void serve(io::socket& listener) {
        for (;;) copse::spawn([this, c = listener.accept().connection]() mutable { echo(c); });
    }
    int most_at_once() const { return most_; }

private:
    // No other fiber can come between two lines here that do not wait: a plain int will do.
    void echo(io::socket& connection) {
        most_ = std::max(most_, ++here_);
        while (const auto chunk = connection.recv_pooled()) connection.send_all(chunk.bytes());
        --here_;
    }

    int here_ = 0;
    int most_ = 0;
};
// [/server]

// [client]
// Connects, waits until all have, says something, and gets it back.
bool talk(const io::endpoint& server, int number, int& connected, copse::event& all_here) {
    io::socket connection = io::connect(server);
    if (++connected == clients) all_here.set();
    all_here.wait();

    const std::string sent = "tree number " + std::to_string(number);
    connection.send_all(sent);
    std::string returned(sent.size(), '\0');
    connection.recv_exactly(std::as_writable_bytes(std::span(returned)));
    return returned == sent;
}
// [/client]

}  // namespace

int main() {
    io::socket listener = io::listen("127.0.0.1:0");
    echo_server server;
    const auto serving = copse::spawn([&] { server.serve(listener); });

    int connected = 0;
    copse::event all_here;
    std::vector<copse::fiber<bool>> answers;
    for (int i = 0; i < clients; ++i) {
        answers.push_back(copse::spawn([&, i] { return talk(listener.local_endpoint(), i, connected, all_here); }));
    }
    const auto right = std::count_if(answers.begin(), answers.end(), [](const auto& answer) { return answer.get(); });
    std::cout << server.most_at_once() << " connections at once\n" << right << " right answers\n";
    serving.kill();
}
