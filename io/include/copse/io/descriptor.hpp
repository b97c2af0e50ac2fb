/// A descriptor that somebody owns.
#pragma once

#include <utility>

namespace copse::io {

/// Owns a descriptor of any kind and closes it at its end.
///
/// It may be moved to another thread. Fibers that wait for the number (wait_readable) are woken with EBADF before it is
/// closed, those of the closing thread.
class descriptor {
public:
    /// Owns none.
    constexpr descriptor() noexcept = default;
    /// Takes `fd` over; -1 is none.
    explicit constexpr descriptor(int fd) noexcept : fd_(fd) {}
    constexpr descriptor(descriptor&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
    descriptor& operator=(descriptor&& other) noexcept {
        descriptor(std::move(other)).swap(*this);
        return *this;
    }
    ~descriptor() {
        if (fd_ >= 0) close();
    }

    void swap(descriptor& other) noexcept { std::swap(fd_, other.fd_); }

    bool is_open() const noexcept { return fd_ >= 0; }
    explicit operator bool() const noexcept { return is_open(); }
    /// -1 if there is none.
    int get() const noexcept { return fd_; }
    /// Gives it away: `socket::adopt(d.release())`.
    [[nodiscard]] int release() noexcept { return std::exchange(fd_, -1); }
    void close() noexcept;

private:
    int fd_ = -1;
};

}  // namespace copse::io
