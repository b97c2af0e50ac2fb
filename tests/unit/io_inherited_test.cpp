// Socket activation: what is taken from the environment, and what is refused. Most of it happens in a child, whose numbers
// from 3 on can be arranged.

#include "fork_at_rest.hpp"
#include "io_leak_check.hpp"

#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <initializer_list>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

using namespace std::chrono_literals;
using namespace copse_test;
namespace io = copse::io;

namespace {

/// Sets the three variables, and removes them at its end. A null pointer removes one.
class offer {
public:
    offer(const char* pid, const char* fds, const char* names) {
        set("LISTEN_PID", pid);
        set("LISTEN_FDS", fds);
        set("LISTEN_FDNAMES", names);
    }
    offer(const offer&) = delete;
    offer& operator=(const offer&) = delete;
    ~offer() {
        for (const char* name : {"LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"}) set(name, nullptr);
    }

private:
    static void set(const char* name, const char* value) {
        value != nullptr ? ::setenv(name, value, 1) : ::unsetenv(name);
    }
};

std::string own_pid() { return std::to_string(::getpid()); }

/// What `body` returns or throws, called in a child that was given these descriptors from number 3 on.
template <class F>
std::string in_child(const std::vector<int>& given, F body) {
    int answer[2];
    EXPECT_EQ(::pipe2(answer, O_CLOEXEC), 0);
    const pid_t child = fork_at_rest();
    if (child == 0) {
        constexpr int out_of_the_way = 500;
        const int to_parent = ::fcntl(answer[1], F_DUPFD_CLOEXEC, out_of_the_way);
        std::vector<int> kept;
        for (const int fd : given) kept.push_back(::fcntl(fd, F_DUPFD_CLOEXEC, out_of_the_way));
        for (int fd = 3; fd < 50; ++fd) ::close(fd);
        for (std::size_t i = 0; i < kept.size(); ++i) {
            ::dup2(kept[i], 3 + static_cast<int>(i));
            ::close(kept[i]);
        }
        const std::string pid = own_pid();
        const std::string fds = std::to_string(given.size());
        const offer to_us(pid.c_str(), fds.c_str(), nullptr);
        std::string said;
        try {
            said = body();
        } catch (const std::exception& e) {
            said = e.what();
        }
        [[maybe_unused]] const ssize_t n = ::write(to_parent, said.data(), said.size());
        ::_exit(0);
    }
    ::close(answer[1]);
    std::string said(4096, '\0');
    const ssize_t n = ::read(answer[0], said.data(), said.size());
    said.resize(n > 0 ? static_cast<std::size_t>(n) : 0);
    ::close(answer[0]);
    int status = -1;
    EXPECT_EQ(::waitpid(child, &status, 0), child);
    EXPECT_EQ(status, 0);
    return said;
}

bool closes_on_exec(int fd) { return (::fcntl(fd, F_GETFD) & FD_CLOEXEC) != 0; }

using IoInherited = io_leak_check;

TEST_F(IoInherited, NothingUnlessItIsMeantForUs) {
    EXPECT_TRUE(io::inherited_listeners().empty());
    const std::string another = std::to_string(::getppid());
    for (const char* pid : {another.c_str(), static_cast<const char*>(nullptr)}) {
        const offer to_another(pid, "3", "a:b:c");
        EXPECT_TRUE(io::inherited_listeners().empty());
        EXPECT_TRUE(io::inherited_descriptors().empty());
        EXPECT_NE(::getenv("LISTEN_FDS"), nullptr) << "it stays for whom it is meant";
    }
    const offer none(own_pid().c_str(), "0", nullptr);
    EXPECT_TRUE(io::inherited_listeners().empty());
    EXPECT_EQ(::getenv("LISTEN_PID"), nullptr);
}

TEST_F(IoInherited, VariablesThatMakeNoSense) {
    const std::string pid = own_pid();
    const auto refused = [](const char* p, const char* fds, const char* names) {
        const offer bad(p, fds, names);
        EXPECT_THROW(io::inherited_listeners(), std::invalid_argument) << p << ' ' << fds;
        EXPECT_THROW(io::inherited_descriptors(), std::invalid_argument);
        EXPECT_NE(::getenv("LISTEN_PID"), nullptr) << "nothing was changed";
    };
    for (const char* bad : {"", "x", "1x", " 1", "-1", "99999999999999999999"}) {
        refused(bad, "1", nullptr);
        refused(pid.c_str(), bad, nullptr);
    }
    refused(pid.c_str(), "2000000", nullptr);
    refused(pid.c_str(), "2", "one");
    refused(pid.c_str(), "1", "one:two");
    refused(pid.c_str(), "0", "one");
    const offer bad(pid.c_str(), "two", nullptr);
    EXPECT_EQ(text_of([] { io::inherited_listeners(); }), "LISTEN_FDS is \"two\", no number");
}

TEST_F(IoInherited, ListenersBecomeServers) {
    auto stream = io::listen("127.0.0.1:0");
    auto local = io::listen("unix:@copse-inherited-" + own_pid());
    auto datagrams = io::bind_datagram("127.0.0.1:0");
    const auto body = [] {
        ::setenv("LISTEN_FDNAMES", "web:local:", 1);
        std::vector<io::inherited_listener> all = io::inherited_listeners();
        std::string said;
        for (const auto& one : all) said += one.name + (closes_on_exec(one.listener.native_handle()) ? "+" : "-");
        said += io::inherited_listeners().empty() && ::getenv("LISTEN_FDNAMES") == nullptr ? " once" : " again";
        io::stream_server web(std::move(all.at(0).listener), [](io::socket& s) { s.send_all(" web"); });
        io::stream_server unix_server(std::move(all.at(1).listener), [](io::socket& s) { s.send_all(" local"); });
        io::datagram_server clock(std::move(all.at(2).listener),
                                  [](io::incoming_datagram& d) { d.reply(" datagram"); });
        web.start();
        unix_server.start();
        clock.start();
        auto a = io::connect(web.local_endpoint());
        auto b = io::connect(unix_server.local_endpoint());
        auto c = io::connect_datagram(clock.local_endpoint());
        c.send("?");
        return said + recv_to_end(a) + recv_to_end(b) + recv_text(c);
    };
    EXPECT_EQ(in_child({stream.native_handle(), local.native_handle(), datagrams.native_handle()}, body),
              "web+local++ once web local datagram");
}

TEST_F(IoInherited, NamesMayBeMissing) {
    auto stream = io::listen("127.0.0.1:0");
    EXPECT_EQ(in_child({stream.native_handle()}, [] { return io::inherited_listeners().at(0).name; }), "unknown");
}

TEST_F(IoInherited, WhatIsNoListenerIsRefusedAndStays) {
    auto stream = io::listen("127.0.0.1:0");
    auto [left, right] = io::socketpair();
    const auto refusal = [] {
        std::string said = text_of([] { io::inherited_listeners(); });
        if (::getenv("LISTEN_PID") == nullptr) said += ", environment changed";
        if (closes_on_exec(3)) said += ", first one changed";
        return said;
    };
    EXPECT_EQ(in_child({stream.native_handle(), right.native_handle()}, refusal),
              "inherited descriptor 4 (unknown), which does not listen: Invalid argument");
    EXPECT_EQ(in_child({stream.native_handle(), 0}, refusal),
              "inherited descriptor 4 (unknown): Socket operation on non-socket");
    const auto missing = [&] {
        ::setenv("LISTEN_FDS", "2", 1);
        return refusal();
    };
    EXPECT_EQ(in_child({stream.native_handle()}, missing), "inherited descriptor 4 (unknown): Bad file descriptor");
}

TEST_F(IoInherited, DescriptorsOfAllKinds) {
    auto [left, right] = io::socketpair();
    const auto body = [] {
        ::setenv("LISTEN_FDNAMES", "file:connection", 1);
        std::vector<io::inherited_descriptor> all = io::inherited_descriptors();
        if (!closes_on_exec(all.at(0).opened.get())) return std::string("inherited on");
        io::socket connection = io::socket::adopt(all.at(1).opened.release());
        connection.send_all("hello from " + all.at(1).name);
        return all.at(0).name;
    };
    EXPECT_EQ(in_child({0, right.native_handle()}, body), "file");
    EXPECT_EQ(recv_text(left), "hello from connection");
}

}  // namespace
