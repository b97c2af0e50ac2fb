#include <copse/joinable_queue.hpp>

#include <algorithm>

namespace copse::detail {

void task_ledger::done(std::size_t items) noexcept {
    unfinished_ -= std::min(items, unfinished_);  // some may have been reported before they were got
    if (unfinished_ != 0) return;
    while (wait* w = joiners_.front()) complete(*w, cause::satisfied);
}

bool task_ledger::wait_by(const void* queue, std::int64_t deadline) {
    wait w("joinable_queue join", queue, gain::nothing);
    joiners_.push_back(w);
    return park(w, deadline) == cause::satisfied;
}

void throw_task_done_too_often() {
    throw task_done_too_often("task_done: every item of the joinable_queue has been reported done already");
}

}  // namespace copse::detail
