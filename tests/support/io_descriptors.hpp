#pragma once

/// Descriptors that are none of the library's: who owns one in a test, and a fixture for them.

#include "io_leak_check.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <cstddef>
#include <utility>

namespace copse_test {

/// Closes it as a careful program does.
class descriptor {
public:
    explicit descriptor(int fd) : fd_(fd) {}
    descriptor(descriptor&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
    descriptor& operator=(descriptor&&) = delete;
    ~descriptor() { close(); }
    int get() const { return fd_; }
    void close() {
        if (fd_ < 0) return;
        copse::io::notify_closing(fd_);
        ::close(std::exchange(fd_, -1));
    }

private:
    int fd_;
};

struct pipe_ends {
    descriptor reader;
    descriptor writer;
};

inline pipe_ends make_pipe() {
    int ends[2];
    EXPECT_EQ(::pipe2(ends, O_NONBLOCK | O_CLOEXEC), 0);
    return {descriptor(ends[0]), descriptor(ends[1])};
}

inline void put(int fd) { EXPECT_EQ(::write(fd, "x", 1), 1); }
inline bool take(int fd) {
    char c = 0;
    return ::read(fd, &c, 1) == 1;
}

class descriptor_fixture : public io_leak_check {
protected:
    std::array<std::byte, 4096> buffer{};
};

}  // namespace copse_test
