// A program of Boost.Fiber on copse's hub: its fibers, mutex, condition variable and channel, and sockets of copse. The
// server's connections are fibers of copse, its clients are fibers of Boost, in one thread.
//
//     io_boost_fibers
#include <copse/io.hpp>
#include <copse/io/boost_fiber.hpp>

#include <boost/fiber/all.hpp>

#include <cctype>
#include <chrono>
#include <iostream>
#include <mutex>
#include <string>
#include <vector>

namespace io = copse::io;
namespace fibers = boost::fibers;
using io::boost_fiber;

// A fiber of copse for each connection.
void answer_loudly(io::socket& client) {
    while (const auto chunk = client.recv_pooled()) {
        std::string text(chunk.text());
        for (char& c : text) c = static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
        client.send_all(std::as_bytes(std::span(text)));
    }
}

// [client]
// A fiber of Boost: what may wait in copse goes through `call`, which lets the others run meanwhile.
std::string ask(const io::endpoint& server, const std::string& word) {
    return boost_fiber::call([&] {
        io::socket connection = io::connect(server);
        connection.send_all(std::as_bytes(std::span(word)));
        connection.shutdown(io::shut::write);
        std::string answer;
        while (const auto chunk = connection.recv_pooled()) answer += chunk.text();
        return answer;
    });
}
// [/client]

int main() {
    fibers::use_scheduling_algorithm<boost_fiber>();
    io::stream_server server(io::listen("127.0.0.1:0"), answer_loudly);
    boost_fiber::call([&] { server.start(); });

    fibers::mutex mutex;
    fibers::condition_variable answered;
    std::vector<std::string> answers(4);
    std::size_t missing = answers.size();
    const std::vector<std::string> words = {"oak", "elm", "ash", "yew"};
    std::vector<fibers::fiber> clients;
    for (std::size_t i = 0; i < words.size(); ++i) {
        clients.emplace_back([&, i] {
            std::string answer = ask(server.local_endpoint(), words[i]);
            const std::lock_guard lock(mutex);
            answers[i] = std::move(answer);
            --missing;
            answered.notify_one();
        });
    }

    fibers::buffered_channel<std::string> lines(2);
    fibers::fiber printer([&] {
        for (const std::string& line : lines) std::cout << line << '\n';
    });
    {
        std::unique_lock lock(mutex);
        answered.wait(lock, [&] { return missing == 0; });
    }
    for (const std::string& answer : answers) lines.push(answer);
    lines.close();
    printer.join();
    for (fibers::fiber& client : clients) client.join();
    boost_fiber::call([&] { server.stop_for(std::chrono::seconds(1)); });
}
