// The classic of select: one loop, a list of those it would read from, a list of those it would write to, and a queue of
// answers for each connection. It says everything in capitals.
#include <copse/fibers.hpp>
#include <copse/io.hpp>

#include <algorithm>
#include <cctype>
#include <deque>
#include <iostream>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace io = copse::io;

namespace {

std::string in_capitals(std::string_view text) {
    std::string capitals(text);
    std::transform(capitals.begin(), capitals.end(), capitals.begin(),
                   [](unsigned char c) { return static_cast<char>(std::toupper(c)); });
    return capitals;
}

// [server]
class upper_server {
public:
    explicit upper_server(io::socket& listener) : listener_(listener) {}

    // Until it has served so many.
    void serve(int connections) {
        while (ended_ < connections) {
            const auto ready = io::select(inputs(), outputs());
            for (const int fd : ready.readable) {
                fd == listener_.native_handle() ? take_connection() : receive(fd);
            }
            for (const int fd : ready.writable) send(fd);
        }
    }

private:
    struct client {
        io::socket connection;
        std::deque<std::string> answers{};
    };

    std::vector<int> inputs() const {
        std::vector<int> all{listener_.native_handle()};
        for (const auto& entry : clients_) all.push_back(entry.first);
        return all;
    }

    std::vector<int> outputs() const {
        std::vector<int> all;
        for (const auto& entry : clients_) {
            if (!entry.second.answers.empty()) all.push_back(entry.first);
        }
        return all;
    }

    void take_connection() {
        io::socket connection = listener_.accept();
        const int fd = connection.native_handle();
        clients_.emplace(fd, client{std::move(connection)});
    }

    void receive(int fd) {
        client& from = clients_.at(fd);
        const auto chunk = from.connection.recv_pooled();
        if (chunk) {
            from.answers.push_back(in_capitals(chunk.text()));
        } else {
            clients_.erase(fd);
            ++ended_;
        }
    }

    void send(int fd) {
        const auto to = clients_.find(fd);
        if (to == clients_.end() || to->second.answers.empty()) return;  // it left in this round
        std::string& answer = to->second.answers.front();
        if (const auto sent = to->second.connection.try_send(answer)) answer.erase(0, *sent);
        if (answer.empty()) to->second.answers.pop_front();
    }

    io::socket& listener_;
    std::map<int, client> clients_;
    int ended_ = 0;
};
// [/server]

std::string ask(const io::endpoint& server, std::string_view question) {
    io::socket connection = io::connect(server);
    std::string answer;
    for (const char letter : question) {
        connection.send_all(std::string_view(&letter, 1));
        answer += connection.recv_pooled().text();
    }
    return answer;
}

}  // namespace

int main() {
    io::socket listener = io::listen("127.0.0.1:0");
    upper_server server(listener);
    auto serving = copse::spawn([&] { server.serve(3); });

    std::vector<copse::fiber<std::string>> answers;
    for (const char* question : {"this is the message", "it will be sent", "in parts"}) {
        answers.push_back(copse::spawn([&, question] { return ask(listener.local_endpoint(), question); }));
    }
    for (auto& answer : answers) std::cout << answer.get() << '\n';
    serving.get();
}
