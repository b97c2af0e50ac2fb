#include <copse/detail/shared_wait.hpp>

#include <utility>

#include "hub_core.hpp"

namespace copse::detail {

shared_object::~shared_object() {
    if (born_ != forks_so_far()) return;
    const guard held(mutex_);
    if (due_ != 0) [[unlikely]]
        abort_watched(noun_);
}

void shared_lock::send_word(hub_core& home, shared_wait& claimed) noexcept {
    if (to_wake_ != &home) {
        if (to_wake_ != nullptr) wake();
        home.promise_wake();
        to_wake_ = &home;
    }
    home.file_word(claimed);
}

void shared_lock::wake() noexcept { std::exchange(to_wake_, nullptr)->keep_promise(); }

shared_wait::shared_wait(const char* kind, shared_object& of, gain gains)
    : wait(kind, &of, gains), of_(of), home_(hub_core::here()) {
    recall = &take_back;
    ++home_.shared_waits;
}

shared_wait::~shared_wait() {
    --home_.shared_waits;
    if (how_ == cause::open) return;
    const std::lock_guard held(of_.mutex_);
    leave();
}

cause shared_wait::park(shared_lock& held, std::int64_t until) {
    held.unlock();
    return detail::park(*this, until);
}

void shared_wait::claim(shared_lock& held, cause how) noexcept {
    unlink();
    how_ = how;
    ++of_.due_;
    if (&home_ == this_thread.hub) {
        arrive();  // our own thread's: no word is needed
    } else {
        held.send_word(home_, *this);
    }
}

void shared_wait::claim(shared_lock& held, std::exception_ptr failure) noexcept {
    failure_ = std::move(failure);
    claim(held, cause::failed);
}

void shared_wait::leave() noexcept {
    how_ = cause::open;
    --of_.due_;
}

std::mutex* shared_wait::mutex_of(const wait& w) noexcept {
    return w.recall == &take_back ? &static_cast<const shared_wait&>(w).of_.mutex_ : nullptr;
}

bool shared_wait::take_back(wait& w) noexcept {
    auto& self = static_cast<shared_wait&>(w);
    const std::lock_guard held(self.of_.mutex_);
    if (self.how_ != cause::open) return false;
    self.unlink();
    self.recall = nullptr;
    return true;
}

void shared_wait::arrive() noexcept {
    recall = nullptr;
    error = std::move(failure_);
    complete(*this, how_);
}

}  // namespace copse::detail
