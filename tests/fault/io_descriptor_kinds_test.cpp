// A descriptor of each kind is waited for: FD15.

#include "io_descriptors.hpp"

#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/if_packet.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <linux/vm_sockets.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <pty.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <functional>
#include <ostream>
#include <string>
#include <system_error>
#include <utility>
using namespace std::chrono_literals;
using namespace copse_test;
namespace io = copse::io;

namespace {

int other_end = -1;  // of a pty, FIFO or epoll
pid_t child = -1;    // of a pidfd

struct kind {
    const char* name;
    std::function<int()> open;  // -1: this machine has none
    std::function<void(int)> make_ready;

    friend void PrintTo(const kind& k, std::ostream* out) { *out << k.name; }
};

class IoDescriptorKinds : public descriptor_fixture, public testing::WithParamInterface<kind> {
protected:
    void TearDown() override {
        if (other_end >= 0) ::close(std::exchange(other_end, -1));
        if (child > 0) ::waitpid(std::exchange(child, -1), nullptr, 0);
        descriptor_fixture::TearDown();
    }
};

TEST_P(IoDescriptorKinds, Fault_FD15_IsWaitedFor) {
    const descriptor d(GetParam().open());
    if (d.get() < 0) GTEST_SKIP() << GetParam().name << ": " << std::generic_category().message(errno);
    EXPECT_THROW(io::wait_readable_for(d.get(), 0s), io::timed_out);
    auto reader = copse::spawn([&] { io::wait_readable(d.get()); });
    copse::yield();
    EXPECT_FALSE(reader.ready());
    GetParam().make_ready(d.get());
    reader.get();
    io::wait_readable(d.get());
}

int open_timer() { return ::timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC); }
void expire(int fd) {
    const itimerspec soon{{}, {0, 1}};
    ::timerfd_settime(fd, 0, &soon, nullptr);
}

// The signal stays blocked, and must not be pending: nobody reads the one that the test before has sent.
int open_signals() {
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGUSR2);
    ::pthread_sigmask(SIG_BLOCK, &set, nullptr);
    const timespec at_once{};
    while (::sigtimedwait(&set, nullptr, &at_once) == SIGUSR2) {}
    return ::signalfd(-1, &set, SFD_CLOEXEC);
}
void signal_self(int) { ::pthread_kill(::pthread_self(), SIGUSR2); }

int open_watch() {
    const int fd = ::inotify_init1(IN_CLOEXEC);
    ::inotify_add_watch(fd, "/proc/self/exe", IN_ACCESS | IN_OPEN);
    return fd;
}
void touch(int) { ::close(::open("/proc/self/exe", O_RDONLY | O_CLOEXEC)); }

int open_child() {
    child = ::fork();
    if (child == 0) {
        for (;;) ::pause();
    }
    return static_cast<int>(syscall(SYS_pidfd_open, child, 0));
}
void end_child(int) { ::kill(child, SIGKILL); }

int open_pty() {
    int master = -1;
    ::openpty(&master, &other_end, nullptr, nullptr, nullptr);
    return master;
}

int open_fifo() {
    const std::string name = testing::TempDir() + "copse-fifo-" + std::to_string(::getpid());
    ::mkfifo(name.c_str(), 0600);
    const int fd = ::open(name.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    other_end = ::open(name.c_str(), O_WRONLY | O_NONBLOCK | O_CLOEXEC);
    ::unlink(name.c_str());
    return fd;
}
void put_in_other_end(int) { put(other_end); }

int open_routes() { return ::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE); }
void ask_for_links(int fd) {
    struct {
        nlmsghdr header;
        rtgenmsg family;
    } request{{sizeof request, RTM_GETLINK, NLM_F_REQUEST | NLM_F_DUMP, 1, 0}, {AF_UNSPEC}};
    EXPECT_GT(::send(fd, &request, sizeof request, 0), 0);
}

int open_datagrams() {
    const int fd = ::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    const io::endpoint here = io::endpoint::loopback(0);
    EXPECT_EQ(::bind(fd, here.native(), here.native_size()), 0);
    return fd;
}
void send_to_self(int fd) {
    sockaddr_storage self{};
    socklen_t size = sizeof self;
    ::getsockname(fd, reinterpret_cast<sockaddr*>(&self), &size);
    EXPECT_EQ(::sendto(fd, "x", 1, 0, reinterpret_cast<sockaddr*>(&self), size), 1);
}

int open_packets() { return ::socket(AF_PACKET, SOCK_DGRAM | SOCK_CLOEXEC, htons(ETH_P_LOOPBACK)); }
void send_packet(int fd) {
    sockaddr_ll there{};
    there.sll_family = AF_PACKET;
    there.sll_protocol = htons(ETH_P_LOOPBACK);
    there.sll_ifindex = static_cast<int>(::if_nametoindex("lo"));
    there.sll_halen = ETH_ALEN;
    EXPECT_EQ(::sendto(fd, "x", 1, 0, reinterpret_cast<sockaddr*>(&there), sizeof there), 1);
}

int open_vsock() {
    const int fd = ::socket(AF_VSOCK, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_vm here{};
    here.svm_family = AF_VSOCK;
    here.svm_cid = VMADDR_CID_LOCAL;
    here.svm_port = VMADDR_PORT_ANY;
    if (fd < 0 || (::bind(fd, reinterpret_cast<sockaddr*>(&here), sizeof here) == 0 && ::listen(fd, 1) == 0)) return fd;
    ::close(fd);
    return -1;
}
void connect_to(int fd) {
    sockaddr_vm there{};
    socklen_t size = sizeof there;
    ::getsockname(fd, reinterpret_cast<sockaddr*>(&there), &size);
    other_end = ::socket(AF_VSOCK, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    ::connect(other_end, reinterpret_cast<sockaddr*>(&there), sizeof there);
}

int open_epoll() {
    const int fd = ::epoll_create1(EPOLL_CLOEXEC);
    other_end = ::eventfd(0, EFD_CLOEXEC);
    epoll_event event{EPOLLIN, {}};
    ::epoll_ctl(fd, EPOLL_CTL_ADD, other_end, &event);
    return fd;
}
void count_in_other_end(int) { ::eventfd_write(other_end, 1); }

const kind kinds[] = {
    {"eventfd", [] { return ::eventfd(0, EFD_CLOEXEC); }, [](int fd) { ::eventfd_write(fd, 1); }},
    {"timerfd", open_timer, expire},
    {"signalfd", open_signals, signal_self},
    {"inotify", open_watch, touch},
    {"pidfd", open_child, end_child},
    {"pty", open_pty, put_in_other_end},
    {"fifo", open_fifo, put_in_other_end},
    {"netlink", open_routes, ask_for_links},
    {"udp", open_datagrams, send_to_self},
    {"packet", open_packets, send_packet},
    {"vsock", open_vsock, connect_to},
    {"epoll", open_epoll, count_in_other_end},
};

std::string name_of_kind(const testing::TestParamInfo<kind>& chosen) { return chosen.param.name; }

INSTANTIATE_TEST_SUITE_P(All, IoDescriptorKinds, testing::ValuesIn(kinds), name_of_kind);

}  // namespace
