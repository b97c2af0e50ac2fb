// An operation that another library carries out, on whatever thread, and that one fiber waits for.
//
// It may hold pointers to what the fiber has on its stack, so the fiber does not leave while it goes on: an interrupt
// that comes first asks the operation to end soon, stays pending, and is thrown once it has ended. If it has ended with
// success by then, its result is given, and the interrupt is thrown at the next wait (decision 3): nothing that was
// received is lost.
#pragma once

#include <memory>

#include <copse/detail/shared_wait.hpp>

namespace copse::io::detail {

/// What a kill or timeout means for the operation that its fiber waits for.
enum class if_interrupted : bool {
    cancel,   // it is asked to end, and waited for
    abandon,  // the fiber leaves at once: what goes on refers to nothing of it
};

/// Held by the fiber and by whoever is going to say that it has ended.
class foreign_operation : copse::detail::shared_object, public std::enable_shared_from_this<foreign_operation> {
public:
    /// `kind` is for people: a string that stays.
    explicit foreign_operation(const char* kind) noexcept : shared_object(kind) {}
    virtual ~foreign_operation() = default;

    /// It has ended: whatever it leaves behind is there. Any thread, once.
    void settle() noexcept;

    /// By the fiber that has started it, once.
    /// Parks:   until it has ended, unless it has.
    /// Throws:  with `abandon` what is pending, at once; with `cancel` nothing of that: see was_asked. greenlet_exit if the
    ///          last handle of a greenlet is dropped that waits here; with `cancel` not before it has ended.
    void await(if_interrupted then);

    /// It has been asked to end: an interrupt is pending. Thread of the fiber.
    bool was_asked() const noexcept { return asked_; }

protected:
    /// Asks it to end soon. In the hub, or in its fiber; at most once, and not after the fiber has seen the end.
    virtual void cancel() = 0;

private:
    struct stand;

    void stand_by(if_interrupted then);
    bool has_settled() const noexcept;
    void ask();

    copse::detail::ring<copse::detail::shared_wait> waiting_;  // guarded by the mutex, as settled_
    bool settled_ = false;
    bool asked_ = false;
};

}  // namespace copse::io::detail
