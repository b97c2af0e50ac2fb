// The stream below HTTP, plain or secured, and how long a peer may keep us waiting on it.
#pragma once

#include <chrono>
#include <cstddef>
#include <span>
#include <string_view>

#include <copse/io/any_stream.hpp>
#include <copse/io/buffer.hpp>
#include <copse/io/detail/limit.hpp>
#include <copse/io/socket.hpp>

#include "failure.hpp"
#include "lent_socket.hpp"

namespace copse::io::http::detail {

using io::detail::limit;

/// For how long one wait may go without a byte (0: without end), and until when all of them.
struct patience {
    std::chrono::nanoseconds pause{0};
    limit whole{};

    bool is_over();
};

class wire {
public:
    explicit wire(socket s) noexcept : plain_(std::move(s)) {}

    /// From now on what `make` makes of the socket. Throws: what it throws; the socket is closed then.
    /// Returns: whether that is open.
    template <class Make>
    bool secure(Make&& make) {
        inner_ = io::detail::lent_socket(plain_);
        secured_ = make(std::move(plain_));
        is_secure_ = true;
        return secured_.is_open();
    }
    bool is_secure() const noexcept { return is_secure_; }
    /// What the errors of this connection say that they come from.
    io::detail::origin whose() const;

    /// Into a buffer that is taken only when there is something; of a secured stream, at once.
    /// Returns: empty at the end of the stream.
    pooled_buffer recv_pooled(patience p);
    /// Returns: 0 at the end of the stream.
    std::size_t recv(std::span<std::byte> into, patience p);
    /// Throws: timed_out if for `p.pause` not a byte was taken.
    void send_all(std::span<const const_buffer> pieces, patience p);
    void send_all(std::string_view text, patience p);

    /// Of a plain stream only. Returns: how many bytes were sent; fewer if the file ended.
    std::uint64_t send_file(int file, std::uint64_t offset, std::uint64_t count, patience p);

    /// Nothing more is sent; what the peer still sends is dropped for a moment, so that no reset overtakes what we
    /// have sent.
    void linger();
    /// What was sent is no whole: the peer shall see a reset when the stream is closed, and not an end.
    void abort() noexcept;
    /// Ends a wait for the peer's next byte, and that of `secure`, from another fiber.
    void wake() noexcept;
    /// Gives the stream away.
    any_stream release();

private:
    void send_in_time(std::span<const const_buffer> pieces, patience p);

    socket plain_;
    any_stream secured_;
    io::detail::lent_socket inner_;  // of the secured stream
    bool is_secure_ = false;
};

}  // namespace copse::io::http::detail
