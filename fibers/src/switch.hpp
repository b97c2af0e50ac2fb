// Leaving one stack for another. Every switch of copse but the inlined plain one of switch_to passes through here.
#pragma once

#include <copse/detail/jump.hpp>

#include "sanitizers.hpp"
#include "thread_state.hpp"

namespace copse::detail {

/// Gives an unstarted greenlet a stack, so that it can be jumped to. Throws std::system_error; the greenlet is unchanged then.
void bind_stack(thread_state& state, core& unstarted);

void* checked_jump(thread_state& state, core& self, core& target, void* word) noexcept;

/// For a greenlet that has exceptions in flight or in handlers: takes them off the thread before it leaves, and puts them back.
void* jump_with_exceptions(thread_state& state, core& self, core& target, void* word) noexcept;

/// Leaves `self`, which can be entered again, for `target`. Returns the word of whoever enters it, when that happens.
[[gnu::always_inline]] inline void* jump_to(thread_state& state, core& self, core& target, void* word) noexcept {
    if (this_thread.exceptions->any()) [[unlikely]]
        return jump_with_exceptions(state, self, target, word);
    if (state.sanitized) [[unlikely]] {
        word = checked_jump(state, self, target, word);
    } else {
        const arrival from = level_jump(target.frame, word, &self.frame);
        this_thread.current->frame = from.frame;
        word = from.word;
    }
    this_thread.current = &self;
    return word;
}

/// Leaves the stack of a greenlet that is dead: its block may be gone already. Inlined into the root of the stack, which is
/// entered without a call and so must be left at the same depth: else the return-address stack of the CPU is off for good.
[[gnu::always_inline]] inline void jump_for_ever(thread_state& state, core& target, void* word) noexcept {
    this_thread.current = &state.grave;
    if (state.sanitized) [[unlikely]] {
        announce_leaving(state.left_stack, static_cast<checked_stack*>(target.checker), true);
        called_jump(target.frame, word);
    } else {
        level_jump(target.frame, word, &state.grave.frame);
    }
}

/// The first thing on a new stack: becomes `self`.
inline void arrive_first(thread_state& state, core& self, void* from_frame) noexcept {
    core& left = *this_thread.current;
    left.frame = from_frame;
    this_thread.current = &self;
    if (state.sanitized) [[unlikely]] {
        announce_arrival(static_cast<checked_stack*>(self.checker), static_cast<checked_stack*>(left.checker));
        forget_stack(std::exchange(state.left_stack, nullptr));
    }
}

}  // namespace copse::detail
