// Names of Unix sockets outlive them: binding to one again.
#pragma once

#include <copse/io/socket.hpp>

namespace copse::io::detail {

/// s.bind(here). A name in the file system whose socket is gone is removed before, if `replace_stale`; else the error says so.
/// `type`: of the sockets that would use the name.
void bind(socket& s, const endpoint& here, int type, bool replace_stale);

}  // namespace copse::io::detail
