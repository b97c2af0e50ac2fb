// What fork leaves of a thread's greenlets in the child: the one that called it, and what it can still reach by hand
// (decision 8).
//
// Kept are the forker and its parents up to a fiber, main or the hub, and greenlets suspended by hand, unless a parent of
// theirs is left behind. Left behind is what the hub would have resumed, and main: never resumed, never unwound, its stack
// never used again, and taken out of every list and timer, so that nothing is handed to it.
#pragma once

#include <cstdint>
#include <new>
#include <vector>

#include <copse/detail/shared_wait.hpp>

namespace copse::detail {

struct fiber_core;

/// Has fork call us, from the first use of copse in the process on.
void watch_for_forks() noexcept;

/// What has threads or mutexes of its own, which a fork would split.
class fork_watcher {
public:
    /// Takes the mutexes. Those of several watchers are taken in the order in which they were registered.
    virtual void before_fork() noexcept {}
    /// Lets go of them, in parent and child.
    virtual void after_fork() noexcept {}
    /// Then, in the child alone, where all threads but the caller's are gone, whatever they were doing.
    virtual void in_child() noexcept {}

protected:
    fork_watcher() = default;
    fork_watcher(const fork_watcher&) = default;
    fork_watcher& operator=(const fork_watcher&) = default;
    ~fork_watcher() = default;
};

/// While it lives, `of` is told of each fork. The last member of what it watches for: so that is whole.
class fork_registration : public wait_link {
public:
    explicit fork_registration(fork_watcher& watcher);
    fork_registration(const fork_registration&) = delete;
    fork_registration& operator=(const fork_registration&) = delete;
    ~fork_registration();

    fork_watcher& of;
};

/// In a child: gives up an object that a thread may have been using which is not there any more. It is not ended.
template <class T>
void give_up(T& split) noexcept {
    ::new (static_cast<void*>(&split)) T();
}

/// Who was left behind by the forks that led to this process, on this thread.
class left_behind {
public:
    void add(std::uint64_t id) { ids_.push_back(id); }
    bool any() const noexcept { return !ids_.empty(); }
    bool has(std::uint64_t id) const noexcept;

private:
    std::vector<std::uint64_t> ids_;
};

/// Throws left_in_parent if `owner` was left behind: what it holds is never given back.
void must_be_here(std::uint64_t owner, const char* held);

/// The forker, or the fiber it was entered from by hand, has ended in the child: so does the process, as after main's
/// return.
[[noreturn]] void end_child(fiber_core& forker) noexcept;

}  // namespace copse::detail
