// Limits of time that hold although bytes keep coming: a peer that never pauses ends nothing by itself.

#include "exceptions.hpp"
#include "io_leak_check.hpp"

#include <copse/clock.hpp>
#include <copse/io/buffered_stream.hpp>
#include <copse/io/copy.hpp>
#include <copse/io/datagram_socket.hpp>
#include <copse/io/pipe.hpp>

#include <sys/socket.h>

#include <array>
#include <chrono>
#include <cstddef>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

using namespace std::chrono_literals;
using namespace copse_test;
namespace io = copse::io;

namespace {

/// A stream from which bytes come for ever, without a pause.
class flood {
public:
    flood()
        : pair_(io::socketpair()), sender_(copse::spawn([this] {
              const std::string much(1 << 16, 'x');
              for (;;) pair_.second.send_all(much);
          })) {}
    flood(const flood&) = delete;
    flood& operator=(const flood&) = delete;
    ~flood() { sender_.kill(); }

    io::socket& operator*() { return pair_.first; }
    io::socket* operator->() { return &pair_.first; }

private:
    std::pair<io::socket, io::socket> pair_;
    copse::fiber<void> sender_;
};

using IoLateness = io_leak_check;

TEST_F(IoLateness, ARowOfReceptionsEndsSoonAfterItsDeadline) {
    flood from;
    std::array<std::byte, 16> some;
    EXPECT_EQ(from->recv(some), some.size());
    const auto past = copse::clock::now() - 1s;
    int received = 0;
    EXPECT_THROW(for (; received < 1000; ++received) from->recv_until(some, past), io::timed_out);
    EXPECT_LT(received, 256);
}

TEST_F(IoLateness, WhoAsksForWhatIsThereAlwaysGetsIt) {
    flood from;
    std::array<std::byte, 16> some;
    EXPECT_EQ(from->recv(some), some.size());
    for (int n = 0; n < 1000; ++n) EXPECT_EQ(from->recv_for(some, 0s), some.size());
}

TEST_F(IoLateness, SoDoesWhoHasHardlyAnyTime) {
    flood from;
    auto [near, far] = io::socketpair();
    std::array<std::byte, 16> some;
    EXPECT_EQ(from->recv(some), some.size());
    io::any_stream in(std::move(*from));
    io::any_stream out(std::move(near));
    for (int n = 0; n < 200; ++n) {
        EXPECT_EQ(in.recv_for(some, 0s), some.size());
        out.send_all_for(std::string_view("x"), 0s);
    }
    EXPECT_EQ(recv_text(far).size(), 200U);
}

TEST_F(IoLateness, ALimitIsSeenThoughOtherOperationsHaveNone) {
    for (int phase = 0; phase < 2; ++phase) {
        flood from;
        auto [near, far] = io::socketpair();
        std::array<std::byte, 16> some;
        for (int n = 0; n <= phase; ++n) from->recv(some);
        const auto past = copse::clock::now() - 1s;
        int rounds = 0;
        const auto pass_on = [&, &to = near] {
            for (; rounds < 1000; ++rounds) {
                from->recv_until(some, past);
                to.send_all("x");
            }
        };
        EXPECT_THROW(pass_on(), io::timed_out);
        EXPECT_LT(rounds, 500);
    }
}

TEST_F(IoLateness, ADatagramToAUnixNameToo) {
    auto receiver = io::bind_datagram(io::endpoint::unnamed());
    io::socket sender(AF_UNIX, SOCK_DGRAM);
    const auto past = copse::clock::now() - 1s;
    int sent = 0;
    const auto send = [&] {
        for (; sent < 1000; ++sent) {
            sender.send_to("x", receiver.local_endpoint());
            recv_text(receiver);
            sender.send_to_until("x", receiver.local_endpoint(), past);
            recv_text(receiver);
        }
    };
    EXPECT_THROW(send(), io::timed_out);
    EXPECT_LT(sent, 500);
}

TEST_F(IoLateness, ACopyEnds) {
    flood from;
    auto [near, far] = io::socketpair();
    auto drop = copse::spawn([&, &to = far] {
        while (to.recv_pooled()) {}
    });
    EXPECT_THROW(io::copy_until(*from, near, copse::clock::now() - 1s), io::timed_out);
    near.close();
    drop.get();
}

TEST_F(IoLateness, OneReceptionOfMuchEndsAndTellsHowMuchCame) {
    flood from;
    std::vector<std::byte> much(std::size_t{1} << 28);
    const auto came = [&](auto receive) {
        try {
            receive();
        } catch (const io::timed_out& e) {
            return e.transferred();
        }
        return much.size();
    };
    from->set_option(io::receive_buffer(4096));
    const std::size_t part = came([&] { from->recv_exactly_until(much, copse::clock::now() - 1s); });
    EXPECT_LT(part, much.size());
    io::buffered_stream buffered(std::move(*from));
    EXPECT_LT(came([&] { buffered.read_exactly_until(much, copse::clock::now() - 1s); }), much.size());
}

TEST_F(IoLateness, ABorrowedPipeToo) {
    io::pipe_pair ends = io::pipe();
    ends.writer.write_all(std::string(1000, 'x'));
    auto in = io::pipe_reader::borrow(ends.reader.native_handle());
    std::array<std::byte, 1> one;
    int received = 0;
    EXPECT_THROW(for (; received < 1000; ++received) in.read_until(one, copse::clock::now() - 1s), io::timed_out);
    EXPECT_LT(received, 256);
}

}  // namespace
