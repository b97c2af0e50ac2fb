#include <copse/async_result.hpp>

#include <stdexcept>

namespace copse::detail {

// Made ready, it moves to the list of those that must still run; it leaves that on its way out, however it wakes.
struct settlement::reader final : wait {
    explicit reader(settlement& s) noexcept : wait("async_result", &s, gain::nothing), of(s) { undo = &made_ready; }
    ~reader() { unlink(); }

    static void made_ready(wait& w) noexcept {
        if (w.ended == cause::satisfied) static_cast<reader&>(w).of.reading_.push_back(w);
    }

    settlement& of;
};

settlement::~settlement() {
    must_not_be_waited_for(waiting_, "async_result");
    must_not_be_waited_for(reading_, "async_result");
    must_not_be_watched(observers_, "async_result");
}

void settlement::require_unsettled() const {
    if (settled_) throw already_set("async_result: set a second time");
}

void settlement::settle() noexcept {
    settled_ = true;
    while (wait* first = waiting_.front()) complete(*first, cause::satisfied);
    tell_all(observers_);
}

void settlement::settle(std::exception_ptr error) {
    if (error == nullptr) throw std::invalid_argument("async_result: set to a null exception");
    require_unsettled();
    error_ = std::move(error);
    settle();
}

bool settlement::wait_by(std::int64_t deadline) {
    wait w("async_result", this, gain::nothing);
    waiting_.push_back(w);
    return park(w, deadline) == cause::satisfied;
}

bool settlement::wait_to_read_by(std::int64_t deadline) {
    reader w(*this);
    waiting_.push_back(w);
    return park(w, deadline) == cause::satisfied;
}

}  // namespace copse::detail
