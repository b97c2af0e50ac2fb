#pragma once

/// A pipe that no object of copse owns.

#include <copse/io/wait.hpp>

#include <gtest/gtest.h>

#include <cerrno>
#include <string>
#include <utility>

#include <fcntl.h>
#include <unistd.h>

namespace copse_test {

/// As a careful program closes a number.
inline void close_with_notice(int fd) {
    copse::io::notify_closing(fd);
    ::close(fd);
}

class foreign_pipe {
public:
    foreign_pipe() { EXPECT_EQ(::pipe2(ends_, O_NONBLOCK | O_CLOEXEC), 0); }
    foreign_pipe(const foreign_pipe&) = delete;
    foreign_pipe& operator=(const foreign_pipe&) = delete;
    ~foreign_pipe() {
        close_reader();
        close_writer();
    }

    int reader() const { return ends_[0]; }
    int writer() const { return ends_[1]; }
    void put(char c = 'x') const { EXPECT_EQ(::write(writer(), &c, 1), 1); }
    bool take() const {
        char c = 0;
        return ::read(reader(), &c, 1) == 1;
    }
    void fill() const {
        const std::string block(4096, 'x');
        while (::write(writer(), block.data(), block.size()) > 0) {}
    }
    void close_reader() { close(ends_[0]); }
    void close_writer() { close(ends_[1]); }
    /// Gives the number away.
    int release_reader() { return std::exchange(ends_[0], -1); }

private:
    static void close(int& end) {
        if (end >= 0) close_with_notice(std::exchange(end, -1));
    }

    int ends_[2] = {-1, -1};
};

}  // namespace copse_test
