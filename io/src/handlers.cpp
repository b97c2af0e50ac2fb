#include "handlers.hpp"

#include <copse/greenlet.hpp>

namespace copse::io::detail {

std::vector<any_fiber> others(const std::list<any_fiber>& running) {
    std::vector<any_fiber> all;
    for (const any_fiber& f : running) {
        if (!f.empty() && f.underlying() != greenlet::current()) all.push_back(f);
    }
    return all;
}

bool join_by(const std::vector<any_fiber>& fibers, clock::time_point deadline) {
    bool all = true;
    for (const any_fiber& f : fibers) all = f.join_until(deadline) && all;
    return all;
}

void end_handlers(const std::vector<any_fiber>& handlers) {
    for (const any_fiber& f : handlers) f.request_kill();
    join_by(handlers, clock::now() + grace);
}

}  // namespace copse::io::detail
