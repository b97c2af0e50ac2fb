#pragma once

/// A stream whose end waits, as one may that says goodbye.

#include <copse/event.hpp>
#include <copse/io/any_stream.hpp>
#include <copse/shield.hpp>

#include <cstddef>
#include <memory>
#include <span>
#include <utility>

namespace copse_test {

class parking_stream {
public:
    struct record {
        copse::event begins;
        copse::event may_end;
        std::size_t ending = 0;  // begun
        std::size_t ended = 0;
    };

    parking_stream(copse::io::any_stream below, std::shared_ptr<record> log)
        : below_(std::move(below)), log_(std::move(log)) {}
    parking_stream(parking_stream&&) noexcept = default;
    parking_stream& operator=(parking_stream&&) = delete;
    ~parking_stream() {
        const copse::shield kept_back;
        if (is_open()) close();
    }

    std::size_t recv(std::span<std::byte> into) { return below_.recv(into); }
    std::size_t recv_until(std::span<std::byte> into, copse::clock::time_point when) {
        return below_.recv_until(into, when);
    }
    void send_all(std::span<const copse::io::const_buffer> pieces) { below_.send_all(pieces); }
    void send_all_until(std::span<const copse::io::const_buffer> pieces, copse::clock::time_point when) {
        below_.send_all_until(pieces, when);
    }
    void shutdown(copse::io::shut how) { below_.shutdown(how); }
    void close() {
        ++log_->ending;
        log_->begins.set();
        log_->may_end.wait();
        below_.close();
        ++log_->ended;
    }
    bool is_open() const noexcept { return below_.is_open(); }

private:
    copse::io::any_stream below_;
    std::shared_ptr<record> log_;
};

static_assert(copse::io::byte_stream<parking_stream>);

}  // namespace copse_test
