// What fork leaves of a thread's greenlets in the child: the one that called it, and what it can still reach by hand (decision 8).
//
// Kept are the forker and its parents up to a fiber, main or the hub, and greenlets suspended by hand, unless a parent of
// theirs is left behind. Left behind is what the hub would have resumed, and main: never resumed, never unwound, its stack
// never used again, and taken out of every list and timer, so that nothing is handed to it.
#pragma once

#include <cstdint>
#include <vector>

#include <copse/detail/core.hpp>

namespace copse::detail {

struct fiber_core;

/// Has fork call us, from the first use of copse in the process on.
void watch_for_forks() noexcept;

/// How many forks this process is away from the first that used copse. What keeps threads of its own compares: they are
/// not there any more in a child.
unsigned forks_so_far() noexcept;

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

/// The forker, or the fiber it was entered from by hand, has ended in the child: so does the process, as after main's return.
[[noreturn]] void end_child(fiber_core& forker) noexcept;

}  // namespace copse::detail
