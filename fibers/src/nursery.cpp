// Invariants: `failures_` has room for the failure of every child and of the body. While `in_body_`, `into_body_` may be
// pending or on its way in the parent; after it, never.
#include <copse/nursery.hpp>

#include <algorithm>
#include <string>

#include "hub_core.hpp"

namespace copse {

namespace {

// Thrown at the body's wait. Passes whoever catches std::exception, as a kill does.
struct nursery_exit final : greenlet_exit {
    const char* what() const noexcept override { return "nursery_exit: a child of the nursery has failed"; }
};

std::string text_of(const std::exception_ptr& failure) {
    try {
        std::rethrow_exception(failure);
    } catch (const std::exception& e) {
        return e.what();
    } catch (const greenlet_exit& e) {
        return e.what();
    } catch (...) {
        return "an exception that is not a std::exception";
    }
}

std::string describe(const std::vector<std::exception_ptr>& failures) {
    std::string text = "nursery: " + std::to_string(failures.size()) + " failures";
    const char* separator = ": ";
    for (const std::exception_ptr& f : failures) {
        text.append(separator).append(text_of(f));
        separator = "; ";
    }
    return text;
}

// Ours to pass on as they are: somebody waits for exactly these.
bool is_interruption(const std::exception_ptr& e) noexcept {
    try {
        std::rethrow_exception(e);
    } catch (const greenlet_exit&) {
        return true;
    } catch (const timeout_expired&) {
        return true;
    } catch (...) {
        return false;
    }
}

detail::core& attentive_current() {
    detail::attend();
    return *detail::this_thread.current;
}

}  // namespace

nursery_error::nursery_error(std::vector<std::exception_ptr> failures)
    : std::runtime_error(describe(failures)),
      failures_(std::make_shared<const std::vector<std::exception_ptr>>(std::move(failures))) {}

nursery_error::~nursery_error() = default;

nursery::nursery() : fiber_set("nursery"), parent_(attentive_current()) { failures_.reserve(4); }

nursery::~nursery() = default;

void nursery::require_open() const {
    if (!closing_) return;
    detail::attend();  // whoever is being ended by this hears of that
    throw nursery_closed("spawn: the nursery is ending its children");
}

fiber_set::new_member nursery::make_child() {
    const std::size_t needed = failures_.size() + size() + 2;
    if (failures_.capacity() < needed) failures_.reserve(2 * needed);
    return make_member();
}

void nursery::enter_child(new_member room, detail::fiber_core& f) noexcept {
    f.marks |= detail::mark_observed;
    enter(std::move(room), f);
    if (closing_) detail::request_end(f);  // since its callable was copied
}

void nursery::cancel() noexcept {
    closing_ = true;
    request_kill();
}

void nursery::ended(detail::fiber_core& f) noexcept {
    if (f.error == nullptr || f.is(detail::trait_left_behind)) return;  // in a child nobody has failed
    failures_.push_back(f.error);
    cancel();
    if (!in_body_ || into_body_error_ != nullptr) return;
    into_body_error_ = std::make_exception_ptr(nursery_exit());
    into_body_.error = into_body_error_;
    detail::deliver(parent_, into_body_);
}

void nursery::leave_body() noexcept {
    in_body_ = false;
    if (into_body_.error != nullptr) detail::withdraw(parent_, into_body_);
}

// In the handler of what ended the body or the wait: while it stands, further kills change nothing (decision 4).
void nursery::unwind() {
    const std::exception_ptr why = std::current_exception();
    leave_body();
    const bool from_child = why == into_body_error_ && why != nullptr;
    const bool interrupted = !from_child && is_interruption(why);
    if (!from_child && !interrupted) failures_.push_back(why);
    cancel();
    {
        const shield keep;
        while (!empty()) wait_empty(joiners_, detail::never);  // not only the first moment of emptiness
    }
    if (!interrupted) {
        if (failures_.size() == 1 && !from_child) return;  // the body's own: it goes on
        raise_failures();
    }
    for (const std::exception_ptr& f : failures_) parent_.owner->report(f, greenlet());
}

void nursery::raise_failures() {
    if (failures_.empty()) return;
    if (failures_.size() == 1) std::rethrow_exception(failures_.front());
    throw nursery_error(std::move(failures_));
}

}  // namespace copse
