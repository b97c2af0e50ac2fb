#include "http/upload.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <chrono>
#include <new>
#include <stdexcept>
#include <system_error>
#include <utility>

#include <copse/greenlet.hpp>
#include <copse/io/error.hpp>
#include <copse/shield.hpp>

#include "http/close_quietly.hpp"

namespace copse::io::http::detail {

namespace {

using namespace std::chrono_literals;

constexpr std::size_t piece_size = 16 * 1024;
// What a new connection takes without waiting: the kernel's first send buffer.
constexpr std::size_t small_body = 16 * 1024;
constexpr std::chrono::seconds patience_for_continue(1);  // servers need not say it (RFC 9110, 10.1.1)

std::string chunk_line(std::size_t size) {
    std::array<char, 20> digits;
    const auto [end, e] = std::to_chars(digits.data(), digits.data() + digits.size(), size, 16);
    return std::string(digits.data(), end) + "\r\n";
}

/// Why a body ends whose source ended its fiber.
std::exception_ptr killed() noexcept {
    try {
        return std::make_exception_ptr(std::system_error(std::make_error_code(std::errc::operation_canceled),
                                                         "http::client: the fiber that sends the body was killed"));
    } catch (const std::bad_alloc&) {
        return std::current_exception();
    }
}

}  // namespace

void upload::begin(clock::time_point deadline) { is_small() ? send_now(deadline) : send_aside(); }

bool upload::is_small() const noexcept {
    return !asked_.body.is_stream() && !(asked_.expect_continue && asked_.body.is_given()) &&
           asked_.body.text().size() <= small_body;
}

void upload::send_now(clock::time_point deadline) {
    try {
        const std::array<const_buffer, 2> both{const_buffer(asked_.head), const_buffer(asked_.body.text())};
        stream().send_all_until(std::span(both.data(), asked_.body.text().empty() ? 1 : 2), deadline);
        complete_ = true;
    } catch (const timed_out&) {
        throw;
    } catch (const std::system_error&) {
        failure_ = std::current_exception();  // there may be an answer nevertheless, that says why
    }
}

void upload::send_aside() {
    sender_ = spawn(spawn_options{.name = "http::client, sending a body"}, [self = shared_from_this()] {
        try {
            self->send_body();
            self->complete_ = true;
        } catch (const greenlet_exit&) {
            self->give_up(killed());
            throw;
        } catch (...) {
            self->give_up(std::current_exception());
        }
    });
}

void upload::give_up(std::exception_ptr why) noexcept {
    if (unwanted_) return;  // it has ended because we said so
    failure_ = std::move(why);
    if (source_failed_) close_stream();  // the reader has nothing to wait for
}

void upload::send_body() {
    // A source may wait for the answer that it belongs to, and a server only so long for a head: that goes first.
    const bool waits = asked_.expect_continue || asked_.body.is_stream();
    if (waits) stream().send_all(asked_.head);
    if (asked_.expect_continue) may_send_.wait_for(patience_for_continue);
    if (!asked_.body.is_stream()) {
        const std::string_view head = waits ? std::string_view() : std::string_view(asked_.head);
        stream().send_all({const_buffer(head), const_buffer(asked_.body.text())});
    } else if (asked_.body.size()) {
        send_known(*asked_.body.size());
    } else {
        send_chunks();
    }
}

// What the caller's function throws is told from what the connection throws.
std::size_t upload::next_of_source(std::span<std::byte> into) {
    source_failed_ = true;
    const std::size_t n = asked_.body.from()(into);
    if (n > into.size())
        throw std::invalid_argument("the source of a body says that it filled more than there was room for");
    source_failed_ = false;
    return n;
}

void upload::send_known(std::uint64_t all) {
    const auto piece = std::make_unique_for_overwrite<std::byte[]>(piece_size);
    for (std::uint64_t left = all; left != 0;) {
        const std::span room(piece.get(), static_cast<std::size_t>(std::min<std::uint64_t>(left, piece_size)));
        const std::size_t n = next_of_source(room);
        if (n == 0) {
            source_failed_ = true;
            throw std::invalid_argument("the source of a body ended after " + std::to_string(all - left) + " of " +
                                        std::to_string(all) + " bytes");
        }
        stream().send_all(room.first(n));
        left -= n;
    }
}

void upload::send_chunks() {
    const auto piece = std::make_unique_for_overwrite<std::byte[]>(piece_size);
    for (std::size_t n = 1; n != 0;) {  // the last chunk is empty
        n = next_of_source(std::span(piece.get(), piece_size));
        const std::string line = chunk_line(n);
        stream().send_all(
            {const_buffer(line), const_buffer(std::span(piece.get(), n)), const_buffer(std::string_view("\r\n"))});
    }
}

void upload::stop() noexcept {
    unwanted_ = true;
    const any_fiber sender = std::exchange(sender_, any_fiber());
    if (sender.empty()) return;
    try {
        const shield kept_back;
        sender.kill();
        if (sender.ready()) return;
        // We are within it.
    } catch (const std::exception&) {
        // In the hub: the kill is asked for, and cannot be waited for.
    }
    close();
}

void upload::close_stream() noexcept {
    if (!std::exchange(closed_, true)) close_quietly(stream());
}

void upload::close() noexcept {
    unwanted_ = true;
    close_stream();
    connection_.leave();
    try {
        if (!sender_.empty()) sender_.request_kill();
    } catch (const std::exception&) {
        // Its thread has ended, and it with it.
    }
}

}  // namespace copse::io::http::detail
