// Waits that another thread may end: what all of copse::shared is built on.
//
// An object's mutex guards its lines. The waker, on any thread, takes the first in line out and *claims* it under that
// mutex; from then on nobody else completes that wait, so what it was given is its own. Word is filed with the waiter's hub
// before the mutex is let go of, and completes the wait on its own thread (step 4). It needs no memory: it is a part of the
// wait. The hub is woken when the mutex is free again, since who wakes up wants it next; it does not end before that has
// been done.
//
// A deadline or an interrupt that comes first asks, under the same mutex, whether the wait has been claimed (wait::recall).
// If not, the wait leaves its line and ends. If so, it stays open until the word comes, which has been sent already; an
// interrupt is pending meanwhile, and thrown by the rules of step 5.
//
// Whoever was claimed locks the mutex once more before its call returns. So the call that claimed it has let go of the
// object by then, which may end.
//
// Under a mutex items are moved, and no other code of the user's runs.
#pragma once

#include <cstddef>
#include <cstdint>
#include <exception>
#include <mutex>

#include <copse/detail/core.hpp>
#include <copse/detail/wait.hpp>

namespace copse::detail {

struct hub_core;
class shared_wait;

/// How many forks this process is away from the first that used copse.
unsigned forks_so_far() noexcept;

/// The mutex of an object, and how many of its waiters have been claimed and have not run since. Under everything in
/// copse::shared.
class shared_object {
public:
    shared_object(const shared_object&) = delete;
    shared_object& operator=(const shared_object&) = delete;

protected:
    using guard = std::lock_guard<std::mutex>;

    /// `noun` is for messages.
    explicit shared_object(const char* noun) noexcept : noun_(noun), born_(forks_so_far()) {}
    /// Aborts with a message if somebody was claimed and has not run since.
    ~shared_object();

    const char* noun() const noexcept { return noun_; }

    /// For destructors: aborts with a message if somebody is in the line.
    template <class Wait>
    void must_be_empty(const ring<Wait>& line) const noexcept {
        if (born_ != forks_so_far()) return;  // those who wait are threads of the parent's
        const guard held(mutex_);
        if (!line.empty()) [[unlikely]]
            abort_waited_for(*line.front(), noun_);
    }

    mutable std::mutex mutex_;

private:
    friend class shared_lock;
    friend class shared_wait;

    const char* const noun_;
    const unsigned born_;
    std::size_t due_ = 0;  // guarded by mutex_
};

/// Holds the mutex of an object for somebody who may claim or park. When it has let go of it, it wakes the hub that word
/// was filed with; if there were several, the earlier ones are woken at once.
class shared_lock {
public:
    explicit shared_lock(const shared_object& of) : mutex_(of.mutex_) { lock(); }
    shared_lock(const shared_lock&) = delete;
    shared_lock& operator=(const shared_lock&) = delete;
    ~shared_lock() {
        if (holds_) unlock();
    }

    void lock() {
        mutex_.lock();
        holds_ = true;
    }
    void unlock() noexcept {
        holds_ = false;
        mutex_.unlock();
        if (to_wake_ != nullptr) wake();
    }

private:
    friend class shared_wait;

    void send_word(hub_core& home, shared_wait& claimed) noexcept;
    void wake() noexcept;

    std::mutex& mutex_;
    hub_core* to_wake_ = nullptr;
    bool holds_ = false;
};

/// One greenlet's wait in a line of a shared object. While it exists its hub is not dead-locked: another thread may end it.
class shared_wait : public wait, public ready_node {
public:
    /// After attend(). `kind` is for people.
    shared_wait(const char* kind, shared_object& of, gain gains);
    /// The object's mutex must not be held.
    ~shared_wait();

    /// Step 3: lets go of the object's mutex, under which the wait was put in its line.
    cause park(shared_lock& held, std::int64_t until);

    /// On any thread, with the object's mutex held: takes it out of its line, and ends it like this.
    void claim(shared_lock& held, cause how = cause::satisfied) noexcept;
    void claim(shared_lock& held, std::exception_ptr failure) noexcept;

    /// With the object's mutex held, by the waiter that has come back: it does not look at the object again.
    void leave() noexcept;

    /// The mutex of the object that `w` waits at; null if it is no such wait, or ended.
    static std::mutex* mutex_of(const wait& w) noexcept;

private:
    friend struct hub_core;

    static bool take_back(wait& w) noexcept;
    void arrive() noexcept;  // the word, on our own thread

    shared_object& of_;
    hub_core& home_;
    std::exception_ptr failure_;  // with `how_` failed
    cause how_ = cause::open;     // open: not claimed. Guarded by the object's mutex until the word comes
};

}  // namespace copse::detail
