// Bytes that were received and not yet taken.
#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <string_view>
#include <utility>

namespace copse::io::detail {

/// Taken at the front, filled at the back. What was taken stays where it is until room is asked for: views of it live as
/// long.
class byte_buffer {
public:
    byte_buffer() noexcept = default;
    byte_buffer(byte_buffer&& other) noexcept
        : data_(std::move(other.data_)),
          capacity_(std::exchange(other.capacity_, 0)),
          begin_(std::exchange(other.begin_, 0)),
          end_(std::exchange(other.end_, 0)) {}
    byte_buffer& operator=(byte_buffer&& other) noexcept {
        data_ = std::move(other.data_);
        capacity_ = std::exchange(other.capacity_, 0);
        begin_ = std::exchange(other.begin_, 0);
        end_ = std::exchange(other.end_, 0);
        return *this;
    }

    std::size_t size() const noexcept { return end_ - begin_; }
    bool empty() const noexcept { return begin_ == end_; }
    std::span<const std::byte> bytes() const noexcept { return {data_.get() + begin_, size()}; }
    std::string_view text() const noexcept {
        return {reinterpret_cast<const char*>(data_.get()) + begin_, size()};  // bytes may be looked at as characters
    }

    /// The first `n` bytes, at most as many as there are.
    void consume(std::size_t n) noexcept { begin_ += n; }

    /// At least `n` bytes behind the last one, to be filled. Throws: std::bad_alloc.
    std::span<std::byte> room(std::size_t n);
    /// The first `n` bytes of the room were filled.
    void commit(std::size_t n) noexcept { end_ += n; }

    /// Throws:  std::bad_alloc.
    void append(std::span<const std::byte> bytes);

private:
    std::unique_ptr<std::byte[]> data_;  // capacity_ bytes; those from begin_ to end_ count
    std::size_t capacity_ = 0;
    std::size_t begin_ = 0;
    std::size_t end_ = 0;
};

}  // namespace copse::io::detail
