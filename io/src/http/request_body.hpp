// The body of the current request: where it ends, how much of it may come, how slowly.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

#include <copse/io/http/server.hpp>

#include "http/framing.hpp"
#include "http/intake.hpp"
#include "http/request_parser.hpp"
#include "http/wire.hpp"

namespace copse::io::http::detail {

class request_body {
public:
    request_body(request_parser& parser, const server_options& with) noexcept : parser_(parser), with_(with) {}

    /// The body of a request whose head has been parsed.
    void begin(wire& from, intake& in, const framing& f);

    /// As announced; empty for chunks.
    std::optional<std::uint64_t> length() const noexcept;
    void limit_to(std::uint64_t bytes) noexcept { most_ = bytes; }
    const fields& trailers() const noexcept { return trailers_; }

    /// The client has not sent it, and waits to be asked for it.
    bool waits_for_continue() const noexcept { return unasked_; }
    /// An answer is on its way: too late to ask.
    void do_not_ask() noexcept { unasked_ = false; }
    bool is_at_end() const noexcept { return done_; }
    /// A read has failed, and not because the caller's time was over.
    bool has_failed() const noexcept { return failed_; }
    /// The client may have been sent a part of 100 Continue.
    bool has_cut_invitation() const noexcept { return inviting_; }
    /// Whether `drop` may succeed, as far as is known.
    bool is_droppable() const noexcept {
        return done_ || (!broken_ && !unasked_ && (chunked_ || left_ <= with_.unread_body));
    }

    /// Returns: 0 at the end (or if `into` is empty). Throws: error, timed_out if `within` is over, system_error.
    std::size_t read(std::span<std::byte> into, limit within);
    /// Reads the rest and forgets it, if it is short and comes soon.
    /// Returns: whether the next request can be read.
    bool drop();

private:
    void open();
    void invite();
    std::size_t read_plain(std::span<std::byte> into, limit& within);
    std::size_t read_chunks(std::span<std::byte> into, limit& within);
    std::size_t take(std::span<std::byte> into) noexcept;
    std::chrono::nanoseconds longest_wait() const;
    void count_wait(std::chrono::nanoseconds length) noexcept;
    template <class Receive>
    auto in_time(limit& within, Receive&& receive);

    request_parser& parser_;
    const server_options& with_;
    wire* wire_ = nullptr;
    intake* in_ = nullptr;

    std::uint64_t most_ = 0;
    std::uint64_t length_ = 0;
    std::uint64_t left_ = 0;  // of `length_`
    bool chunked_ = false;
    bool unasked_ = false;
    bool opened_ = false;
    bool done_ = true;
    bool failed_ = false;
    bool broken_ = false;  // failed, and nobody knows any more where it ends
    bool inviting_ = false;
    fields trailers_;

    // For the rate: what has come, and how long it was waited for.
    std::uint64_t received_ = 0;
    std::chrono::nanoseconds waited_{0};
    std::chrono::nanoseconds paused_{0};  // since the last byte
};

}  // namespace copse::io::http::detail
