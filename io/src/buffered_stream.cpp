// Reading: whatever a verb needs is gathered in the buffer and taken in one step at the end, so that an exception on the way
// finds nothing half taken. Only what is larger than the buffer is received past it, and put back if that fails.
#include <copse/io/buffered_stream.hpp>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <stdexcept>
#include <vector>

#include <copse/detail/wait.hpp>

#include "stream_access.hpp"

namespace copse::io {

namespace {

using detail::limit;

[[noreturn]] void fail_ended(const std::string& operation, std::size_t got, const std::string& wanted) {
    throw transfer_error(std::make_error_code(std::errc::connection_aborted),
                         operation + ": the stream ended after " + std::to_string(got) + " bytes, before " + wanted, 0);
}

[[noreturn]] void fail_too_long(const std::string& what, std::size_t most) {
    throw transfer_error(std::make_error_code(std::errc::message_size),
                         what + " within the limit of " + std::to_string(most) + " bytes", 0);
}

std::size_t copy_front(std::span<const std::byte> from, std::span<std::byte> into) noexcept {
    const std::size_t n = std::min(from.size(), into.size());
    if (n != 0) std::memcpy(into.data(), from.data(), n);
    return n;
}

std::string_view without_carriage_return(std::string_view line) noexcept {
    if (!line.empty() && line.back() == '\r') line.remove_suffix(1);
    return line;
}

}  // namespace

buffered_stream::buffered_stream(any_stream under, const buffered_stream_options& with)
    : under_(std::move(under)), with_(with) {
    if (with.read_buffer == 0) throw std::invalid_argument("buffered_stream: a read buffer of 0 bytes");
}

void buffered_stream::consume(std::size_t n) {
    const detail::lane::use here(reading_, "consume");
    if (n > in_.size())
        throw std::invalid_argument("buffered_stream::consume: " + std::to_string(n) + " bytes, only " +
                                    std::to_string(in_.size()) + " are unread");
    in_.consume(n);
}

// ---- Reading

std::size_t buffered_stream::receive(std::span<std::byte> into, limit& within) {
    return detail::stream_access::of(under_).recv(into, within.point());
}

// False at the end of the stream.
bool buffered_stream::fill(limit& within) {
    const std::size_t n = receive(in_.room(with_.read_buffer), within);
    in_.commit(n);
    return n != 0;
}

std::string_view buffered_stream::take(std::size_t n) noexcept {
    const std::string_view taken = in_.text().substr(0, n);
    in_.consume(n);
    return taken;
}

std::span<const std::byte> buffered_stream::peek_by(std::size_t n, limit within) {
    const detail::lane::use here(reading_, "peek");
    copse::detail::attend();
    while (in_.size() < n && fill(within)) {}
    return in_.bytes();
}

std::size_t buffered_stream::recv_by(std::span<std::byte> into, limit within) {
    const detail::lane::use here(reading_, "recv");
    copse::detail::attend();
    if (into.empty()) return 0;
    if (in_.empty()) {
        if (into.size() >= with_.read_buffer) return receive(into, within);
        fill(within);
    }
    const std::size_t n = copy_front(in_.bytes(), into);
    in_.consume(n);
    return n;
}

std::size_t buffered_stream::read_exactly_by(std::span<std::byte> into, limit within) {
    const detail::lane::use here(reading_, "read_exactly");
    copse::detail::attend();
    while (in_.size() < into.size()) {
        if (into.size() - in_.size() > with_.read_buffer) {
            read_large(into, within);
            return into.size();
        }
        if (fill(within)) continue;
        if (in_.empty()) return 0;
        fail_ended("read_exactly", in_.size(), "all " + std::to_string(into.size()));
    }
    copy_front(in_.bytes(), into);
    in_.consume(into.size());
    return into.size();
}

void buffered_stream::read_large(std::span<std::byte> into, limit& within) {
    std::size_t got = copy_front(in_.bytes(), into);
    in_.consume(got);
    try {
        while (got != into.size()) {
            const std::size_t n = receive(into.subspan(got), within);
            if (n == 0) fail_ended("read_exactly", got, "all " + std::to_string(into.size()));
            got += n;
        }
    } catch (...) {
        in_.append(into.first(got));
        throw;
    }
}

std::optional<std::string_view> buffered_stream::read_line_by(std::size_t most, limit within) {
    const detail::lane::use here(reading_, "read_line");
    copse::detail::attend();
    for (std::size_t searched = 0;;) {
        const std::string_view text = in_.text();
        const std::size_t end = text.find('\n', searched);
        const bool ends = end != std::string_view::npos;
        if (without_carriage_return(text.substr(0, end)).size() > most)
            fail_too_long("read_line: no end of line", most);
        if (ends) return without_carriage_return(take(end + 1).substr(0, end));
        searched = text.size();
        if (fill(within)) continue;
        if (in_.empty()) return std::nullopt;
        if (in_.size() > most) fail_too_long("read_line: no end of line", most);  // a carriage return that ends nothing
        return take(in_.size());
    }
}

std::optional<std::string_view> buffered_stream::read_through_by(std::string_view delimiter, std::size_t most,
                                                                 limit within) {
    if (delimiter.empty()) throw std::invalid_argument("buffered_stream::read_through: an empty delimiter");
    const detail::lane::use here(reading_, "read_through");
    copse::detail::attend();
    for (std::size_t searched = 0;;) {
        const std::string_view text = in_.text();
        const std::size_t at = text.find(delimiter, searched);
        const std::size_t needed = at == std::string_view::npos ? text.size() + 1 : at + delimiter.size();
        if (needed > most) fail_too_long("read_through: no delimiter", most);
        if (at != std::string_view::npos) return take(needed);
        searched = text.size() - std::min(text.size(), delimiter.size() - 1);  // it may have begun
        if (fill(within)) continue;
        if (in_.empty()) return std::nullopt;
        fail_ended("read_through", in_.size(), "the delimiter");
    }
}

std::string buffered_stream::read_to_end_by(std::size_t most, limit within) {
    const detail::lane::use here(reading_, "read_to_end");
    copse::detail::attend();
    do {
        if (in_.size() > most)
            throw transfer_error(std::make_error_code(std::errc::file_too_large),
                                 "read_to_end: more than " + std::to_string(most) + " bytes", 0);
    } while (fill(within));
    std::string all(in_.text());
    in_ = {};
    return all;
}

// ---- Writing

void buffered_stream::write_by(std::span<const std::byte> bytes, limit within) {
    if (bytes.size() + out_.size() > with_.write_buffer || outlet_.is_broken() || !is_open()) {
        const const_buffer piece(bytes);
        return send_all_by({&piece, 1}, within, "write");
    }
    const detail::lane::use here(writing_, "write");
    copse::detail::attend();
    out_.append(bytes);
}

void buffered_stream::send_all_by(std::span<const const_buffer> pieces, limit within, const char* operation) {
    const detail::lane::use here(writing_, operation);
    if (out_.empty()) return outlet_.send_all(under_, pieces, within.point(), operation);
    std::vector<const_buffer> all{const_buffer(out_.bytes())};
    all.insert(all.end(), pieces.begin(), pieces.end());
    outlet_.send_all(under_, all, within.point(), operation);
    out_.consume(out_.size());
}

void buffered_stream::shutdown_by(shut how, detail::limit within) {
    const auto until = within.point();  // one time for both
    if (how == shut::write) send_all_by({}, within, "flush");
    until ? under_.shutdown_until(how, *until) : under_.shutdown(how);
}

void buffered_stream::close() { under_.close(); }

}  // namespace copse::io
