// Pieces of memory as sendmsg and recvmsg want them.
#pragma once

#include <sys/socket.h>
#include <sys/uio.h>

#include <algorithm>
#include <cstddef>
#include <span>
#include <vector>

#include <copse/io/buffer_view.hpp>

namespace copse::io::detail {

struct buffer_access {
    static const iovec& piece(const const_buffer& b) noexcept { return b.piece_; }
    static const iovec& piece(const mutable_buffer& b) noexcept { return b.piece_; }
};

/// The pieces of one call, copied: the first of them may begin in its middle. Empty ones are left out.
class pieces {
public:
    /// As many as fit here: enough for a stream, where the next call takes the others.
    static constexpr std::size_t some = 64;

    /// `whole`: all of them, for a message, which is one call. Throws: std::bad_alloc, only if there are more than `some`.
    template <class Buffer>
    pieces(std::span<const Buffer> all, bool whole) {
        if (whole && all.size() > some) {
            many_.resize(all.size());
            room_ = many_;
        }
        for (next_ = 0; next_ < all.size() && count_ < room_.size(); ++next_) add(buffer_access::piece(all[next_]));
    }

    pieces(const pieces&) = delete;
    pieces& operator=(const pieces&) = delete;

    /// What stands after the first `n` bytes of this call, and what of `all` has had no room so far.
    template <class Buffer>
    void advance(std::size_t n, std::span<const Buffer> all) noexcept {
        std::size_t gone = 0;
        while (gone < count_ && n >= room_[gone].iov_len) n -= room_[gone++].iov_len;
        std::copy(room_.begin() + static_cast<std::ptrdiff_t>(gone),
                  room_.begin() + static_cast<std::ptrdiff_t>(count_), room_.begin());
        count_ -= gone;
        if (n != 0) {
            room_[0].iov_base = static_cast<std::byte*>(room_[0].iov_base) + n;
            room_[0].iov_len -= n;
        }
        for (; next_ < all.size() && count_ < room_.size(); ++next_) add(buffer_access::piece(all[next_]));
    }

    bool empty() const noexcept { return count_ == 0; }

    /// How many bytes this call can move.
    std::size_t size() const noexcept {
        std::size_t sum = 0;
        for (const iovec& one : room_.first(count_)) sum += one.iov_len;
        return sum;
    }

    /// Refers to this.
    msghdr message() noexcept {
        msghdr m{};
        m.msg_iov = room_.data();
        m.msg_iovlen = count_;
        return m;
    }

private:
    void add(const iovec& one) noexcept {
        if (one.iov_len != 0) room_[count_++] = one;
    }

    iovec here_[some];
    std::vector<iovec> many_;
    std::span<iovec> room_ = here_;
    std::size_t count_ = 0;
    std::size_t next_ = 0;  // of those that have had no room
};

}  // namespace copse::io::detail
