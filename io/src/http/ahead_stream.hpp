// A stream of which something has been received already: that comes first.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstring>
#include <span>
#include <string>
#include <utility>

#include <copse/io/any_stream.hpp>

namespace copse::io::http::detail {

class ahead_stream {
public:
    ahead_stream(std::string ahead, any_stream below) : ahead_(std::move(ahead)), below_(std::move(below)) {}

    std::size_t recv(std::span<std::byte> into) { return taken_ != ahead_.size() ? take(into) : below_.recv(into); }
    std::size_t recv_until(std::span<std::byte> into, clock::time_point when) {
        return taken_ != ahead_.size() ? take(into) : below_.recv_until(into, when);
    }
    void send_all(std::span<const const_buffer> pieces) { below_.send_all(pieces); }
    void send_all_until(std::span<const const_buffer> pieces, clock::time_point when) {
        below_.send_all_until(pieces, when);
    }
    void shutdown(shut how) { below_.shutdown(how); }
    void shutdown_until(shut how, clock::time_point when) { below_.shutdown_until(how, when); }
    void close() { below_.close(); }
    bool is_open() const noexcept { return below_.is_open(); }

private:
    std::size_t take(std::span<std::byte> into) noexcept {
        const std::size_t n = std::min(into.size(), ahead_.size() - taken_);
        std::memcpy(into.data(), ahead_.data() + taken_, n);
        taken_ += n;
        return n;
    }

    std::string ahead_;
    std::size_t taken_ = 0;
    any_stream below_;
};

}  // namespace copse::io::http::detail
