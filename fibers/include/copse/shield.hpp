/// Keeping kills and timeouts back.
#pragma once

#include <copse/detail/core.hpp>

namespace copse {

/// While one lives, kills and timeouts of the fiber that made it are kept back; they are thrown at its first wait after. Every
/// destructor that waits needs one: an exception must not leave it.
class shield {
public:
    shield();
    ~shield();
    shield(const shield&) = delete;
    shield& operator=(const shield&) = delete;

private:
    detail::core* shielded_;
};

}  // namespace copse
