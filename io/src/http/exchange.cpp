#include <copse/io/http/server.hpp>

#include <system_error>

#include "http/connection.hpp"

namespace copse::io::http {

std::size_t body_reader::read_by(std::span<std::byte> into, detail::limit within) {
    if (of_ == nullptr)
        throw std::system_error(std::make_error_code(std::errc::bad_file_descriptor),
                                "http::body_reader: it is closed");
    return of_->read_by(into, within);
}

const http::request& exchange::request() const noexcept { return connection_.request(); }

const endpoint& exchange::peer() const noexcept { return connection_.peer(); }

bool exchange::is_secure() const noexcept { return connection_.is_secure(); }

std::optional<std::uint64_t> exchange::content_length() const noexcept { return connection_.body().length(); }

void exchange::limit_body(std::uint64_t bytes) noexcept { connection_.body().limit_to(bytes); }

std::size_t exchange::read_by(std::span<std::byte> into, detail::limit within) {
    return connection_.read(into, within);
}

const std::string& exchange::read_all_by(detail::limit within) { return connection_.read_all(within); }

const fields& exchange::trailers() const noexcept { return connection_.body().trailers(); }

void exchange::respond_by(const response& r, detail::limit within) { connection_.answer().respond(r, within); }

void exchange::start(const response& head, std::optional<std::uint64_t> length) {
    connection_.answer().start(head, length);
}

void exchange::write_by(std::string_view piece, detail::limit within) { connection_.answer().write(piece, within); }

void exchange::write_file(int file, std::uint64_t offset, std::uint64_t count) {
    connection_.answer().write_file(file, offset, count);
}

void exchange::flush() { connection_.answer().flush(); }

void exchange::finish(const fields& trailers) { connection_.answer().finish(trailers); }

bool exchange::answered() const noexcept { return connection_.current_answer().has_begun(); }

any_stream exchange::upgrade(const fields& headers) { return connection_.upgrade(headers); }

any_stream exchange::release() { return connection_.release(); }

}  // namespace copse::io::http
