// The park protocol. The waker decides, never the sleeper.
//
// A wait is an object on the stack of the greenlet that parks. It has one door, complete(): the first comer wins, unlinks it
// at once from everything that could still wake it, and appends the greenlet to the ready queue; whoever comes later finds it
// completed. Handing something over is therefore "take the first waiter, give, complete", without re-checks on either side.
//
//   step 1  attend()      what is pending is thrown, before anything is promised
//   step 2  link          the caller puts the wait where its waker will look
//   step 3  park()        arms the deadline and leaves the stack
//   step 4  complete()    the waker, the deadline or an interrupt: first comer wins
//   step 5  park() ends   a wait that acquired returns; one that acquired nothing throws what is pending
//
// All of it happens on the thread of the greenlet. A waker on another thread can only claim a wait and send word of it
// (detail/shared_wait.hpp): a claimed wait is completed by that word and by nothing else.
#pragma once

#include <cstddef>
#include <cstdint>
#include <exception>
#include <utility>
#include <vector>

#include <copse/clock.hpp>
#include <copse/detail/core.hpp>
#include <copse/detail/timer.hpp>

namespace copse::detail {

struct interrupt;
struct watch_access;

enum class cause : std::uint8_t {
    open,         // not completed
    satisfied,    // got what it waited for
    timed_out,    // its deadline came first
    interrupted,  // a kill or timeout of the fiber came first: thrown by park()
    failed,       // `error` came first: thrown by park()
};

/// Where a wait hangs: a ring through the waits and the list's head. Unlinked: `next` is null.
struct wait_link {
    wait_link* next = nullptr;
    wait_link* previous = nullptr;

    bool linked() const noexcept { return next != nullptr; }

    void unlink() noexcept {
        if (next == nullptr) return;
        next->previous = previous;
        previous->next = next;
        next = previous = nullptr;
    }
};

/// How a wait ends when it was satisfied although a kill or timeout is pending.
enum class gain : bool {
    nothing,   // sleep, join, event::wait: what is pending is thrown at once
    something  // permits, items, descriptors: it completes normally, and the next wait throws
};

/// Who must act before an open wait is satisfied, as far as that is known. For people.
struct blockers {
    const char* how = "held by";  // as in "mutex 0x… held by fiber #3"
    std::vector<std::uint64_t> ids{};
    std::size_t most = 64;  // more are not asked for

    bool full() const noexcept { return ids.size() >= most; }
};

/// One parked greenlet's wait. Made on its stack, never moved.
class wait : public wait_link, public timer {
public:
    /// `kind` and `object` are for people: the kind of wait and the object waited on.
    wait(const char* kind, const void* object, gain gains) noexcept
        : who(this_thread.current), what(kind), on(object), acquires(gains) {}
    wait(const wait&) = delete;
    wait& operator=(const wait&) = delete;

    /// Where it stands in a dump.
    core* const who;
    const char* const what;
    const void* const on;
    std::int64_t since = 0;  // of the hub's clock at its last turn
    /// What else must be undone when it completes, besides its link and its deadline; may be null.
    void (*undo)(wait&) noexcept = nullptr;
    /// Of a wait that another thread may claim: takes it back from there. False if it has been claimed: it stays open then,
    /// until word comes. Null for all others.
    bool (*recall)(wait&) noexcept = nullptr;
    /// Tells, while it is open, behind whom it stands; may be null. Asked when somebody looks: owners change while it waits.
    void (*behind)(const wait&, blockers&) = nullptr;
    std::exception_ptr error;       // thrown by park() if it ended as `interrupted` or `failed`
    const interrupt* by = nullptr;  // which interrupt, for comparison only: its scope may have ended
    const gain acquires;
    cause ended = cause::open;
};

/// Things that hang somewhere by a wait_link, in the order in which they came.
template <class T>
class ring {
public:
    constexpr ring() noexcept = default;
    ring(const ring&) = delete;
    ring& operator=(const ring&) = delete;

    bool empty() const noexcept { return head_.next == nullptr || head_.next == &head_; }
    T* front() const noexcept { return empty() ? nullptr : static_cast<T*>(head_.next); }

    void push_back(T& last) noexcept {
        wait_link& link = last;
        if (head_.next == nullptr) head_.next = head_.previous = &head_;
        link.next = &head_;
        link.previous = head_.previous;
        head_.previous->next = &link;
        head_.previous = &link;
    }

    void push_front(T& first) noexcept {
        push_back(first);
        wait_link& link = first;
        link.unlink();
        link.next = head_.next;
        link.previous = &head_;
        head_.next->previous = &link;
        head_.next = &link;
    }

    template <class F>
    void for_each(F f) const {
        if (head_.next == nullptr) return;
        for (const wait_link* at = head_.next; at != &head_; at = at->next) f(static_cast<const T&>(*at));
    }

    /// The first that is `wanted`; null: none is.
    template <class F>
    T* find(F wanted) const {
        for (wait_link* at = head_.next; at != nullptr && at != &head_; at = at->next) {
            if (wanted(static_cast<const T&>(*at))) return static_cast<T*>(at);
        }
        return nullptr;
    }

    std::size_t size() const noexcept {
        std::size_t n = 0;
        for_each([&n](const T&) { ++n; });
        return n;
    }

private:
    wait_link head_;
};

using wait_list = ring<wait>;

/// Somebody who is told when something has come about, a fiber's end or an event: unlinked, then called, once. Must not switch.
struct observer : wait_link {
    explicit observer(void (*when_told)(observer&) noexcept) noexcept : told(when_told) {}
    void (*told)(observer&) noexcept;
    bool sees_failures = false;  // of a fiber: its failure is not told to the error handler
};

/// Tells all who were there when it began.
inline void tell_all(ring<observer>& observers) noexcept {
    for (std::size_t n = observers.size(); n > 0 && !observers.empty(); --n) {
        observer* first = observers.front();
        first->unlink();
        first->told(*first);
    }
}

/// Out of line: throws what is pending on the current greenlet, or says that nothing may block here. Makes the thread's state
/// and hub if there are none.
void attend_now();

/// Step 1. Every blocking call passes here, also one that will not have to park.
inline void attend() {
    if (this_thread.current->attention != 0) [[unlikely]]
        attend_now();
}

/// Out of line: makes the thread's state.
std::uint64_t make_current_id();

/// The id of the current greenlet, for owners.
inline std::uint64_t current_id() {
    const std::uint64_t id = this_thread.current->id;
    return id != 0 ? id : make_current_id();
}

/// Step 3. Parks the current greenlet until `w` is completed, by the deadline if by nothing else.
/// Returns: satisfied or timed_out.
/// Throws:  what is pending, or the wait's error; greenlet_exit when the last handle of the greenlet is dropped meanwhile.
cause park(wait& w, std::int64_t deadline = never);

/// Step 4. Completes an open wait; false if it was completed already, or claimed by another thread. Never switches. Owner
/// thread.
bool complete(wait& w, cause how) noexcept;

/// The same with an exception for its park() to throw.
bool fail(wait& w, std::exception_ptr error) noexcept;

/// For destructors of what can be waited for: aborts with a message if somebody still waits.
[[noreturn]] void abort_waited_for(const wait& first, const char* ended) noexcept;

inline void must_not_be_waited_for(const wait_list& waiting, const char* what) noexcept {
    if (!waiting.empty()) [[unlikely]]
        abort_waited_for(*waiting.front(), what);
}

void abort_watched(const char* ended) noexcept;

inline void must_not_be_watched(const ring<observer>& watching, const char* what) noexcept {
    if (!watching.empty()) [[unlikely]]
        abort_watched(what);
}

/// A kill or an expired timeout, until it is thrown. Lives in the fiber or in the scope; never moved.
struct interrupt {
    interrupt* next = nullptr;
    std::exception_ptr error;  // null: not pending
};

/// What a timeout scope hangs on its greenlet by.
struct time_limit : timer, interrupt {
    core* of = nullptr;  // null once the greenlet has ended
    time_limit* next_limit = nullptr;
    time_limit* previous_limit = nullptr;
};

/// Completes the open wait of `c` with the interrupt, or leaves it pending for the next wait. Owner thread.
void deliver(core& c, interrupt& i) noexcept;

/// Takes back what has not been thrown yet.
void withdraw(core& c, interrupt& i) noexcept;

}  // namespace copse::detail
