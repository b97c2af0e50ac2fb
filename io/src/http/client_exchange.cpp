#include "http/client_exchange.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <chrono>
#include <cstring>
#include <optional>
#include <stdexcept>
#include <utility>

#include <copse/greenlet.hpp>
#include <copse/io/error.hpp>
#include <copse/shield.hpp>

#include "http/told_of.hpp"

namespace copse::io::http::detail {

namespace {

using namespace std::chrono_literals;

constexpr std::size_t buffer_size = 16 * 1024;
// What a new connection takes without waiting: the kernel's first send buffer.
constexpr std::size_t small_body = 16 * 1024;
constexpr unsigned most_interim = 32;                     // 1xx; each may be as large as a head
constexpr std::size_t worth_draining = 64 * 1024;         // else a new connection costs less
constexpr std::chrono::seconds patience_for_continue(1);  // servers need not say it (RFC 9110, 10.1.1)

std::string chunk_line(std::size_t size) {
    std::array<char, 20> digits;
    const auto [end, e] = std::to_chars(digits.data(), digits.data() + digits.size(), size, 16);
    return std::string(digits.data(), end) + "\r\n";
}

}  // namespace

client_exchange::client_exchange(connection_pool::lease over, outgoing what, std::shared_ptr<const client_options> with)
    : with_(std::move(with)),
      asked_(std::move(what)),
      connection_(std::move(over)),
      parser_(asked_.method, with_->accepted),
      size_(std::max(buffer_size, with_->accepted.header_block + 1024)) {
    buffer_ = std::make_unique_for_overwrite<std::byte[]>(size_);
}

client_exchange::~client_exchange() { stop_sending(); }

void client_exchange::perform(clock::time_point deadline) {
    try {
        if (is_small()) {
            send_now(deadline);
        } else {
            send_aside();
        }
        read_head(deadline);
    } catch (const timed_out&) {
        throw;
    } catch (const std::system_error&) {
        if (source_failed_ && unsent_because_) throw source_failure{unsent_because_};
        if (!heard_ && connection_.reused()) throw kept_connection_lost();
        if (!heard_ && unsent_because_) std::rethrow_exception(unsent_because_);
        throw;
    }
    if (head().status >= 300) stop_sending();
    if (parser_.done()) finish();
}

bool client_exchange::is_small() const noexcept {
    return !asked_.body.is_stream() && !(asked_.expect_continue && asked_.body.is_given()) &&
           asked_.body.text().size() <= small_body;
}

void client_exchange::send_now(clock::time_point deadline) {
    try {
        const std::array<const_buffer, 2> both{const_buffer(asked_.head), const_buffer(asked_.body.text())};
        connection_->stream.send_all_until(std::span(both.data(), asked_.body.text().empty() ? 1 : 2), deadline);
        sent_ = true;
    } catch (const timed_out&) {
        throw;
    } catch (const std::system_error&) {
        unsent_because_ = std::current_exception();  // there may be an answer nevertheless, that says why
    }
}

void client_exchange::send_aside() {
    sender_ = spawn(spawn_options{.name = "http::client, sending a body"}, [this] {
        try {
            send_body();
            sent_ = true;
        } catch (const greenlet_exit&) {
            throw;
        } catch (...) {
            unsent_because_ = std::current_exception();
            if (source_failed_) connection_->stream.close();  // the reader has nothing to wait for
        }
    });
}

void client_exchange::send_body() {
    // A source may wait for the answer that it belongs to, and a server only so long for a head: that goes first.
    const bool waits = asked_.expect_continue || asked_.body.is_stream();
    if (waits) connection_->stream.send_all(asked_.head);
    if (asked_.expect_continue) may_send_.wait_for(patience_for_continue);
    if (!asked_.body.is_stream()) {
        const std::string_view head = waits ? std::string_view() : std::string_view(asked_.head);
        connection_->stream.send_all({const_buffer(head), const_buffer(asked_.body.text())});
    } else if (asked_.body.size()) {
        send_known(*asked_.body.size());
    } else {
        send_chunks();
    }
}

/// What the caller's function throws is told from what the connection throws.
std::size_t client_exchange::next_of_source(std::span<std::byte> into) {
    source_failed_ = true;
    const std::size_t n = asked_.body.from()(into);
    if (n > into.size())
        throw std::invalid_argument("the source of a body says that it filled more than there was room for");
    source_failed_ = false;
    return n;
}

void client_exchange::send_known(std::uint64_t all) {
    const auto piece = std::make_unique_for_overwrite<std::byte[]>(buffer_size);
    for (std::uint64_t left = all; left != 0;) {
        const std::span room(piece.get(), static_cast<std::size_t>(std::min<std::uint64_t>(left, buffer_size)));
        const std::size_t n = next_of_source(room);
        if (n == 0) {
            source_failed_ = true;
            throw std::invalid_argument("the source of a body ended after " + std::to_string(all - left) + " of " +
                                        std::to_string(all) + " bytes");
        }
        connection_->stream.send_all(room.first(n));
        left -= n;
    }
}

void client_exchange::send_chunks() {
    const auto piece = std::make_unique_for_overwrite<std::byte[]>(buffer_size);
    for (std::size_t n = 1; n != 0;) {  // the last chunk is empty
        n = next_of_source(std::span(piece.get(), buffer_size));
        const std::string line = chunk_line(n);
        connection_->stream.send_all(
            {const_buffer(line), const_buffer(std::span(piece.get(), n)), const_buffer(std::string_view("\r\n"))});
    }
}

void client_exchange::stop_sending() noexcept {
    if (sender_.empty()) return;
    const shield kept_back;
    sender_.kill();
    sender_ = any_fiber();
}

void client_exchange::read_head(clock::time_point deadline) {
    for (unsigned interim = 0;;) {
        begin_ += parser_.put(received(), {}).taken;
        if (!parser_.has_head()) {
            if (!receive(deadline)) fail_lost();
            continue;
        }
        const int status = head().status;
        if (status >= 200) return;
        if (status == 101) throw error(errc::bad_response, "101 Switching Protocols, for which nobody asked");
        if (++interim > most_interim) throw error(errc::bad_response, "too many responses of status 1xx");
        if (status == 100) may_send_.set();
        parser_ = response_parser(asked_.method, with_->accepted);
    }
}

void client_exchange::fail_lost() {
    if (unsent_because_) std::rethrow_exception(unsent_because_);
    throw error(errc::message_incomplete, heard_ ? "the connection ended within the head of the response"
                                                 : "the connection ended without a response");
}

std::span<const std::byte> client_exchange::received() const noexcept {
    return {buffer_.get() + begin_, end_ - begin_};
}

/// Returns: false at the end of the stream.
bool client_exchange::receive(clock::time_point deadline) {
    if (begin_ != 0) {
        std::memmove(buffer_.get(), buffer_.get() + begin_, end_ - begin_);
        end_ -= std::exchange(begin_, 0);
    }
    if (end_ == size_) throw error(parser_.has_head() ? errc::bad_chunk : errc::header_too_large);
    const std::size_t n = connection_->stream.recv_until(std::span(buffer_.get() + end_, size_ - end_), deadline);
    end_ += n;
    heard_ = heard_ || n != 0;
    return n != 0;
}

std::size_t client_exchange::read_some(std::span<std::byte> into, clock::time_point deadline) {
    try {
        while (!into.empty() && !parser_.done()) {
            const auto made = parser_.put(received(), into);
            begin_ += made.taken;
            if (parser_.done()) finish();
            if (made.written != 0) return made.written;
            if (parser_.done() || receive(deadline)) continue;
            parser_.end();
            finish();
        }
        return 0;
    } catch (const timed_out&) {
        throw;
    } catch (const std::system_error&) {
        close();
        if (source_failed_ && unsent_because_) throw source_failure{unsent_because_};
        throw;
    }
}

// What is made room for is filled with zeros first: not more at a time than is likely to come.
constexpr std::uint64_t most_at_once = 64 * 1024;

std::string client_exchange::read_all(clock::time_point deadline) {
    const std::uint64_t most = with_->accepted.body;
    const std::optional<std::uint64_t> length = head().content_length;
    std::string all;
    try {
        if (length && *length > most) throw error(errc::body_too_large, std::to_string(*length) + " bytes");
        // A length is only a promise: memory follows what really comes.
        while (!parser_.done()) {
            const std::size_t had = all.size();
            const std::uint64_t expected = length ? *length - had : buffer_size;
            const auto room = static_cast<std::size_t>(std::clamp<std::uint64_t>(expected, 1, most_at_once));
            all.resize(had + room);
            const std::size_t n = read_some(std::as_writable_bytes(std::span(all.data() + had, room)), deadline);
            all.resize(had + n);
            if (all.size() > most) throw error(errc::body_too_large, "more than " + std::to_string(most) + " bytes");
        }
        return all;
    } catch (...) {
        close();
        throw;
    }
}

void client_exchange::drain(clock::time_point deadline) {
    const std::optional<std::uint64_t> length = head().content_length;
    if (length && *length > worth_draining) return close();
    const auto scratch = std::make_unique_for_overwrite<std::byte[]>(buffer_size);
    try {
        for (std::size_t all = 0; all <= worth_draining;) {
            const std::size_t n = read_some(std::span(scratch.get(), buffer_size), deadline);
            if (n == 0) return;
            all += n;
        }
    } catch (const std::system_error&) {
        // The redirect was understood; how its body ends does not matter.
    }
    close();
}

/// The last byte of the response is here.
void client_exchange::finish() noexcept {
    const bool reusable = sent_ && parser_.keeps_alive() && begin_ == end_;
    stop_sending();
    if (reusable) {
        connection_.give_back();
    } else {
        connection_.end();
    }
}

void client_exchange::close() noexcept {
    connection_->stream.close();
    connection_.leave();
    try {
        if (!sender_.empty()) sender_.request_kill();
    } catch (const std::exception&) {
        // Its thread has ended, and it with it.
    }
}

}  // namespace copse::io::http::detail
