// Several buffers with one call. NT01, NT21.

#include "io_leak_check.hpp"
#include "io_system_calls.hpp"
#include "system_calls.hpp"

#include <copse/virtual_time.hpp>

#include <sys/socket.h>

#include <cerrno>
#include <random>
#include <string>
#include <vector>

using namespace std::chrono_literals;
using namespace copse_test;
namespace io = copse::io;
using io::detail::sys;

namespace {

class IoGather : public io_leak_check {
protected:
    ~IoGather() override { put_back_system_calls(); }
    std::array<std::byte, 4096> buffer{};
};

std::vector<io::const_buffer> cut(const std::string& text, std::size_t each) {
    std::vector<io::const_buffer> pieces;
    for (std::size_t i = 0; i < text.size(); i += each) pieces.emplace_back(std::string_view(text).substr(i, each));
    return pieces;
}

TEST_F(IoGather, TextsAndBytesGoTogether) {
    auto [left, right] = tcp_pair();
    const std::string body = "trees";
    const std::array<std::byte, 1> blank = {std::byte{' '}};
    left.send_all({"many", blank, std::string_view("small"), std::span(blank), "", body});
    std::string all(16, '\0');
    EXPECT_EQ(right.recv_exactly(std::as_writable_bytes(std::span(all))), 16U);
    EXPECT_EQ(all, "many small trees");
    left.send_all_for({"a", "b"}, 1s);
    left.send_all_until({"c"}, copse::clock::now() + 1s);
    left.send_all({});
    std::string abc(3, '\0');
    right.recv_exactly(std::as_writable_bytes(std::span(abc)));
    EXPECT_EQ(abc, "abc");
}

TEST_F(IoGather, OneCallFillsSeveralBuffers) {
    auto [left, right] = tcp_pair();
    left.send_all("headbody and more");
    std::array<std::byte, 4> head;
    std::array<std::byte, 0> none;
    std::array<std::byte, 8> body;
    EXPECT_EQ(right.recv({head, none, std::span(body)}), 12U);
    EXPECT_EQ(static_cast<char>(head[3]), 'd');
    EXPECT_EQ(static_cast<char>(body[7]), 'd');
    const std::vector<io::mutable_buffer> pieces = {head, body};
    EXPECT_EQ(right.recv(pieces), 5U);
    EXPECT_EQ(right.recv({none}), 0U);
    EXPECT_EQ(right.recv(std::span<const io::mutable_buffer>()), 0U);
    EXPECT_THROW(right.recv_for(pieces, 1ms), io::timed_out);
    EXPECT_THROW(right.recv_until(pieces, copse::clock::now() + 1ms), io::timed_out);
    left.close();
    EXPECT_EQ(right.recv(pieces), 0U);
}

TEST_F(IoGather, ShortScatteredReceiveIsBelieved) {
    auto [left, right] = tcp_pair();
    left.send_all("abc");
    EXPECT_EQ(right.recv({buffer}), 3U);
    static int receives;
    receives = 0;
    sys.recvmsg = [](int fd, msghdr* m, int flags) { return ++receives, ::recvmsg(fd, m, flags); };
    auto reader = copse::spawn([&, &s = right] { return s.recv({buffer}); });
    copse::yield();
    EXPECT_EQ(receives, 0) << "that nothing was left, was known";
    left.send_all("d");
    EXPECT_EQ(reader.get(), 1U);
    EXPECT_EQ(receives, 1);
}

TEST_F(IoGather, Fault_NT21_MorePiecesThanTheKernelTakes) {
    for (const std::size_t count : {63U, 64U, 65U, 1024U, 1025U, 5000U}) {
        auto [left, right] = tcp_pair();
        const std::string text = pattern(count * 7 - 3);
        const auto pieces = cut(text, 7);
        ASSERT_EQ(pieces.size(), count);
        auto writer = copse::spawn([&, &s = left] {
            s.send_all(pieces);
            s.close();
        });
        EXPECT_TRUE(recv_to_end(right) == text) << count;
        writer.get();
    }
}

TEST_F(IoGather, Fault_NT21_ScatterIntoMoreThanOneCallTakes) {
    auto [left, right] = io::socketpair();
    left.send_all(pattern(100));
    std::vector<std::array<std::byte, 1>> room(100);
    std::vector<io::mutable_buffer> pieces;
    for (auto& each : room) pieces.emplace_back(each);
    EXPECT_EQ(right.recv(pieces), 64U);
}

TEST_F(IoGather, AMessageIsOneWhateverItIsMadeOf) {
    auto [left, right] = io::socketpair(SOCK_DGRAM);
    for (const std::size_t count : {2U, 100U, 1024U}) {
        const std::string text = pattern(count * 2);
        left.send_all(cut(text, 2));
        std::string got(4096, '\0');
        got.resize(right.recv_from(std::as_writable_bytes(std::span(got))).size);
        EXPECT_TRUE(got == text);
    }
    EXPECT_EQ(error_of([&, &s = left] { s.send_all(cut(pattern(1025), 1)); }), std::errc::message_size);
    left.send_all(std::span<const io::const_buffer>());
    EXPECT_EQ(right.recv_from(buffer).size, 0U) << "an empty one is one";
    left.send("abcd");
    std::vector<std::array<std::byte, 1>> room(100);
    std::vector<io::mutable_buffer> pieces;
    for (auto& each : room) pieces.emplace_back(each);
    EXPECT_EQ(right.recv(pieces), 4U);
}

TEST_F(IoGather, ParkedWritersAreKilledAndTimedOut) {
    copse::virtual_time time;
    auto [left, right] = io::socketpair();
    const std::string big = pattern(4 << 20);
    const auto pieces = cut(big, 100'000);
    std::size_t sent = 0;
    try {
        left.send_all_for(pieces, 2s);
        ADD_FAILURE() << "nobody reads";
    } catch (const io::timed_out& e) {
        sent = e.transferred();
    }
    EXPECT_GT(sent, 0U);
    EXPECT_LT(sent, big.size());
    EXPECT_EQ(time.elapsed(), 2s);
    std::string got(sent, '\0');
    right.recv_exactly(std::as_writable_bytes(std::span(got)));
    EXPECT_TRUE(got == big.substr(0, sent)) << "told exactly";

    auto writer = copse::spawn([&, &s = left] { s.send_all(pieces); });
    copse::yield();
    writer.kill();
    EXPECT_TRUE(writer.killed());
    EXPECT_EQ(copse::hub::current().stats().watching, 0U);
    right.close();
    EXPECT_EQ(error_of([&, &s = left] { s.send_all({"x", "y"}); }), std::errc::broken_pipe);
}

std::mt19937 dice;

// Whatever comes of it, each byte is sent once: at every place a call may stop short, in and between pieces.
TEST_F(IoGather, Fault_NT01_StreamsAreEqualWhateverTheCallsSay) {
    for (unsigned seed = 1; seed <= 32; ++seed) {
        dice.seed(seed);
        sys.truthful = false;
        sys.sendmsg = [](int fd, const msghdr* m, int flags) -> ssize_t {
            if (dice() % 3 == 0) return errno = dice() % 2 == 0 ? EINTR : EAGAIN, -1;
            std::string flat;
            for (std::size_t i = 0; i < m->msg_iovlen; ++i)
                flat.append(static_cast<const char*>(m->msg_iov[i].iov_base), m->msg_iov[i].iov_len);
            return ::send(fd, flat.data(), 1 + dice() % flat.size(), flags);
        };
        sys.recvmsg = [](int fd, msghdr* m, int flags) -> ssize_t {
            if (dice() % 3 == 0) return errno = dice() % 2 == 0 ? EINTR : EAGAIN, -1;
            return ::recv(fd, m->msg_iov[0].iov_base, 1 + dice() % m->msg_iov[0].iov_len, flags);
        };
        auto [left, right] = tcp_pair();
        const std::string text = pattern(2000, seed);
        auto writer = copse::spawn([&, &s = left] {
            s.send_all(cut(text, 1 + seed));
            s.close();
        });
        std::string got;
        while (const std::size_t n = right.recv({buffer})) got.append(reinterpret_cast<const char*>(buffer.data()), n);
        EXPECT_TRUE(got == text) << "seed " << seed;
        writer.get();
        put_back_system_calls();
    }
}

}  // namespace
