/// The files below a folder, served by HTTP.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include <copse/io/descriptor.hpp>
#include <copse/io/http/server.hpp>

namespace copse::io::http {

/// Serves the regular files below a folder, and nothing else, whatever is asked for: names are resolved by the kernel
/// beneath the folder (openat2, Linux 5.6), so that neither "..", nor an absolute name, nor a symbolic link leads out
/// of it, also if links are made meanwhile.
///
///     const copse::io::http::files pages("/srv/www");
///     copse::io::http::server site("0.0.0.0:80", [&](copse::io::http::exchange& x) { pages.serve(x); });
///
/// It keeps the folder open: what is put in its place is not served. May be used by many fibers at once. Reading from
/// a slow disk blocks the thread.
class files {
public:
    /// Throws:  std::system_error that names the folder: ENOENT, ENOTDIR, EACCES; ENOSYS before Linux 5.6; EPERM where a
    ///          filter of system calls, such as that of an old container runtime, forbids openat2.
    explicit files(const std::string& folder);

    /// Answers with the file that the request's path names.
    ///
    /// GET and HEAD; 405 for others. For a folder its index.html, once the path ends with a slash (301 before that).
    /// 404 for what is not there, may not be read or is no regular file, and for paths with an escape that is none, an
    /// escaped slash or NUL, a backslash, an empty segment, or a segment that begins with a dot. Content-Type is told
    /// by the name's ending; ETag is made of size and time of change, and If-None-Match answered with 304, as is
    /// If-Modified-Since with the very time that Last-Modified said. One Range of bytes is answered with 206, or 416 if
    /// the file has none of them; several, or with an If-Range that is not true any more, are passed over.
    /// Parks:   until the kernel has taken all of it.
    /// Throws:  as exchange::respond; std::system_error when a file that may be there cannot be opened or read (EMFILE,
    ///          ENOMEM, EIO, EAGAIN while another process holds a lease on it): out of a handler that is a 500.
    void serve(exchange& x) const { serve(x, x.request().path()); }
    /// The same for another path than the request's, such as what follows a prefix; begins with a slash.
    void serve(exchange& x, std::string_view path) const;

private:
    struct found;
    found look_up(const std::string& name) const;
    descriptor open(const std::string& name) const;

    descriptor folder_;
};

}  // namespace copse::io::http
