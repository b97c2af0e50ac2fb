// What AddressSanitizer and ThreadSanitizer must be told about stacks. Their entry points are weak: a program that is built
// with a sanitizer gets right reports from a copse that was built without. While one is present no gate opens, so that every
// switch takes the long way and passes here.
#pragma once

#include <cstddef>

extern "C" {
[[gnu::weak]] void __sanitizer_start_switch_fiber(void** fake_stack_save, const void* bottom, std::size_t size);
[[gnu::weak]] void __sanitizer_finish_switch_fiber(void* fake_stack_save, const void** bottom_old,
                                                   std::size_t* size_old);
[[gnu::weak]] void* __tsan_get_current_fiber();
[[gnu::weak]] void* __tsan_create_fiber(unsigned flags);
[[gnu::weak]] void __tsan_destroy_fiber(void* fiber);
[[gnu::weak]] void __tsan_switch_to_fiber(void* fiber, unsigned flags);
}

namespace copse::detail {

struct core;
class thread_state;

/// What one stack looks like to them.
struct checked_stack {
    void* fake_stack = nullptr;  // AddressSanitizer's, while the stack is left
    const void* bottom = nullptr;
    std::size_t size = 0;
    void* tsan_fiber = nullptr;
    bool of_thread = false;  // the thread's own stack: its ThreadSanitizer fiber is not ours to end
};

inline bool sanitizer_present() noexcept {
    return __sanitizer_start_switch_fiber != nullptr || __tsan_switch_to_fiber != nullptr;
}

/// For a thread's own stack, and for a stack about to be entered for the first time. May throw bad_alloc.
checked_stack* check_thread_stack();
checked_stack* check_new_stack(const void* bottom, std::size_t size);
void forget_stack(checked_stack* stack) noexcept;

/// Right before the jump from one to the other; `for_ever`: the first one will never be entered again.
inline void announce_leaving(checked_stack* from, checked_stack* to, bool for_ever) noexcept {
    if (__sanitizer_start_switch_fiber != nullptr) {
        __sanitizer_start_switch_fiber(for_ever ? nullptr : &from->fake_stack, to->bottom, to->size);
    }
    if (__tsan_switch_to_fiber != nullptr) __tsan_switch_to_fiber(to->tsan_fiber, 0);
}

/// Right after it. `from` learns its bounds: a thread's own stack has no other way to know them.
inline void announce_arrival(checked_stack* here, checked_stack* from) noexcept {
    if (__sanitizer_finish_switch_fiber == nullptr) return;
    const void* bottom = nullptr;
    std::size_t size = 0;
    __sanitizer_finish_switch_fiber(here->fake_stack, &bottom, &size);
    if (from != nullptr) {
        from->bottom = bottom;
        from->size = size;
    }
}

}  // namespace copse::detail
