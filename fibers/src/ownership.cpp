#include <copse/detail/ownership.hpp>

#include <string>

#include <copse/error.hpp>

namespace copse::detail {

struct ownership::claim final : wait {
    claim(const char* kind, const void* object, bool again) noexcept
        : wait(kind, object, gain::something), is_firm(again) {}
    const bool is_firm;   // it has been robbed before
    bool robbed = false;  // since it was handed over
};

bool ownership::wait_by(const char* what, const void* on, std::int64_t deadline) {
    if (owner_ == this_thread.current->id)
        throw self_deadlock(std::string(what) + ": locked again by its owner, which would wait for itself");
    for (bool again = false;; again = true) {
        claim mine(what, on, again);
        again ? waiting_.push_front(mine) : waiting_.push_back(mine);
        if (park(mine, deadline) != cause::satisfied) return false;
        if (granted_ == &mine) granted_ = nullptr;
        if (!mine.robbed) return true;
        --robbed_;
        attend();
        if (try_take()) return true;
    }
}

bool ownership::take_back() {
    const std::uint64_t me = current_id();
    if (granted_ == nullptr || granted_->is_firm || giver_ == me || owner_ == me) return false;
    granted_->robbed = true;
    granted_ = nullptr;
    ++robbed_;
    return true;
}

void ownership::hand_to_first() noexcept {
    giver_ = this_thread.current->id;
    granted_ = static_cast<claim*>(waiting_.front());
    owner_ = granted_->who->id;
    complete(*granted_, cause::satisfied);
}

void throw_not_owner(const char* what) {
    throw not_owner(std::string(what) + ": unlocked by a greenlet that does not hold it");
}

}  // namespace copse::detail
