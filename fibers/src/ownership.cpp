#include <copse/detail/ownership.hpp>

#include <string>

#include <copse/error.hpp>

namespace copse::detail {

bool ownership::wait_by(const char* what, const void* on, std::int64_t deadline) {
    if (owner_ == this_thread.current->id)
        throw self_deadlock(std::string(what) + ": locked again by its owner, which would wait for itself");
    wait w(what, on, gain::something);
    waiting_.push_back(w);
    return park(w, deadline) == cause::satisfied;
}

void throw_not_owner(const char* what) {
    throw not_owner(std::string(what) + ": unlocked by a greenlet that does not hold it");
}

}  // namespace copse::detail
