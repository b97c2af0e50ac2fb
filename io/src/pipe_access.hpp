// What the sources of this room do with pipes that is nobody else's business.
#pragma once

#include <copse/io/pipe.hpp>

namespace copse::io::detail {

struct pipe_access {
    /// Ends of fresh descriptors, which are closed if that fails. They must be non-blocking.
    static pipe_reader reader_of(int fd);
    static pipe_writer writer_of(int fd);
};

}  // namespace copse::io::detail
