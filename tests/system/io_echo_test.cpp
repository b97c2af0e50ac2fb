// The whole of room 2 at work: servers with many clients, several hubs, load with kills.

#include "io_leak_check.hpp"
#include "sanitizer.hpp"

#include <sys/resource.h>

#include <atomic>
#include <random>
#include <thread>
#include <vector>

using namespace std::chrono_literals;
using namespace copse_test;
namespace io = copse::io;

namespace {

void allow_many_descriptors() {
    rlimit limit{};
    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
}

void echo(io::socket client) {
    while (auto chunk = client.recv_pooled()) client.send_all(chunk.bytes());
}

using IoEcho = io_leak_check;

TEST_F(IoEcho, ThousandConnectionsAtOnce) {
    allow_many_descriptors();
    const int clients = up_to(1000) / (sanitized ? 4 : 1);
    io::stream_server server("127.0.0.1:0", echo, {.listening = {.backlog = 4096}});
    server.start();
    int connected = 0;
    copse::event all_here;
    std::vector<copse::fiber<int>> fibers;
    for (int i = 0; i < clients; ++i) {
        fibers.push_back(copse::spawn([&, i] {
            auto s = io::connect(server.local_endpoint());
            if (++connected == clients) all_here.set();
            all_here.wait();
            std::array<std::byte, 64> back;
            int right = 0;
            for (int round = 0; round < 20; ++round) {
                const std::string sent = pattern(64, static_cast<unsigned>(i * 100 + round));
                s.send_all(sent);
                s.recv_exactly(back);
                right += std::ranges::equal(as_bytes(sent), std::span<const std::byte>(back)) ? 1 : 0;
            }
            return right;
        }));
    }
    for (auto& f : fibers) EXPECT_EQ(f.get(), 20);
    EXPECT_TRUE(server.stop_for(10s));
    EXPECT_EQ(server.stats().accepted, static_cast<std::uint64_t>(clients));
}

TEST_F(IoEcho, AHubForEachThread) {
    constexpr int threads = 4;
    std::atomic<int> served{0};
    std::atomic<int> right{0};
    std::vector<std::thread> all;
    for (int t = 0; t < threads; ++t) {
        all.emplace_back([&] {
            io::stream_server server("127.0.0.1:0",
                                     [&](io::socket s) {
                                         ++served;
                                         echo(std::move(s));
                                     },
                                     {.listening = {.reuse_port = true}});
            server.start();
            std::vector<copse::fiber<void>> clients;
            for (unsigned i = 0; i < 25; ++i) {
                clients.push_back(copse::spawn([&, i] {
                    auto s = io::connect(server.local_endpoint());
                    const std::string sent = pattern(100'000, i);
                    auto writer = copse::spawn([&] {
                        s.send_all(sent);
                        s.shutdown(io::shut::write);
                    });
                    if (recv_to_end(s) == sent) ++right;
                    writer.get();
                }));
            }
            copse::join_all(clients);
            EXPECT_TRUE(server.stop_for(10s));
        });
    }
    for (auto& t : all) t.join();
    EXPECT_EQ(served, threads * 25);
    EXPECT_EQ(right, threads * 25);
}

// Connections that are taken by one hub and served by others: numbers travel, sockets do not.
TEST_F(IoEcho, ConnectionsAreHandedToOtherThreads) {
    copse::event ready;
    copse::hub_handle there;
    copse::event* end_of_worker = nullptr;
    std::thread worker([&, here = copse::hub::current().handle()]() mutable {
        copse::event end;
        here.post([&, handle = copse::hub::current().handle()] {
            there = handle;
            end_of_worker = &end;
            ready.set();
        });
        here = {};
        end.wait();
    });
    ready.wait();
    auto listener = io::listen("127.0.0.1:0");
    auto acceptor = copse::spawn([&] {
        for (int i = 0; i < 10; ++i) {
            const int fd = listener.accept().connection.release();
            there.post([fd] { copse::spawn([s = io::socket::adopt(fd)]() mutable { echo(std::move(s)); }); });
        }
    });
    for (unsigned i = 0; i < 10; ++i) {
        auto client = io::connect(listener.local_endpoint());
        const std::string sent = pattern(1000, i);
        client.send_all(sent);
        client.shutdown(io::shut::write);
        EXPECT_EQ(recv_to_end(client), sent);
    }
    acceptor.get();
    there.post([end_of_worker] { end_of_worker->set(); });
    there = {};
    worker.join();
}

// Clients that come, talk, are killed in the middle, by seed: nothing is left behind, and whoever is not killed is served.
TEST_F(IoEcho, KillsInTheMiddleOfEverything) {
    std::minstd_rand dice(7);
    io::stream_server server("127.0.0.1:0", echo, {.max_connections = 20});
    server.start();
    for (int round = 0; round < 20; ++round) {
        std::vector<copse::fiber<bool>> clients;
        for (unsigned i = 0; i < 30; ++i) {
            clients.push_back(copse::spawn([&, i] {
                auto s = io::connect(server.local_endpoint());
                const std::string sent = pattern(50'000, i);
                auto writer = copse::spawn([&] { s.send_all(sent); });
                std::string back(sent.size(), '\0');
                try {
                    s.recv_exactly(std::as_writable_bytes(std::span(back)));
                } catch (...) {
                    writer.kill();
                    throw;
                }
                writer.get();
                return back == sent;
            }));
        }
        for (auto turns = dice() % 50; turns != 0; --turns) copse::yield();
        std::vector<bool> killed(clients.size());
        for (std::size_t i = 0; i < clients.size(); ++i) {
            if (dice() % 2 == 0) continue;
            killed[i] = true;
            clients[i].request_kill();
        }
        for (std::size_t i = 0; i < clients.size(); ++i) {
            clients[i].join();
            EXPECT_TRUE(killed[i] || !clients[i].killed());
            EXPECT_TRUE(clients[i].killed() || clients[i].get());
        }
    }
    EXPECT_TRUE(server.stop_for(10s));
}

}  // namespace
