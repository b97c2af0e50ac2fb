#include <copse/detail/ownership.hpp>

#include <string>

#include <copse/error.hpp>

#include "fork.hpp"

namespace copse::detail {

struct ownership::claim final : wait {
    claim(const char* kind, const void* object, bool again, ownership& of) noexcept
        : wait(kind, object, gain::something), is_firm(again), of_(of) {
        behind = [](const wait& w, blockers& b) { b.ids.push_back(static_cast<const claim&>(w).of_.owner_); };
    }
    ~claim() {
        if (made_ready_) --of_.due_;
    }

    void make_ready() noexcept {
        made_ready_ = true;
        ++of_.due_;
        complete(*this, cause::satisfied);
    }

    const bool is_firm;   // it has been robbed before
    bool robbed = false;  // since it was handed over

private:
    bool made_ready_ = false;
    ownership& of_;
};

bool ownership::wait_by(const char* what, const void* on, std::int64_t deadline) {
    if (owner_ == this_thread.current->id)
        throw self_deadlock(std::string(what) + ": locked again by its owner, which would wait for itself");
    must_be_here(owner_, what);
    for (bool again = false;; again = true) {
        claim mine(what, on, again, *this);
        again ? waiting_.push_front(mine) : waiting_.push_back(mine);
        if (park(mine, deadline) != cause::satisfied) return false;
        if (granted_ == &mine) granted_ = nullptr;
        if (!mine.robbed) return true;
        attend();
        if (try_take()) return true;
    }
}

bool ownership::take_back() {
    if (granted_ == nullptr || granted_->is_firm || giver_ == current_id()) return false;
    granted_->robbed = true;
    granted_ = nullptr;
    return true;
}

void ownership::hand_to_first() noexcept {
    giver_ = this_thread.current->id;
    granted_ = static_cast<claim*>(waiting_.front());
    owner_ = granted_->who->id;
    granted_->make_ready();
}

void ownership::dissolve() noexcept {
    owner_ = 0;
    while (wait* first = waiting_.front()) static_cast<claim*>(first)->make_ready();
}

void throw_not_owner(const char* what) {
    throw not_owner(std::string(what) + ": unlocked by a greenlet that does not hold it");
}

}  // namespace copse::detail
