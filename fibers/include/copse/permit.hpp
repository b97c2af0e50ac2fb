/// A permit of a semaphore, for a scope.
#pragma once

#include <mutex>
#include <utility>

namespace copse {

/// Acquires a permit and gives it back at the end of the scope, whatever ends that: what std::unique_lock is to a mutex.
///
///     const copse::permit place(places);
///
/// `Semaphore` is `semaphore`, `bounded_semaphore`, `shared::semaphore`, or any that has acquire, try_acquire and release. It
/// must live as long as the permit.
template <class Semaphore>
class [[nodiscard]] permit {
public:
    /// Parks:   until a permit is given.
    explicit permit(Semaphore& of) : of_(&of) { of.acquire(); }

    /// Never parks: held() tells.
    permit(Semaphore& of, std::try_to_lock_t /*tag*/) : of_(of.try_acquire() ? &of : nullptr) {}

    /// Of one that the caller has acquired.
    permit(Semaphore& of, std::adopt_lock_t /*tag*/) noexcept : of_(&of) {}

    permit(permit&& other) noexcept : of_(std::exchange(other.of_, nullptr)) {}
    permit& operator=(permit&& other) noexcept {
        permit gone(std::move(other));
        std::swap(of_, gone.of_);
        return *this;
    }
    ~permit() { give_back(); }

    bool held() const noexcept { return of_ != nullptr; }
    explicit operator bool() const noexcept { return held(); }

    /// Before the end of the scope. Again: nothing.
    void give_back() {
        if (of_ != nullptr) std::exchange(of_, nullptr)->release();
    }

private:
    Semaphore* of_;
};

}  // namespace copse
