// What one greenlet holds at a time, and the line of those who wait for it: under every lock that knows its owner.
#pragma once

#include <cstdint>

#include <copse/detail/wait.hpp>

namespace copse::detail {

/// Handed to the longest waiter (decision 3). Held by an id, not an address: ids are never used again. Owner thread only.
class ownership {
public:
    ownership() noexcept = default;
    ownership(const ownership&) = delete;
    ownership& operator=(const ownership&) = delete;

    bool taken() const noexcept { return owner_ != 0; }
    bool is_mine() const { return owner_ == current_id(); }

    /// Never parks.
    bool try_take() {
        if (owner_ != 0) return false;
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
        wait* first = waiting_.front();
        owner_ = first == nullptr ? 0 : first->who->id;
        if (first != nullptr) complete(*first, cause::satisfied);
    }

    /// To nobody, and all who wait go on without it: they must know why. Never parks.
    void dissolve() noexcept {
        owner_ = 0;
        while (wait* first = waiting_.front()) complete(*first, cause::satisfied);
    }

    const wait_list& waiting() const noexcept { return waiting_; }

private:
    bool wait_by(const char* what, const void* on, std::int64_t deadline);

    std::uint64_t owner_ = 0;  // id of the greenlet that holds it
    wait_list waiting_;
};

/// Why an unlock is refused.
[[noreturn]] void throw_not_owner(const char* what);

}  // namespace copse::detail
