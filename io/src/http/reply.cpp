#include "http/reply.hpp"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <stdexcept>
#include <system_error>

#include "http/characters.hpp"
#include "http/date.hpp"
#include "http/fields_access.hpp"
#include "http/framing.hpp"

namespace copse::io::http::detail {

namespace {

using namespace std::string_view_literals;  // compared by their length first

/// A body up to this size is copied behind its head: cheaper than to gather two pieces.
constexpr std::size_t small = 4096;

template <class Number>
std::string_view digits(Number n, std::array<char, 24>& room, int base = 10) {
    const auto written = std::to_chars(room.data(), room.data() + room.size(), n, base);
    return {room.data(), static_cast<std::size_t>(written.ptr - room.data())};
}

/// What a response says of its own frame.
struct own_frame {
    bool any = false;  // there is something that the server writes itself
    bool close = false;
    bool has_date = false;
    std::optional<std::string_view> length;
};

enum class known : std::uint8_t { other, length, coding, connection, keep_alive, date };

known kind_of(std::string_view name) noexcept {
    switch (name.size()) {
    case 4: return same_word(name, "date") ? known::date : known::other;
    case 10:
        if (same_word(name, "connection")) return known::connection;
        return same_word(name, "keep-alive") ? known::keep_alive : known::other;
    case 14: return same_word(name, "content-length") ? known::length : known::other;
    case 17: return same_word(name, "transfer-encoding") ? known::coding : known::other;
    default: return known::other;
    }
}

own_frame frame_of(const fields& headers) {
    own_frame found;
    for (const field f : headers) {
        const known kind = kind_of(f.name);
        if (kind == known::other) continue;
        found.has_date |= kind == known::date;
        found.any |= kind != known::date;
        if (kind == known::length && !f.value.empty() && all_are<is_digit>(f.value)) found.length = f.value;
        if (kind == known::connection) found.close |= headers.has_word("connection", "close");
    }
    return found;
}

}  // namespace

void reply::begin(wire& to, const request& asked, bool keep_alive) { begin_any(to, &asked, keep_alive); }

void reply::begin_refusal(wire& to) { begin_any(to, nullptr, false); }

void reply::begin_any(wire& to, const request* asked, bool keep_alive) noexcept {
    wire_ = &to;
    asked_ = asked;
    keep_alive_ = keep_alive;
    take_back();
}

void reply::take_back() noexcept {
    head_.clear();
    stage_ = stage::none;
    frame_ = frame::none;
    head_sent_ = bodyless_ = false;
    status_ = 0;
    left_ = written_ = 0;
}

void reply::check_new(const response& r) const {
    if (stage_ != stage::none) throw std::logic_error("http::exchange: an answer was begun already");
    if (r.status < 200 || r.status > 999)
        throw std::invalid_argument("http::exchange: " + std::to_string(r.status) + " is no status of a final answer");
    if (!all_are<is_value_character>(r.reason))
        throw std::invalid_argument("http::exchange: a control character in the reason");
}

bool reply::opens_tunnel(const response& r) const {
    return asked_ != nullptr && asked_->method == "CONNECT"sv && r.status < 300;
}

void reply::write_start_line(const response& r) {
    status_ = r.status;
    bodyless_ = asked_ != nullptr && !http::has_body(r.status, asked_->method);
    if (opens_tunnel(r)) keep_alive_ = false;  // what follows is no HTTP
    if (r.status == 200 && r.reason.empty()) {
        head_.append("HTTP/1.1 200 OK\r\n");
        return;
    }
    std::array<char, 24> room;
    head_.append("HTTP/1.1 ").append(digits(r.status, room)).append(" ");
    head_.append(r.reason.empty() ? reason_phrase(r.status) : std::string_view(r.reason)).append("\r\n");
}

// `length`: of the body that follows; empty if it is not known.
void reply::write_fields(const response& r, std::optional<std::uint64_t> length) {
    const own_frame own = frame_of(r.headers);
    if (own.close) keep_alive_ = false;
    if (!own.any) {
        head_.append(r.headers.lines());
    } else {
        for (const field f : r.headers) {
            const known kind = kind_of(f.name);
            if (kind == known::other || kind == known::date) append_line(head_, f.name, f.value);
        }
    }
    std::array<char, 24> room;
    const bool says_length = r.status != 204 && !opens_tunnel(r);
    if (bodyless_ && own.length && says_length) {
        append_line(head_, "Content-Length", *own.length);
    } else if (frame_ == frame::chunked) {
        append_line(head_, "Transfer-Encoding", "chunked");
    } else if (length && says_length && !(bodyless_ && *length == 0)) {
        append_line(head_, "Content-Length", digits(*length, room));
    }
    if (with_.date && !own.has_date) append_line(head_, "Date", date_now());
}

void reply::end_head() {
    if (!keep_alive_) {
        append_line(head_, "Connection", "close");
    } else if (asked_->version == version::http_1_0) {
        append_line(head_, "Connection", "keep-alive");
    }
    head_.append("\r\n");
}

void reply::respond(const response& r, limit within) {
    check_new(r);
    take_back();  // what an attempt has left that ran out of memory
    write_start_line(r);
    write_fields(r, r.body.size());
    end_head();
    if (!bodyless_) written_ = r.body.size();
    send(bodyless_ ? std::string_view() : std::string_view(r.body), {}, within);
    stage_ = stage::done;
}

void reply::start(const response& head, std::optional<std::uint64_t> length) {
    check_new(head);
    if (length && head.body.size() > *length)
        throw std::logic_error("http::exchange: the body is longer than announced");
    take_back();
    write_start_line(head);
    const bool chunks = asked_->version == version::http_1_1;
    frame_ = length ? frame::length : bodyless_ ? frame::none : chunks ? frame::chunked : frame::until_close;
    if (frame_ == frame::until_close) keep_alive_ = false;
    left_ = length.value_or(0);
    write_fields(head, length);
    end_head();
    stage_ = stage::streaming;
    if (!head.body.empty()) write(head.body, {});
}

void reply::write(std::string_view piece, limit within) {
    count_written(piece.size());
    if (piece.empty() || bodyless_) return;
    if (frame_ != frame::chunked) return send(piece, {}, within);
    std::array<char, 24> room;
    head_.append(digits(piece.size(), room, 16)).append("\r\n");
    send(piece, "\r\n", within);
}

void reply::check_room(std::uint64_t bytes) const {
    if (stage_ != stage::streaming) throw std::logic_error("http::exchange: write without start, or after finish");
    if (frame_ == frame::length && bytes > left_)
        throw std::logic_error("http::exchange: more is written than the announced length, of which " +
                               std::to_string(left_) + " bytes are left");
}

// Before they are: nothing of what is too much is sent.
void reply::count_written(std::uint64_t bytes) {
    check_room(bytes);
    if (frame_ == frame::length) left_ -= bytes;
    if (!bodyless_) written_ += bytes;
}

void reply::write_file(int file, std::uint64_t offset, std::uint64_t count) {
    if (frame_ == frame::chunked || wire_->is_secure()) return copy_file(file, offset, count);
    count_written(count);
    if (count == 0 || bodyless_) return;
    flush();
    stage_ = stage::broken;  // unless it succeeds
    if (wire_->send_file(file, offset, count, {.pause = with_.write_pause}) != count)
        throw std::runtime_error("http::exchange: the file ended within what was to be sent of it");
    stage_ = stage::streaming;
}

void reply::copy_file(int file, std::uint64_t offset, std::uint64_t count) {
    if (bodyless_) return count_written(count);
    check_room(count);  // for all of it, before the first piece leaves
    pooled_buffer piece = pooled_buffer::take();
    while (count != 0) {
        const std::size_t wanted = static_cast<std::size_t>(std::min<std::uint64_t>(count, piece.size()));
        const ssize_t n = ::pread(file, piece.data(), wanted, static_cast<off_t>(offset));
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) throw std::system_error(errno, std::generic_category(), "reading a file to be sent");
        if (n == 0) {
            stage_ = stage::broken;
            throw std::runtime_error("http::exchange: the file ended within what was to be sent of it");
        }
        write(piece.text().substr(0, static_cast<std::size_t>(n)), {});
        offset += static_cast<std::uint64_t>(n);
        count -= static_cast<std::uint64_t>(n);
    }
}

void reply::flush() {
    if (stage_ != stage::streaming) throw std::logic_error("http::exchange: flush without start, or after finish");
    if (!head_.empty()) send({}, {}, {});
}

void reply::finish(const fields& trailers) {
    if (stage_ == stage::done) return;
    if (stage_ != stage::streaming) throw std::logic_error("http::exchange: finish without start");
    if (frame_ == frame::length && left_ != 0 && !bodyless_) {
        if (head_sent_) stage_ = stage::broken;  // else another answer can be given
        throw std::logic_error("http::exchange: " + std::to_string(left_) + " bytes less than announced were written");
    }
    if (frame_ == frame::chunked) {
        head_.append("0\r\n");
        for (const field f : trailers) {
            if (!is_forbidden_trailer(f.name)) append_line(head_, f.name, f.value);
        }
        head_.append("\r\n");
    }
    if (!head_.empty()) send({}, {}, {});
    stage_ = stage::done;
}

void reply::switch_protocols(const fields& headers) {
    status_ = 101;
    head_.assign("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\n");
    for (const field f : headers) {
        if (kind_of(f.name) == known::other) append_line(head_, f.name, f.value);
    }
    head_.append("\r\n");
    send({}, {}, {});
    stage_ = stage::done;
}

// The head that waits, the body, the tail: in one write.
void reply::send(std::string_view body, std::string_view tail, limit within) {
    const patience p{.pause = with_.write_pause, .whole = within};
    const stage before = std::exchange(stage_, stage::broken);  // unless it succeeds
    head_sent_ = true;
    if (body.size() <= small) {
        head_.append(body).append(tail);
        wire_->send_all(head_, p);
    } else {
        const std::array<const_buffer, 3> pieces{const_buffer(head_), const_buffer(body), const_buffer(tail)};
        wire_->send_all(pieces, p);
    }
    head_.clear();
    stage_ = before;
}

}  // namespace copse::io::http::detail
