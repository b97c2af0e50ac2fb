// Descriptors over Unix sockets, and who is at the other end. NT19.

#include "io_leak_check.hpp"
#include "io_system_calls.hpp"
#include "system_calls.hpp"
#include "worker.hpp"

#include <copse/virtual_time.hpp>

#include <fcntl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <string>
#include <type_traits>
#include <vector>

using namespace std::chrono_literals;
using namespace copse_test;
namespace io = copse::io;
using io::detail::sys;

static_assert(std::is_nothrow_move_constructible_v<io::descriptor> && !std::is_copy_constructible_v<io::descriptor>);

namespace {

class IoDescriptorPassing : public io_leak_check {
protected:
    ~IoDescriptorPassing() override { put_back_system_calls(); }
    std::array<std::byte, 4096> buffer{};

    static bool is_open(int fd) { return ::fcntl(fd, F_GETFD) >= 0; }
};

TEST_F(IoDescriptorPassing, OwnedDescriptorsAreClosedOnce) {
    int raw = ::open("/dev/null", O_RDONLY | O_CLOEXEC);
    {
        io::descriptor one(raw);
        io::descriptor two = std::move(one);
        EXPECT_FALSE(one);
        EXPECT_EQ(two.get(), raw);
        one = std::move(two);
        EXPECT_TRUE(is_open(raw));
        const int given = one.release();
        EXPECT_EQ(given, raw);
        EXPECT_FALSE(one.is_open());
        one = io::descriptor(given);
    }
    EXPECT_FALSE(is_open(raw));
    io::descriptor none;
    none.close();
    EXPECT_EQ(none.get(), -1);
}

TEST_F(IoDescriptorPassing, ClosingWakesWhoWaitsForTheNumber) {
    int ends[2];
    ASSERT_EQ(::pipe2(ends, O_CLOEXEC | O_NONBLOCK), 0);
    io::descriptor reading(ends[0]);
    const io::descriptor writing(ends[1]);
    auto reader = copse::spawn([&] { return error_of([&] { io::wait_readable(ends[0]); }); });
    copse::yield();
    reading.close();
    EXPECT_EQ(reader.get(), std::errc::bad_file_descriptor);
}

TEST_F(IoDescriptorPassing, SeveralTravelWithTheBytes) {
    for (const int type : {SOCK_STREAM, SOCK_DGRAM, SOCK_SEQPACKET}) {
        auto [left, right] = io::socketpair(type);
        auto [one, two] = io::socketpair();
        const std::array fds = {one.native_handle(), two.native_handle()};
        io::send_descriptors(left, "two ends", fds);
        one.close();
        two.close();
        io::received_descriptors got = io::recv_descriptors(right, buffer);
        EXPECT_EQ(got.size, 8U);
        ASSERT_EQ(got.descriptors.size(), 2U);
        EXPECT_FALSE(got.truncated);
        EXPECT_FALSE(got.descriptors_truncated);
        for (const io::descriptor& d : got.descriptors) EXPECT_EQ(::fcntl(d.get(), F_GETFD), FD_CLOEXEC);
        auto first = io::socket::adopt(got.descriptors[0].release());
        auto second = io::socket::adopt(got.descriptors[1].release());
        first.send_all("it lives");
        EXPECT_EQ(recv_text(second), "it lives");
    }
}

TEST_F(IoDescriptorPassing, BytesWithoutDescriptorsAndDescriptorsWithoutReaders) {
    auto [left, right] = io::socketpair();
    io::send_descriptors(left, "plain", {});
    io::received_descriptors got = io::recv_descriptors(right, buffer);
    EXPECT_EQ(got.size, 5U);
    EXPECT_TRUE(got.descriptors.empty());
    const std::array fds = {left.native_handle()};
    io::send_descriptors(left, "with", fds);
    EXPECT_EQ(right.recv(buffer), 4U) << "recv takes the bytes, and the kernel closes what came with them";
    io::send_descriptors(left, "never read", fds);
    left.close();
}

// NT19: the very descriptor that fibers here wait for.
TEST_F(IoDescriptorPassing, Fault_NT19_OneThatIsWatchedHereToo) {
    auto [left, right] = io::socketpair();
    auto [near, far] = io::socketpair();
    auto reader = copse::spawn([&, &s = near] {
        std::array<std::byte, 1> one;
        return s.recv(one);
    });
    copse::yield();
    const std::array fds = {near.native_handle()};
    io::send_descriptors(left, "x", fds);
    io::received_descriptors got = io::recv_descriptors(right, buffer);
    auto twin = io::socket::adopt(got.descriptors.at(0).release());
    EXPECT_NE(twin.native_handle(), near.native_handle());
    far.send_all("ab");
    EXPECT_EQ(reader.get(), 1U);
    EXPECT_EQ(twin.recv(buffer), 1U) << "a number that is new here, with a registration of its own";
    near.close();
    auto other = copse::spawn([&] { return twin.recv(buffer); });
    copse::yield();
    far.send_all("c");
    EXPECT_EQ(other.get(), 1U);
}

TEST_F(IoDescriptorPassing, WaitsAreKilledAndTimedOut) {
    copse::virtual_time time;
    auto [left, right] = io::socketpair();
    EXPECT_THROW(io::recv_descriptors_for(right, buffer, 2s), io::timed_out);
    EXPECT_EQ(time.elapsed(), 2s);
    EXPECT_THROW(io::recv_descriptors_until(right, buffer, copse::clock::now() + 1s), io::timed_out);
    right.set_timeout(3s);
    EXPECT_THROW(io::recv_descriptors(right, buffer), io::timed_out);
    EXPECT_EQ(time.elapsed(), 6s);
    right.set_timeout(std::nullopt);
    auto reader = copse::spawn([&, &s = right] { io::recv_descriptors(s, buffer); });
    copse::yield();
    reader.kill();
    EXPECT_TRUE(reader.killed());
    const std::array fds = {left.native_handle()};
    io::send_descriptors(left, "x", fds);
    EXPECT_EQ(io::recv_descriptors(right, buffer).descriptors.size(), 1U) << "the killed one took nothing";
}

TEST_F(IoDescriptorPassing, LargeMessagesAreSentToTheEnd) {
    auto [left, right] = io::socketpair();
    const std::string big = pattern(4 << 20);
    const std::array fds = {left.native_handle()};
    auto writer = copse::spawn([&, &s = left] { io::send_descriptors_for(s, as_bytes(big), fds, 30s); });
    io::received_descriptors got = io::recv_descriptors(right, buffer);
    EXPECT_EQ(got.descriptors.size(), 1U);
    std::string all(reinterpret_cast<const char*>(buffer.data()), got.size);
    all.resize(big.size());
    right.recv_exactly(std::as_writable_bytes(std::span(all)).subspan(got.size));
    EXPECT_TRUE(all == big);
    writer.get();
}

TEST_F(IoDescriptorPassing, MisuseIsRefused) {
    auto [left, right] = io::socketpair();
    const std::array fds = {left.native_handle()};
    EXPECT_THROW(io::send_descriptors(left, "", fds), std::invalid_argument);
    EXPECT_THROW(io::recv_descriptors(right, {}), std::invalid_argument);
    const std::vector<int> many(254, left.native_handle());
    EXPECT_THROW(io::send_descriptors(left, "x", many), std::invalid_argument);
    const std::array bad = {-1};
    EXPECT_EQ(error_of([&, &s = left] { io::send_descriptors(s, "x", bad); }), std::errc::bad_file_descriptor);
    EXPECT_FALSE(right.try_recv(buffer).has_value()) << "nothing was sent";
    auto [client, server] = tcp_pair();
    EXPECT_EQ(error_of([&, &s = client] { io::send_descriptors(s, "x", fds); }), std::errc::operation_not_supported);
    EXPECT_EQ(error_of([&, &s = server] { io::recv_descriptors(s, buffer); }), std::errc::operation_not_supported);
    worker other;
    other.run([&, &s = left] { EXPECT_THROW(io::send_descriptors(s, "x", fds), copse::wrong_thread); });
}

TEST_F(IoDescriptorPassing, AsManyAsTheKernelTakes) {
    auto [left, right] = io::socketpair();
    const std::vector<int> most(253, left.native_handle());
    io::send_descriptors(left, "x", most);
    EXPECT_EQ(io::recv_descriptors(right, buffer).descriptors.size(), 253U);
}

// EMFILE on our side: what has a number is ours, what has none is told.
TEST_F(IoDescriptorPassing, Fault_NT19_NoNumberFreeIsToldAndNothingLeaks) {
    auto [left, right] = io::socketpair();
    const std::vector<int> five(5, left.native_handle());
    io::send_descriptors(left, "x", five);
    rlimit before{};
    ::getrlimit(RLIMIT_NOFILE, &before);
    const int next = ::dup(left.native_handle());
    ::close(next);
    rlimit tight = before;
    tight.rlim_cur = static_cast<rlim_t>(next) + 2;
    ::setrlimit(RLIMIT_NOFILE, &tight);
    io::received_descriptors got = io::recv_descriptors(right, buffer);
    ::setrlimit(RLIMIT_NOFILE, &before);
    EXPECT_EQ(got.size, 1U);
    EXPECT_TRUE(got.descriptors_truncated);
    EXPECT_LE(got.descriptors.size(), 2U);
    EXPECT_GT(got.descriptors.size(), 0U);
}

TEST_F(IoDescriptorPassing, TruncatedMessagesAreTold) {
    auto [left, right] = io::socketpair(SOCK_DGRAM);
    const std::array fds = {left.native_handle()};
    io::send_descriptors(left, "long", fds);
    io::received_descriptors got = io::recv_descriptors(right, std::span(buffer).first(2));
    EXPECT_EQ(got.size, 2U);
    EXPECT_TRUE(got.truncated);
    EXPECT_EQ(got.descriptors.size(), 1U);
    io::send_descriptors(left, "", fds);
    got = io::recv_descriptors(right, {});
    EXPECT_EQ(got.size, 0U);
    EXPECT_EQ(got.descriptors.size(), 1U) << "a message may be empty";
}

TEST_F(IoDescriptorPassing, Fault_NT01_InterruptionsLoseNone) {
    static int lies;
    sys.recvmsg = [](int fd, msghdr* m, int flags) -> ssize_t {
        return lies-- > 0 ? (errno = EINTR, -1) : ::recvmsg(fd, m, flags);
    };
    sys.sendmsg = [](int fd, const msghdr* m, int flags) -> ssize_t {
        return lies-- > 0 ? (errno = EINTR, -1) : ::sendmsg(fd, m, flags);
    };
    auto [left, right] = io::socketpair();
    const std::array fds = {left.native_handle()};
    lies = 3;
    io::send_descriptors(left, "x", fds);
    lies = 3;
    EXPECT_EQ(io::recv_descriptors(right, buffer).descriptors.size(), 1U);
}

TEST_F(IoDescriptorPassing, Fault_NT19_PeerCredentials) {
    const std::string name = "unix:@copse-credentials-" + std::to_string(::getpid());
    auto listener = io::listen(name);
    auto client = io::connect(name);
    io::socket server = listener.accept();
    for (const io::socket* s : {&client, &server}) {
        const auto peer = s->get_option<io::peer_credentials>();
        EXPECT_EQ(peer.pid, ::getpid());
        EXPECT_EQ(peer.uid, ::geteuid());
        EXPECT_EQ(peer.gid, ::getegid());
    }
}

}  // namespace
