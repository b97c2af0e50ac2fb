/// Listeners that whoever started this program made for it: socket activation, as systemd does it.
#pragma once

#include <string>
#include <vector>

#include <copse/io/descriptor.hpp>
#include <copse/io/socket.hpp>

namespace copse::io {

/// A descriptor that was handed over.
struct inherited_descriptor {
    std::string name;  ///< of LISTEN_FDNAMES; "unknown" if there is none
    descriptor opened;
};

/// A socket that was handed over: bound, and a stream one listens.
struct inherited_listener {
    std::string name;
    socket listener;
};

/// Takes the sockets that the environment tells of: LISTEN_FDS of them, from number 3 on, if LISTEN_PID is this process.
/// LISTEN_FDNAMES, if it is there, has their names with colons in between.
///
///     auto inherited = io::inherited_listeners();
///     io::socket listener = inherited.empty() ? io::listen(":80") : std::move(inherited.front().listener);
///     io::stream_server server(std::move(listener), handle);
///
/// They are this thread's from then on, non-blocking, and no longer inherited by programs that are started. The three
/// variables are removed: a second call finds nothing, and so do those programs. As everything that changes the environment
/// it is for the time before there are threads.
///
/// Returns: none if the environment does not speak of this process; nothing is changed then.
/// Throws:  std::invalid_argument if a variable is no number, or there are more or fewer names than descriptors;
///          std::system_error: EBADF and ENOTSOCK for what is no open socket, EINVAL for a stream socket that does not
///          listen, with its number and name. Nothing was taken or changed then.
std::vector<inherited_listener> inherited_listeners();

/// The same for descriptors of all kinds: FIFOs, connected sockets, files. They are no longer inherited; nothing else is
/// changed.
std::vector<inherited_descriptor> inherited_descriptors();

}  // namespace copse::io
