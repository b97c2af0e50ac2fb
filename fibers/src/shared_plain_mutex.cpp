// The mutex of copse::shared. It is not built on detail::ownership because that one makes an id for its caller, and with it
// a thread's state: here a thread that knows nothing of fibers may try_lock.
#include <copse/shared/mutex.hpp>

#include <atomic>

#include <copse/error.hpp>

#include "fork.hpp"
#include "thread_state.hpp"

namespace copse::shared {

namespace {

using detail::this_thread;

constinit std::atomic<std::uint64_t> plain_threads{0};
constinit thread_local std::uint64_t number_of_this_thread = 0;

// A thread that has not used copse has a number of its own, never used again, and told from all ids by the highest bit.
std::uint64_t this_plain_thread() noexcept {
    if (number_of_this_thread == 0)
        number_of_this_thread = (plain_threads.fetch_add(1, std::memory_order_relaxed) + 1) | (std::uint64_t{1} << 63U);
    return number_of_this_thread;
}

// The greenlet that calls.
std::uint64_t caller() noexcept {
    const std::uint64_t id = this_thread.current->id;
    return id != 0 ? id : this_plain_thread();
}

}  // namespace

struct timed_mutex::claimant final : detail::shared_wait {
    claimant(timed_mutex& m, bool again) noexcept : shared_wait(m.noun(), m, detail::gain::something), is_firm(again) {}
    const bool is_firm;   // it has been robbed before
    bool robbed = false;  // since it was handed over
};

// What a thread locked before its first use of copse its main greenlet holds after that.
bool timed_mutex::is_mine() const noexcept {
    if (owner_ == caller()) return true;
    return owner_ == this_plain_thread() && this_thread.current == &this_thread.state->main;
}

bool timed_mutex::take_if_free() noexcept {
    const guard held(mutex_);
    if (owner_ != 0) return false;
    owner_ = caller();
    return true;
}

bool timed_mutex::try_lock() noexcept {
    const guard held(mutex_);
    if (owner_ != 0 && !take_back()) return false;
    owner_ = caller();
    return true;
}

bool timed_mutex::take_back() noexcept {
    if (granted_ == nullptr || granted_->is_firm || giver_ == caller()) return false;
    granted_->robbed = true;
    granted_ = nullptr;
    return true;
}

bool timed_mutex::wait_by(std::int64_t deadline) {
    for (bool again = false;; again = true) {
        detail::shared_lock held(*this);
        if (owner_ == 0) {
            owner_ = caller();
            return true;
        }
        if (is_mine()) throw self_deadlock("shared mutex: locked again by its owner, which would wait for itself");
        detail::must_be_here(owner_, noun());
        claimant mine(*this, again);
        again ? waiting_.push_front(mine) : waiting_.push_back(mine);
        if (mine.park(held, deadline) != detail::cause::satisfied) return false;
        held.lock();
        mine.leave();
        if (granted_ == &mine) granted_ = nullptr;
        if (!mine.robbed) return true;
        held.unlock();
        detail::attend();
    }
}

void timed_mutex::unlock() {
    detail::shared_lock held(*this);
    if (!is_mine()) throw not_owner("shared mutex: unlocked by a greenlet that does not hold it");
    if (auto* const first = waiting_.front()) {
        hand_to(static_cast<claimant&>(*first), held);
    } else {
        owner_ = 0;
    }
}

void timed_mutex::hand_to(claimant& next, detail::shared_lock& held) noexcept {
    giver_ = caller();
    granted_ = &next;
    owner_ = next.who->id;
    next.claim(held);
}

}  // namespace copse::shared
