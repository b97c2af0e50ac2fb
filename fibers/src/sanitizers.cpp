#include "sanitizers.hpp"

#include <memory>

namespace copse::detail {

checked_stack* check_thread_stack() {
    auto stack = std::make_unique<checked_stack>();
    stack->of_thread = true;
    if (__tsan_get_current_fiber != nullptr) stack->tsan_fiber = __tsan_get_current_fiber();
    return stack.release();
}

checked_stack* check_new_stack(const void* bottom, std::size_t size) {
    auto stack = std::make_unique<checked_stack>();
    stack->bottom = bottom;
    stack->size = size;
    if (__tsan_create_fiber != nullptr) stack->tsan_fiber = __tsan_create_fiber(0);
    return stack.release();
}

void forget_stack(checked_stack* stack) noexcept {
    if (stack != nullptr && !stack->of_thread && stack->tsan_fiber != nullptr && __tsan_destroy_fiber != nullptr) {
        __tsan_destroy_fiber(stack->tsan_fiber);
    }
    delete stack;
}

}  // namespace copse::detail
