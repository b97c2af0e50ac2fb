// What has been received and not been used. The memory is one of the thread's pooled buffers, held only while there is
// something in it, so that idle connections cost none; where a head may be larger than that, memory of its own.
#pragma once

#include <cstddef>
#include <memory>
#include <string_view>

#include <copse/io/buffer.hpp>

#include "http/wire.hpp"

namespace copse::io::http::detail {

class intake {
public:
    /// `most`: how many bytes must fit in one piece.
    explicit intake(std::size_t most) noexcept
        : capacity_(most <= pooled_buffer::capacity ? pooled_buffer::capacity : most) {}

    std::string_view unread() const noexcept {
        return {reinterpret_cast<const char*>(memory_) + begin_, end_ - begin_};
    }
    bool empty() const noexcept { return begin_ == end_; }
    /// There is no room for more.
    bool full() const noexcept { return end_ - begin_ == capacity_; }

    void consume(std::size_t n) noexcept {
        begin_ += n;
        if (begin_ == end_) let_go();
    }

    /// Receives more; not when full. Views of what is unread are of no use afterwards.
    /// Parks:   until there is something.
    /// Returns: false at the end of the stream.
    bool fill(wire& from, patience p);

private:
    void hold();
    void let_go() noexcept;

    std::size_t capacity_;
    pooled_buffer pooled_;
    std::unique_ptr<std::byte[]> own_;
    std::byte* memory_ = nullptr;  // of one of the two
    std::size_t begin_ = 0;
    std::size_t end_ = 0;
};

}  // namespace copse::io::http::detail
