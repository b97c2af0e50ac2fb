/// Buffers to receive into, held only while there is something in them.
#pragma once

#include <cstddef>
#include <span>
#include <string_view>
#include <utility>

namespace copse::io {

/// What `socket::recv_pooled` returns: bytes received, in a buffer that goes back to the thread's pool when this ends.
///
/// The pool is last in, first out. A thousand connections that receive into arrays of their own touch a thousand cold
/// buffers; through the pool they share the one that is hot in the cache, since between two receives none is held.
///
///     while (auto chunk = connection.recv_pooled()) connection.send_all(chunk.bytes());
///
/// May be moved to another thread; the buffer then goes to that thread's pool.
class pooled_buffer {
public:
    /// More than 16 KiB: a message of that common size leaves room, and a receive that leaves room has taken all that there
    /// is, so that no second call is made to learn it.
    static constexpr std::size_t capacity = 16 * 1024 + 256;

    /// Holds nothing.
    pooled_buffer() noexcept = default;
    pooled_buffer(pooled_buffer&& other) noexcept
        : data_(std::exchange(other.data_, nullptr)), size_(std::exchange(other.size_, 0)) {}
    pooled_buffer& operator=(pooled_buffer&& other) noexcept {
        std::swap(data_, other.data_);
        std::swap(size_, other.size_);
        return *this;
    }
    ~pooled_buffer() {
        if (data_ != nullptr) give_back();
    }

    /// A whole buffer of this thread's pool, `capacity` bytes, not initialised.
    /// Throws:  std::bad_alloc.
    static pooled_buffer take();

    std::byte* data() noexcept { return data_; }
    const std::byte* data() const noexcept { return data_; }
    std::size_t size() const noexcept { return size_; }
    bool empty() const noexcept { return size_ == 0; }
    explicit operator bool() const noexcept { return !empty(); }

    std::span<std::byte> bytes() noexcept { return {data_, size_}; }
    std::span<const std::byte> bytes() const noexcept { return {data_, size_}; }
    std::string_view text() const noexcept { return {reinterpret_cast<const char*>(data_), size_}; }

    /// Keeps the first `n` bytes, at most as many as there are; of 0 nothing is held any more.
    void truncate(std::size_t n) noexcept;

private:
    void give_back() noexcept;

    std::byte* data_ = nullptr;
    std::size_t size_ = 0;
};

}  // namespace copse::io
