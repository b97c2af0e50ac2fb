// Stands in for disk_ring.cpp where copse is built without io_uring.
#include "disk_ring.hpp"

namespace copse::io::detail {

bool has_disk_ring() noexcept { return false; }

bool disk_ring_does(const std::shared_ptr<disk_call>& /*call*/, limit& /*within*/, const char* /*operation*/,
                    std::size_t /*before*/) {
    return false;
}

}  // namespace copse::io::detail
