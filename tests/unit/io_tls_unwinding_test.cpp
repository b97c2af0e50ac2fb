// How a tls_stream ends when its fiber is being ended.

#include "at_end.hpp"
#include "event_log.hpp"
#include "io_tls_pair.hpp"

#include <stdexcept>
#include <utility>

using namespace copse_test;
namespace io = copse::io;

namespace {

struct made_before {
    made_before() {
        common_server();
        make_tls_pair();
    }
};

class IoTlsUnwinding : private made_before, public io_leak_check {
protected:
    IoTlsUnwinding() : ends_(io::socketpair()) {
        auto [client, server] = shake_hands(std::move(ends_.first), std::move(ends_.second));
        near_ = std::move(client);
        peer_ = std::move(server);
    }
    void TearDown() override {
        near_ = {};
        peer_ = {};
        io_leak_check::TearDown();
    }

    /// Nothing more can be said to the peer, who does not read.
    void fill() {
        const std::string much = pattern(256 << 10);
        EXPECT_THROW(near_.send_all_for(much, std::chrono::nanoseconds(0)), io::timed_out);
    }

    std::pair<io::socket, io::socket> ends_;
    io::tls_stream near_;
    io::tls_stream peer_;
    event_log log;
};

TEST_F(IoTlsUnwinding, AKillDoesNotWaitForThePeer) {
    fill();
    auto owner = copse::spawn([&] {
        const at_end gone([&] { log("gone"); });
        io::tls_stream mine = std::move(near_);
        recv_text(mine);
    });
    copse::yield();
    owner.request_kill();
    auto other = copse::spawn([&] { log("other"); });
    copse::join_all(owner, other);
    EXPECT_TRUE(owner.killed());
    EXPECT_EQ(log.text(), "gone other");
}

TEST_F(IoTlsUnwinding, NorDoesAnException) {
    fill();
    auto owner = copse::spawn([&] {
        const at_end gone([&] { log("gone"); });
        io::tls_stream mine = std::move(near_);
        throw std::runtime_error("out");
    });
    auto other = copse::spawn([&] { log("other"); });
    EXPECT_THROW(owner.get(), std::runtime_error);
    other.join();
    EXPECT_EQ(log.text(), "gone other");
}

// What a clean-up makes and ends in order is told to its peer as ever.
TEST_F(IoTlsUnwinding, AStreamOfTheCleanUpEndsInOrder) {
    auto owner = copse::spawn([&] {
        const at_end say_goodbye([&] {
            io::tls_stream mine = std::move(near_);
            mine.send_all("goodbye");
            mine.close();
        });
        throw std::runtime_error("out");
    });
    EXPECT_THROW(owner.get(), std::runtime_error);
    EXPECT_EQ(recv_to_end(peer_), "goodbye");
}

}  // namespace
