#include <copse/io/detail/outlet.hpp>

#include <cerrno>
#include <string>

#include <copse/detail/wait.hpp>
#include <copse/error.hpp>
#include <copse/io/detail/lane.hpp>

#include "failure.hpp"
#include "stream_access.hpp"

namespace copse::io::detail {

void throw_lane_taken(const char* operation) {
    throw concurrent_use(std::string(operation) + ": another fiber is in this direction of the stream");
}

void outlet::send_all(const any_stream& to, std::span<const const_buffer> pieces,
                      std::optional<clock::time_point> until, const char* operation) {
    copse::detail::attend();
    stream_base& stream = stream_access::of(to);
    if (broken_ && stream.is_open())
        fail(ENOTRECOVERABLE,
             std::string(operation) + ": an earlier send was broken off, the peer may have a part of it");
    try {
        stream.send_all(pieces, until);
    } catch (const copse::error&) {
        throw;
    } catch (...) {
        broken_ = true;
        throw;
    }
}

}  // namespace copse::io::detail
