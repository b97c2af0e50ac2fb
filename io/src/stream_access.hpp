// What the sources of this room do with any_stream that is nobody else's business.
#pragma once

#include <copse/io/any_stream.hpp>

namespace copse::io::detail {

struct stream_access {
    /// The stream inside, whose verbs take a point in time or none. Throws: EBADF if there is none.
    static stream_base& of(const any_stream& s) { return s.open(); }
};

}  // namespace copse::io::detail
