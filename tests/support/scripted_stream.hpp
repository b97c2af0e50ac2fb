#pragma once

/// A stream that gives what a script says, one chunk a receive, and writes down each call that sends.

#include <copse/io/any_stream.hpp>

#include <algorithm>
#include <cstring>
#include <deque>
#include <exception>
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace copse_test {

class scripted_stream {
public:
    struct record {
        std::deque<std::string> chunks;   // to be received; after the last the stream has ended
        std::vector<std::string> sent;    // one for each call
        std::exception_ptr fail_sending;  // thrown by the next one
        std::size_t largest_receive = 0;  // that was asked for
        bool ended = false;
        bool open = true;
    };

    explicit scripted_stream(std::deque<std::string> chunks = {}) { record_->chunks = std::move(chunks); }

    /// Stays when the stream has moved elsewhere.
    std::shared_ptr<record> log() const { return record_; }

    std::size_t recv(std::span<std::byte> into) {
        record& r = *record_;
        r.largest_receive = std::max(r.largest_receive, into.size());
        if (r.chunks.empty()) return 0;
        std::string& chunk = r.chunks.front();
        const std::size_t n = std::min(chunk.size(), into.size());
        std::memcpy(into.data(), chunk.data(), n);
        chunk.erase(0, n);
        if (chunk.empty()) r.chunks.pop_front();
        return n;
    }
    template <class Point>
    std::size_t recv_until(std::span<std::byte> into, Point /*when*/) {
        return recv(into);
    }
    void send_all(std::span<const copse::io::const_buffer> pieces) {
        if (record_->fail_sending != nullptr) std::rethrow_exception(std::exchange(record_->fail_sending, nullptr));
        std::string all;
        for (const auto& piece : pieces) all.append(reinterpret_cast<const char*>(piece.data()), piece.size());
        record_->sent.push_back(all);
    }
    template <class Point>
    void send_all_until(std::span<const copse::io::const_buffer> pieces, Point /*when*/) {
        send_all(pieces);
    }
    void shutdown(copse::io::shut /*how*/) { record_->ended = true; }
    void close() { record_->open = false; }
    bool is_open() const { return record_->open; }

private:
    std::shared_ptr<record> record_ = std::make_shared<record>();
};

static_assert(copse::io::byte_stream<scripted_stream>);

inline std::span<std::byte> writable_bytes(std::string& text) { return std::as_writable_bytes(std::span(text)); }

}  // namespace copse_test
