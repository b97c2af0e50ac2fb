// Copying from anything that is read to anything that is written, and both ways.

#include "io_leak_check.hpp"
#include "scripted_stream.hpp"

#include <copse/virtual_time.hpp>

using namespace std::chrono_literals;
using namespace copse_test;
namespace io = copse::io;

namespace {

using IoCopy = io_leak_check;

static_assert(io::readable<io::socket> && io::writable<io::socket>);
static_assert(io::readable<io::pipe_reader> && !io::writable<io::pipe_reader>);
static_assert(io::writable<io::pipe_writer> && !io::readable<io::pipe_writer>);
static_assert(io::readable<io::file> && io::writable<io::file>);
static_assert(io::readable<io::any_stream> && io::writable<io::any_stream>);
static_assert(io::readable<io::buffered_stream> && io::writable<io::buffered_stream>);

TEST_F(IoCopy, UpToTheEnd) {
    auto [from, feeder] = io::socketpair();
    auto [reader, writer] = io::pipe();
    auto& in = feeder;
    auto& out = reader;
    const std::string sent = pattern(300000);
    auto feeding = copse::spawn([&] {
        in.send_all(sent);
        in.close();
    });
    auto draining = copse::spawn([&] { return out.read_to_end(); });
    EXPECT_EQ(io::copy(from, writer), 300000U);
    writer.close();
    EXPECT_TRUE(draining.get() == sent);
    feeding.get();
}

TEST_F(IoCopy, AtMostSoMany) {
    auto [from, feeder] = io::socketpair();
    feeder.send_all("many small trees");
    io::any_stream to = scripted_stream();
    EXPECT_EQ(io::copy(from, to, 4), 4U);
    EXPECT_EQ(recv_text(from), " small trees");
    EXPECT_EQ(io::copy(from, to, 0), 0U);
}

TEST_F(IoCopy, TimeIsUp) {
    copse::virtual_time time;
    auto [a, b] = io::socketpair();
    auto [reader, writer] = io::pipe();
    EXPECT_THROW(io::copy_for(a, writer, 1s), io::timed_out);
    EXPECT_THROW(io::copy_until(a, writer, copse::clock::now() + 1s), io::timed_out);
    EXPECT_EQ(time.elapsed(), 2s);
    b.send_all("still");
    b.close();
    EXPECT_EQ(io::copy_for(a, writer, 1s), 5U);
}

TEST_F(IoCopy, ErrorsOfEitherSide) {
    auto [a, b] = io::socketpair();
    auto [reader, writer] = io::pipe();
    reader.close();
    b.send_all("x");
    EXPECT_EQ(error_of([&a = a, &w = writer] { io::copy(a, w); }), std::errc::broken_pipe);
    a.close();
    EXPECT_EQ(error_of([&a = a, &w = writer] { io::copy(a, w); }), std::errc::bad_file_descriptor);
}

TEST_F(IoCopy, AKillEndsIt) {
    auto [a, b] = io::socketpair();
    auto [reader, writer] = io::pipe();
    auto copying = copse::spawn([&a = a, &w = writer] { io::copy(a, w); });
    copse::yield();
    copying.kill();
    b.send_all("not touched");
    EXPECT_EQ(recv_text(a), "not touched");
}

class IoCopyBoth : public io_leak_check {
protected:
    void TearDown() override {
        for (auto* s : {&left.first, &left.second, &right.first, &right.second}) s->close();
        io_leak_check::TearDown();
    }
    std::pair<io::socket, io::socket> left = io::socketpair();
    std::pair<io::socket, io::socket> right = io::socketpair();
    io::socket& client = left.first;
    io::socket& server = right.first;
    copse::fiber<io::both_ways> start() {
        return copse::spawn([this] { return io::copy_both(left.second, right.second); });
    }
};

TEST_F(IoCopyBoth, EachEndIsPassedOnAndTheOtherWayGoesOn) {
    auto proxy = start();
    client.send_all("question");
    client.shutdown(io::shut::write);
    EXPECT_EQ(recv_to_end(server), "question");
    server.send_all("a longer answer");
    EXPECT_EQ(recv_text(client), "a longer answer");
    server.close();
    EXPECT_EQ(recv_to_end(client), "");
    const io::both_ways moved = proxy.get();
    EXPECT_EQ(moved.there, 8U);
    EXPECT_EQ(moved.back, 15U);
}

TEST_F(IoCopyBoth, TheFailureOfOneWayEndsTheOther) {
    auto proxy = start();
    copse::yield();
    right.second.close();
    EXPECT_EQ(error_of([&] { proxy.get(); }), std::errc::bad_file_descriptor);
    EXPECT_TRUE(left.second.is_open());
}

TEST_F(IoCopyBoth, AKillEndsBothWays) {
    auto proxy = start();
    copse::yield();
    copse::yield();
    EXPECT_EQ(copse::hub::current().stats().watching, 2U);
    proxy.kill();
    client.send_all("x");
    EXPECT_EQ(recv_text(left.second), "x");
}

// The error of one is what is told, as the callers of sockets know it.
TEST_F(IoCopyBoth, BothWaysMayFailAtOnce) {
    auto proxy = start();
    copse::yield();
    copse::yield();
    left.second.close();
    right.second.close();
    EXPECT_EQ(error_of([&] { proxy.get(); }), std::errc::bad_file_descriptor);
}

TEST_F(IoCopyBoth, TimeIsUpForBothWays) {
    copse::virtual_time time;
    EXPECT_THROW(io::copy_both_for(left.second, right.second, 1s), io::timed_out);
    EXPECT_EQ(time.elapsed(), 1s);
    client.send_all("question");
    client.shutdown(io::shut::write);
    EXPECT_THROW(io::copy_both_until(left.second, right.second, copse::clock::now() + 1s), io::timed_out);
    EXPECT_EQ(time.elapsed(), 2s);
    EXPECT_EQ(recv_to_end(server), "question");
    server.close();
    EXPECT_EQ(io::copy_both_for(left.second, right.second, 1s).there, 0U);
}

// Its reset comes after its end: there is nobody to tell.
TEST_F(IoCopyBoth, WhoHasGoneNeedsNoEnd) {
    auto [visitor, taken] = tcp_pair();
    auto proxy = copse::spawn([this, &t = taken] { return io::copy_both(t, right.second); });
    visitor.send_all("question");
    visitor.shutdown(io::shut::write);
    EXPECT_EQ(recv_to_end(server), "question");
    visitor.set_option(io::linger(0s));
    visitor.close();
    server.close();
    EXPECT_EQ(proxy.get().there, 8U);
}

}  // namespace
