#include <copse/mutex.hpp>

#include <copse/condition_variable.hpp>
#include <copse/error.hpp>
#include <copse/fiber.hpp>

namespace copse {

bool timed_mutex::wait_by(std::int64_t deadline) {
    if (owner_ == detail::this_thread.current->id)
        throw error("mutex: locked again by its owner, which would wait for itself");
    detail::wait w("mutex", this, detail::gain::something);
    waiting_.push_back(w);
    return detail::park(w, deadline) == detail::cause::satisfied;
}

void timed_mutex::throw_not_owner() { throw not_owner("mutex: unlocked by a greenlet that does not hold it"); }

void condition_variable::notify_one() noexcept {
    if (detail::wait* first = waiting_.front()) detail::complete(*first, detail::cause::satisfied);
}

void condition_variable::notify_all() noexcept {
    while (detail::wait* first = waiting_.front()) detail::complete(*first, detail::cause::satisfied);
}

namespace {

// Whatever ended the wait: the caller's lock is held again, and nothing is thrown on the way to it.
struct relock {
    mutex& m;
    explicit relock(mutex& of) noexcept : m(of) {}
    relock(const relock&) = delete;
    relock& operator=(const relock&) = delete;
    ~relock() {
        const shield keep_back;
        m.lock();
    }
};

}  // namespace

bool condition_variable::wait_by(std::unique_lock<mutex>& lock, std::int64_t deadline) {
    if (!lock.owns_lock() || lock.mutex()->owner_ != detail::current_id()) {
        throw not_owner("condition_variable: wait without holding the lock");
    }
    detail::attend();
    const relock again(*lock.mutex());
    detail::wait w("condition_variable", this, detail::gain::something);
    waiting_.push_back(w);
    lock.mutex()->hand_over();
    return detail::park(w, deadline) == detail::cause::satisfied;
}

}  // namespace copse
