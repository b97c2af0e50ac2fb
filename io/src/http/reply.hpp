// The answer to the current request. Whatever a handler does, what goes over the wire stays in frame: it is either
// whole, or the connection is closed.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include <copse/io/http/server.hpp>

#include "http/wire.hpp"

namespace copse::io::http::detail {

class reply {
public:
    explicit reply(const server_options& with) noexcept : with_(with) {}

    /// Of the next request. `asked` must last until the next `begin`.
    void begin(wire& to, const request& asked, bool keep_alive);
    /// Of what could not be read as a request.
    void begin_refusal(wire& to);

    /// The connection will be closed after this answer; to be known before its head is written.
    void close_after() noexcept { keep_alive_ = false; }

    void respond(const response& r, limit within);
    void start(const response& head, std::optional<std::uint64_t> length);
    void write(std::string_view piece, limit within);
    void write_file(int file, std::uint64_t offset, std::uint64_t count);
    void flush();
    void finish(const fields& trailers);
    /// 101 and these.
    void switch_protocols(const fields& headers);
    /// It will be given by somebody else.
    void abandon() noexcept { stage_ = stage::done; }
    /// It stays as it is: cut off, if it was begun.
    void give_up() noexcept { stage_ = stage_ == stage::done ? stage::done : stage::broken; }

    /// What was begun and not sent is as if it had not been.
    void take_back() noexcept;

    bool has_begun() const noexcept { return stage_ != stage::none; }
    /// Nothing of it can have reached the client: another may be given in its place.
    bool is_unsent() const noexcept { return stage_ == stage::none || (stage_ == stage::streaming && !head_sent_); }
    /// Some of it has been sent.
    bool is_on_its_way() const noexcept { return has_begun() && head_.empty(); }
    bool is_whole() const noexcept { return stage_ == stage::done; }
    /// A part of it may have been sent, and nothing can follow.
    bool is_broken() const noexcept { return stage_ == stage::broken; }
    /// It is not whole, and the end of the connection would say that it is.
    bool would_seem_whole() const noexcept { return frame_ == frame::until_close && stage_ != stage::done; }
    /// It is whole, and another may follow.
    bool keeps_alive() const noexcept { return stage_ == stage::done && keep_alive_; }
    int status() const noexcept { return status_; }
    std::uint64_t body_bytes() const noexcept { return written_; }

private:
    enum class stage : std::uint8_t { none, streaming, done, broken };
    enum class frame : std::uint8_t { none, length, chunked, until_close };

    void begin_any(wire& to, const request* asked, bool keep_alive) noexcept;
    void check_new(const response& r) const;
    bool opens_tunnel(const response& r) const;
    void write_start_line(const response& r);
    void write_fields(const response& r, std::optional<std::uint64_t> length);
    void end_head();
    void check_room(std::uint64_t bytes) const;
    void count_written(std::uint64_t bytes);
    void copy_file(int file, std::uint64_t offset, std::uint64_t count);
    void send(std::string_view body, std::string_view tail, limit within);

    const server_options& with_;
    wire* wire_ = nullptr;
    const request* asked_ = nullptr;  // null of a refusal
    std::string head_;                // not sent yet; its memory is used again
    stage stage_ = stage::none;
    frame frame_ = frame::none;
    bool head_sent_ = false;  // or some of it
    bool keep_alive_ = false;
    bool bodyless_ = false;
    int status_ = 0;
    std::uint64_t left_ = 0;     // of frame::length
    std::uint64_t written_ = 0;  // of the body
};

}  // namespace copse::io::http::detail
