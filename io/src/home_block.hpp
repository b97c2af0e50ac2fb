// This thread's reactor, found without a call.
#pragma once

#include <cstdint>

namespace copse::io::detail {

class reactor;

struct home_block {
    std::uint64_t serial = 0;  // never used again; 0: there is none
    reactor* now = nullptr;
};
extern constinit thread_local home_block home [[gnu::tls_model("initial-exec")]];

}  // namespace copse::io::detail
