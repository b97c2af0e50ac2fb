#include <copse/scoped_fiber.hpp>

#include <copse/detail/task_batch.hpp>

namespace copse::detail {

namespace {

void end(const any_fiber& f) noexcept {
    ask_to_end(f);
    await_end(f);
}

}  // namespace

void leave_scope_of(const any_fiber& f, bool unwinding) {
    if (unwinding) return end(f);
    try {
        f.join();
    } catch (...) {
        end(f);
        throw;
    }
}

}  // namespace copse::detail
