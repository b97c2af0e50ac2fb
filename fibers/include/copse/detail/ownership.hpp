// What one greenlet holds at a time, and the line of those who wait for it: under every lock that knows its owner.
#pragma once

#include <cstddef>
#include <cstdint>

#include <copse/detail/wait.hpp>

namespace copse::detail {

/// Handed to the longest waiter (decision 3). Held by an id, not an address: ids are never used again. Owner thread only.
///
/// One exception, without which std::lock over several locks circles for ever: what was handed to a waiter that has not run yet
/// can be taken from it once by another's try_take, though not by who has just handed it over. The waiter is then the
/// first in line, and what it is handed next stays.
class ownership {
public:
    ownership() noexcept = default;
    ownership(const ownership&) = delete;
    ownership& operator=(const ownership&) = delete;

    bool taken() const noexcept { return owner_ != 0; }
    bool is_mine() const { return owner_ == current_id(); }

    /// Never parks.
    bool try_take() {
        if (owner_ != 0 && !take_back()) return false;
        owner_ = current_id();
        return true;
    }

    /// After attend(). `what` names the object in messages and dumps, `on` is its address.
    /// Parks:   while another greenlet holds it.
    /// Returns: false at the deadline.
    /// Throws:  self_deadlock if the caller holds it.
    bool take_by(const char* what, const void* on, std::int64_t deadline) {
        if (owner_ != 0) return wait_by(what, on, deadline);
        owner_ = this_thread.current->id;
        return true;
    }

    /// To the longest waiter, who is made ready; to nobody if none waits. Never parks.
    void hand_over() noexcept {
        if (waiting_.empty()) {
            owner_ = 0;
        } else {
            hand_to_first();
        }
    }

    /// To nobody, and all who wait go on without it: they must know why. Never parks.
    void dissolve() noexcept;

    /// For destructors.
    void must_not_be_waited_for(const char* what) const noexcept {
        detail::must_not_be_waited_for(waiting_, what);
        if (due_ != 0) [[unlikely]]
            abort_watched(what);
    }

private:
    struct claim;

    bool wait_by(const char* what, const void* on, std::int64_t deadline);
    bool take_back();
    void hand_to_first() noexcept;

    std::uint64_t owner_ = 0;   // id of the greenlet that holds it
    std::uint64_t giver_ = 0;   // id of the one that handed it over last
    claim* granted_ = nullptr;  // of whom it was handed to, until that one runs
    wait_list waiting_;         // all of them claims
    std::size_t due_ = 0;       // those who were made ready and have not run since
};

/// Why an unlock is refused.
[[noreturn]] void throw_not_owner(const char* what);

}  // namespace copse::detail
