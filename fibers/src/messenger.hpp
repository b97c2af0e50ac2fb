// Throwing into a greenlet that is suspended in a switch by hand: the hub cannot complete what is no wait.
#pragma once

#include <exception>

#include "thread_state.hpp"

namespace copse::detail {

/// Started, and waiting in switch_to or raise for somebody to switch back. Not on a thread that has none of its own hub.
inline bool is_suspended_by_hand(const core& c) noexcept {
    return c.is_active() && c.gate.load(std::memory_order_relaxed) == c.owner->gate();
}

/// When its turn has come, and if `to` is still suspended by hand then, `error` is thrown there; with a null one the first of
/// what is pending on it.
void send_exception(core& to, std::exception_ptr error);

}  // namespace copse::detail
