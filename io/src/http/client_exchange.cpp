#include "http/client_exchange.hpp"

#include <algorithm>
#include <cstring>
#include <optional>
#include <system_error>
#include <utility>

#include <copse/error.hpp>
#include <copse/io/error.hpp>

#include "http/flagged.hpp"
#include "http/told_of.hpp"

namespace copse::io::http::detail {

namespace {

constexpr std::size_t buffer_size = 16 * 1024;
constexpr unsigned most_interim = 32;              // 1xx; each may be as large as a head
constexpr std::size_t worth_draining = 64 * 1024;  // else a new connection costs less

}  // namespace

client_exchange::client_exchange(connection_pool::lease over, outgoing what, std::shared_ptr<const client_options> with)
    : with_(std::move(with)),
      upload_(std::make_shared<upload>(std::move(over), std::move(what))),
      parser_(asked().method, with_->accepted),
      size_(std::max(buffer_size, with_->accepted.header_block + 1024)) {
    buffer_ = std::make_unique_for_overwrite<std::byte[]>(size_);
}

void client_exchange::end() noexcept {
    closed_ = true;
    upload_->stop();
    upload_->close();  // the fiber may let go of it later
}

void client_exchange::close() noexcept {
    closed_ = true;
    upload_->close();
}

void client_exchange::perform(clock::time_point deadline) {
    try {
        upload_->begin(deadline);
        read_head(deadline);
    } catch (const timed_out&) {
        throw;
    } catch (const std::system_error&) {
        if (upload_->failed_by_source()) throw source_failure{upload_->failure()};
        if (!heard_ && upload_->over_reused()) throw kept_connection_lost();
        if (!heard_ && upload_->failure()) std::rethrow_exception(upload_->failure());
        throw;
    }
    if (head().status >= 300) upload_->stop();
    if (parser_.done()) finish();
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
        if (status == 100) upload_->invite();
        parser_ = response_parser(asked().method, with_->accepted);
    }
}

void client_exchange::fail_lost() {
    if (upload_->failure()) std::rethrow_exception(upload_->failure());
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
    const std::size_t n = receive_into(std::span(buffer_.get() + end_, size_ - end_), deadline);
    end_ += n;
    heard_ = heard_ || n != 0;
    return n != 0;
}

// A server that refuses a body and closes without reading it resets the connection, after what it had to say. That is how
// its answer ends if nothing else says where; what was announced and is missing is missed by the parser.
std::size_t client_exchange::receive_into(std::span<std::byte> room, clock::time_point deadline) {
    try {
        return upload_->stream().recv_until(room, deadline);
    } catch (const std::system_error& e) {
        const bool refused = parser_.has_head() && head().status >= 300 && asked().body.is_given();
        if (!refused || (e.code() != std::errc::connection_reset && e.code() != std::errc::broken_pipe)) throw;
        return 0;
    }
}

void client_exchange::check_reader() const {
    owner_.check("http::response_stream");
    if (closed_) throw std::system_error(std::make_error_code(std::errc::bad_file_descriptor), "it has been closed");
    if (reading_) throw concurrent_use("http::response_stream: another fiber reads already");
}

std::size_t client_exchange::read_some(std::span<std::byte> into, clock::time_point deadline) {
    check_reader();
    const flagged here(reading_);
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
        if (upload_->failed_by_source()) throw source_failure{upload_->failure()};
        throw;
    }
}

std::string client_exchange::read_all(clock::time_point deadline) {
    const std::uint64_t most = with_->accepted.body;
    const std::optional<std::uint64_t> length = head().content_length;
    check_reader();
    std::string all;
    try {
        if (length && *length > most) throw error(errc::body_too_large, std::to_string(*length) + " bytes");
        // A length is only a promise: memory follows what really comes.
        const auto piece = std::make_unique_for_overwrite<char[]>(buffer_size);
        while (!parser_.done()) {
            all.append(piece.get(), read_some(std::as_writable_bytes(std::span(piece.get(), buffer_size)), deadline));
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
    const bool was_sent = upload_->is_complete();
    upload_->stop();
    // Another fiber may have closed it meanwhile, and may still be at that.
    const bool reusable = was_sent && !closed_ && parser_.keeps_alive() && begin_ == end_;
    reusable ? upload_->give_back() : upload_->close();
}

}  // namespace copse::io::http::detail
