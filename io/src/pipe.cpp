// What the end of a pipe is: its descriptor, its entry, its thread. The verbs that wait are in pipe_transfer.cpp.
#include <copse/io/pipe.hpp>

#include <fcntl.h>

#include <cerrno>
#include <string>

#include <copse/error.hpp>

#include "failure.hpp"
#include "pipe_access.hpp"
#include "reactor.hpp"
#include "system_calls.hpp"

namespace copse::io {

namespace detail {

namespace {

bool is_open_for(int fd, direction d) {
    const int flags = ::fcntl(fd, F_GETFL);
    if (flags < 0) fail(errno, "adopt", fd);
    const int mode = flags & O_ACCMODE;
    return mode == O_RDWR || mode == (d == direction::in ? O_RDONLY : O_WRONLY);
}

}  // namespace

// Closes the descriptor if it fails.
void pipe_end::take_over(int fd, std::uint8_t ready) {
    try {
        reactor& r = reactor::here();
        entry_ = &r.adopt(fd, ready, false, false);
        home_ = r.serial();
        generation_ = entry_->generation;
        fd_ = fd;
    } catch (...) {
        sys.close(fd);
        throw;
    }
}

void pipe_end::adopt_as(int fd, direction d) {
    if (!is_open_for(fd, d))
        fail(EBADF, describe("adopt", fd) + (d == direction::in ? ", not open for reading" : ", not open for writing"));
    if (sys.set_nonblocking(fd) != 0) fail(errno, "adopt", fd);
    reactor::here().table().at(fd);  // what can fail, fails while the number is still the caller's
    take_over(fd, bit(d));           // a call tells more than epoll, which knows no regular files
}

void pipe_end::borrow_as(int fd) {
    if (::fcntl(fd, F_GETFD) < 0) fail(errno, "borrow", fd);
    reactor& r = reactor::here();
    entry_ = &r.table().at(fd);
    home_ = r.serial();
    fd_ = fd;
    borrowed_ = true;
}

entry& pipe_end::use(const char* operation) const {
    const bool here = home_ == home.serial;
    if (here && (borrowed_ || entry_->generation == generation_)) return *entry_;
    if (fd_ < 0) fail(EBADF, std::string(operation) + " on a closed pipe");
    if (here) fail(EBADF, describe(operation, fd_) + ", closed by number: its descriptor is somebody else's now");
    throw wrong_thread(describe(operation, fd_) +
                       ": the pipe belongs to another thread; release() it there, adopt() it here");
}

void pipe_end::close() noexcept {
    const int fd = std::exchange(fd_, -1);
    const bool here = std::exchange(home_, no_home) == home.serial;
    entry* const e = std::exchange(entry_, nullptr);
    if (fd < 0 || borrowed_) return;
    if (here) {
        if (e->generation != generation_) return;  // closed by number: not ours to close again
        home.now->closing(*e);
    }
    sys.close(fd);
}

int pipe_end::release() {
    if (fd_ < 0) return -1;
    entry& e = use("release");
    if (!borrowed_) home.now->closing(e);
    entry_ = nullptr;
    home_ = no_home;
    return std::exchange(fd_, -1);
}

pipe_reader pipe_access::reader_of(int fd) {
    pipe_reader made;
    made.take_over(fd, 0);
    return made;
}

pipe_writer pipe_access::writer_of(int fd) {
    pipe_writer made;
    made.take_over(fd, bit(direction::out));
    return made;
}

}  // namespace detail

pipe_reader pipe_reader::adopt(int fd) {
    pipe_reader made;
    made.adopt_as(fd, detail::direction::in);
    return made;
}

pipe_reader pipe_reader::borrow(int fd) {
    pipe_reader made;
    made.borrow_as(fd);
    return made;
}

pipe_writer pipe_writer::adopt(int fd) {
    pipe_writer made;
    made.adopt_as(fd, detail::direction::out);
    return made;
}

pipe_writer pipe_writer::borrow(int fd) {
    pipe_writer made;
    made.borrow_as(fd);
    return made;
}

pipe_pair pipe() {
    int both[2];
    if (detail::sys.pipe2(both, O_NONBLOCK | O_CLOEXEC) != 0) detail::fail(errno, "pipe");
    try {
        pipe_reader reader = detail::pipe_access::reader_of(std::exchange(both[0], -1));
        pipe_writer writer = detail::pipe_access::writer_of(std::exchange(both[1], -1));
        return {std::move(reader), std::move(writer)};
    } catch (...) {
        if (both[1] >= 0) detail::sys.close(both[1]);
        throw;
    }
}

}  // namespace copse::io
