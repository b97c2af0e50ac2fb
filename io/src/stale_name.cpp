#include "stale_name.hpp"

#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <system_error>

#include "failure.hpp"
#include "system_calls.hpp"

namespace copse::io::detail {

namespace {

/// A socket's file, and nobody is behind it. Whoever is, hears nothing but a connection that comes and goes.
bool is_stale(const endpoint& name, int type) {
    struct stat file {};
    const std::string path = name.address();
    if (::lstat(path.c_str(), &file) != 0 || !S_ISSOCK(file.st_mode)) return false;
    const int probe = sys.socket(AF_UNIX, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (probe < 0) return false;
    const bool refused = sys.connect(probe, name.native(), name.native_size()) != 0 && errno == ECONNREFUSED;
    sys.close(probe);
    return refused;
}

bool is_file(const endpoint& e) { return e.family() == AF_UNIX && !e.address().empty() && e.address().front() != '@'; }

}  // namespace

void bind(socket& s, const endpoint& here, int type, bool replace_stale) {
    try {
        s.bind(here);
    } catch (const std::system_error& e) {
        if (e.code() != std::errc::address_in_use || !is_file(here) || !is_stale(here, type)) throw;
        if (!replace_stale) {
            fail(EADDRINUSE, describe("bind", s.native_handle(), here) +
                                 ", left there by a socket that is gone: remove the file, or ask for replace_stale");
        }
        ::unlink(here.address().c_str());
        s.bind(here);
    }
}

}  // namespace copse::io::detail
