#include <copse/io/any_stream.hpp>

#include <cerrno>
#include <stdexcept>

#include "failure.hpp"

namespace copse::io {

detail::stream_base::~stream_base() = default;

detail::stream_base& any_stream::open() const {
    if (stream_ == nullptr) detail::fail(EBADF, "use of an empty stream");
    return *stream_;
}

void any_stream::shutdown(shut how) {
    if (how != shut::write) throw std::invalid_argument("any_stream::shutdown ends the sending half only");
    open().end_sending();
}

void any_stream::close() {
    if (stream_ != nullptr) stream_->close();
}

}  // namespace copse::io
