#include <copse/io/descriptor.hpp>

#include <copse/io/wait.hpp>

#include "system_calls.hpp"

namespace copse::io {

void descriptor::close() noexcept {
    if (fd_ < 0) return;
    notify_closing(fd_);
    detail::sys.close(std::exchange(fd_, -1));
}

}  // namespace copse::io
