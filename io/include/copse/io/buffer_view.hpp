/// Pieces of memory, to be sent or filled with one call.
#pragma once

#include <sys/uio.h>

#include <concepts>
#include <cstddef>
#include <span>
#include <string_view>

namespace copse::io {

namespace detail {
struct buffer_access;
}  // namespace detail

/// Bytes that are only read: of anything that is a span of bytes or a text. Refers to them.
///
///     connection.send_all({"HTTP/1.1 200 OK\r\n\r\n", body});
class const_buffer {
public:
    constexpr const_buffer() noexcept = default;
    template <class Bytes>
        requires std::convertible_to<const Bytes&, std::span<const std::byte>>
    explicit(false) const_buffer(const Bytes& bytes) noexcept : piece_(piece_of(bytes)) {}
    template <class Text>
        requires std::convertible_to<const Text&, std::string_view>
    explicit(false) const_buffer(const Text& text) noexcept
        : piece_(piece_of(std::as_bytes(std::span<const char>(std::string_view(text))))) {}

    const std::byte* data() const noexcept { return static_cast<const std::byte*>(piece_.iov_base); }
    std::size_t size() const noexcept { return piece_.iov_len; }
    std::span<const std::byte> bytes() const noexcept { return {data(), size()}; }

private:
    friend struct detail::buffer_access;

    static iovec piece_of(std::span<const std::byte> bytes) noexcept {
        return {const_cast<std::byte*>(bytes.data()), bytes.size()};  // iovec serves both directions
    }

    iovec piece_{};
};

/// Bytes that are written to. Refers to them.
class mutable_buffer {
public:
    constexpr mutable_buffer() noexcept = default;
    template <class Bytes>
        requires std::convertible_to<Bytes&&, std::span<std::byte>>
    explicit(false) mutable_buffer(Bytes&& bytes) noexcept : piece_(piece_of(bytes)) {}

    std::byte* data() const noexcept { return static_cast<std::byte*>(piece_.iov_base); }
    std::size_t size() const noexcept { return piece_.iov_len; }
    std::span<std::byte> bytes() const noexcept { return {data(), size()}; }

private:
    friend struct detail::buffer_access;

    static iovec piece_of(std::span<std::byte> bytes) noexcept { return {bytes.data(), bytes.size()}; }

    iovec piece_{};
};

}  // namespace copse::io
