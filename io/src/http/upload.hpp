// A request on its way out, and the connection that it goes over.
//
// Invariants:
//   - It is sent in one go, or by a fiber of its own, so that an answer that comes before a large body is sent is seen. The
//     exchange and that fiber share this, and either may be the last: an exchange that ends where it cannot wait (in the
//     hub, or called by the source of the body) leaves the fiber to itself, with a kill asked for and the connection closed.
//   - The stream is closed but not ended as long as the fiber may be within it. It is closed once: that may park.
#pragma once

#include <cstddef>
#include <cstdint>
#include <exception>
#include <memory>
#include <span>
#include <string>

#include <copse/clock.hpp>
#include <copse/event.hpp>
#include <copse/fiber.hpp>
#include <copse/io/any_stream.hpp>
#include <copse/io/http/client.hpp>

#include "http/connection_pool.hpp"

namespace copse::io::http::detail {

/// What goes out.
struct outgoing {
    http::method method;
    http::url to;
    std::string head;  // up to the empty line
    request_body body;
    bool expect_continue = false;
};

class upload : public std::enable_shared_from_this<upload> {
public:
    upload(connection_pool::lease over, outgoing what) : asked_(std::move(what)), connection_(std::move(over)) {}
    upload(const upload&) = delete;
    upload& operator=(const upload&) = delete;

    const outgoing& asked() const noexcept { return asked_; }
    any_stream& stream() noexcept { return connection_->stream; }
    /// The connection has served a request before.
    bool over_reused() const noexcept { return connection_.reused(); }

    /// Sends what the kernel takes at once; else begins to send.
    void begin(clock::time_point deadline);
    /// A 100 came: it waits no longer.
    void invite() noexcept { may_send_.set(); }

    bool is_complete() const noexcept { return complete_; }
    /// Why nothing more is sent; null if that is not so.
    std::exception_ptr failure() const noexcept { return failure_; }
    /// Of the source of the body: that is what the caller wants to know.
    bool failed_by_source() const noexcept { return source_failed_ && failure_ != nullptr; }

    /// Nothing more is sent.
    /// Parks:   while the source of the body cleans up, if it is still asked.
    void stop() noexcept;
    /// The connection is whole, and for the next request.
    void give_back() noexcept { connection_.give_back(); }
    /// Closes the connection; what is still sent ends soon.
    /// Parks:   as the stream may when it is closed.
    void close() noexcept;

private:
    bool is_small() const noexcept;
    void send_now(clock::time_point deadline);
    void send_aside();
    void give_up(std::exception_ptr why) noexcept;
    void send_body();
    void send_known(std::uint64_t all);
    void send_chunks();
    std::size_t next_of_source(std::span<std::byte> into);
    void close_stream() noexcept;

    const outgoing asked_;
    connection_pool::lease connection_;
    any_fiber sender_;
    event may_send_;  // a 100 came
    bool complete_ = false;
    bool closed_ = false;
    std::exception_ptr failure_;
    bool source_failed_ = false;  // or is being asked
    bool unwanted_ = false;       // it is we who end the fiber
};

}  // namespace copse::io::http::detail
