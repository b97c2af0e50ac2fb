#include "switch.hpp"

#include "life.hpp"

namespace copse::detail {

namespace {

constexpr std::size_t stack_unit = 4096;

}  // namespace

#if defined(__x86_64__)
void take_over_float_flags(unsigned differing) noexcept {
    __builtin_ia32_ldmxcsr(__builtin_ia32_stmxcsr() ^ (differing & float_flags));
}
#endif

void bind_stack(thread_state& state, core& unstarted) {
    stack_slot* slot = state.stacks->take(unstarted.stack_request * stack_unit);
    const auto size = static_cast<std::size_t>(slot->top - slot->limit);
    if (state.sanitized) {
        try {
            unstarted.checker = check_new_stack(slot->limit, size);
        } catch (...) {
            state.stacks->give(slot);
            throw;
        }
    }
    slot->owner = &unstarted;
    unstarted.stack = slot;
    unstarted.frame = first_frame(slot->top, size, &begin_life);
}

void* jump_with_exceptions(thread_state& state, core& self, core& target, void* word) noexcept {
    self.exceptions = std::exchange(*this_thread.exceptions, exception_state{});
    word = jump_to(state, self, target, word);
    *this_thread.exceptions = std::exchange(self.exceptions, exception_state{});
    return word;
}

void* checked_jump(thread_state& state, core& self, core& target, void* word) noexcept {
    auto* mine = static_cast<checked_stack*>(self.checker);
    announce_leaving(mine, static_cast<checked_stack*>(target.checker), false);
    const arrival from = called_jump(target.frame, word);
    core& left = *this_thread.current;
    left.frame = from.frame;
    announce_arrival(mine, static_cast<checked_stack*>(left.checker));
    forget_stack(std::exchange(state.left_stack, nullptr));
    return from.word;
}

}  // namespace copse::detail
