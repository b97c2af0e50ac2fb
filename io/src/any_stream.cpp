#include <copse/io/any_stream.hpp>

#include <cerrno>
#include <stdexcept>
#include <string>

#include "failure.hpp"

namespace copse::io {

namespace detail {

stream_base::~stream_base() = default;

void fail_one_way(const char* operation) {
    fail(EBADF, std::string(operation) + " on a stream that goes the other way");
}

std::span<const std::byte> as_one(std::span<const const_buffer> pieces, std::vector<std::byte>& room) {
    if (pieces.size() == 1) return pieces.front().bytes();
    for (const const_buffer& piece : pieces) room.insert(room.end(), piece.bytes().begin(), piece.bytes().end());
    return room;
}

}  // namespace detail

detail::stream_base& any_stream::open() const {
    if (stream_ == nullptr) detail::fail(EBADF, "use of an empty stream");
    return *stream_;
}

void any_stream::shutdown_by(shut how, detail::limit within) {
    if (how != shut::write) throw std::invalid_argument("any_stream::shutdown ends the sending half only");
    open().end_sending(within.point());
}

void any_stream::close() {
    if (stream_ != nullptr) stream_->close();
}

}  // namespace copse::io
