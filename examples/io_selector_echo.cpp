// An echo server as an event loop: one selector, one fiber, and no socket that is ever waited on. What each connection is
// doing stands in its key. Beside it, in fibers, a hundred clients talk to it as if each had the thread to itself.
//
// With copse a fiber for each connection is shorter (io_echo_server). This is for loops that exist, and for those that want
// to decide themselves who is next.
#include <copse/fibers.hpp>
#include <copse/io.hpp>

#include <algorithm>
#include <any>
#include <array>
#include <iostream>
#include <memory>
#include <string>
#include <string_view>
#include <system_error>
#include <vector>

namespace io = copse::io;

namespace {

constexpr int clients = 100;

// [server]
struct session {
    io::socket connection;
    std::string unsent{};
};

class echo_loop {
public:
    echo_loop() { ready_.register_fd(listener_, io::readiness::read); }  // without data: it is the listener

    io::endpoint where() const { return listener_.local_endpoint(); }
    std::size_t most_at_once() const { return most_; }

    // Until it has served so many.
    void serve(int connections) {
        while (ended_ < connections) {
            for (const auto& [key, events] : ready_.select()) {
                key->data.has_value() ? go_on(std::any_cast<const std::shared_ptr<session>&>(key->data), events)
                                      : accept_all();
            }
        }
    }

private:
    void accept_all() {
        while (auto next = listener_.try_accept()) {
            const auto fresh = std::make_shared<session>(session{std::move(next->connection)});
            ready_.register_fd(fresh->connection, io::readiness::read, fresh);
        }
        most_ = std::max(most_, ready_.size() - 1);
    }

    // What cannot be sent at once waits, and so does the client: nothing more is read from it until then.
    void go_on(const std::shared_ptr<session>& s, io::readiness events) try {
        if (has(events, io::readiness::read) && !receive(*s)) return end(*s);
        if (const auto sent = s->connection.try_send(s->unsent)) s->unsent.erase(0, *sent);
        ready_.modify(s->connection, s->unsent.empty() ? io::readiness::read : io::readiness::write);
    } catch (const std::system_error&) {
        end(*s);  // it left without a word
    }

    // False at the end of the stream.
    static bool receive(session& s) {
        std::array<char, 4096> chunk;
        const auto n = s.connection.try_recv(std::as_writable_bytes(std::span(chunk)));
        if (n) s.unsent.append(chunk.data(), *n);
        return !n || *n != 0;
    }

    void end(session& s) {
        ready_.unregister(s.connection);
        s.connection.close();
        ++ended_;
    }

    io::socket listener_ = io::listen("127.0.0.1:0");
    io::selector ready_;
    std::size_t most_ = 0;
    int ended_ = 0;
};
// [/server]

// Connects, waits until all have, and gets back what it sends: more than fits into the kernel's buffers.
bool talk(const io::endpoint& server, int number, copse::barrier<>& all_here) {
    io::socket connection = io::connect(server);
    all_here.arrive_and_wait();
    const std::string sent(100'000 + static_cast<std::size_t>(number), static_cast<char>('a' + number % 26));
    auto sending = copse::spawn([&] { connection.send_all(sent); });
    std::string returned(sent.size(), '\0');
    connection.recv_exactly(std::as_writable_bytes(std::span(returned)));
    sending.get();
    return returned == sent;
}

}  // namespace

int main() {
    echo_loop server;
    auto serving = copse::spawn([&] { server.serve(clients); });

    copse::barrier<> all_here(clients);
    std::vector<copse::fiber<bool>> answers;
    for (int i = 0; i < clients; ++i) {
        answers.push_back(copse::spawn([&, i] { return talk(server.where(), i, all_here); }));
    }
    const auto right = std::count_if(answers.begin(), answers.end(), [](const auto& answer) { return answer.get(); });
    serving.get();
    std::cout << server.most_at_once() << " connections at once\n" << right << " right answers\n";
}
