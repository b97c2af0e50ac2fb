#include <copse/io/detail/foreign_operation.hpp>

#include <copse/hub.hpp>
#include <copse/shield.hpp>

#include "reactor.hpp"

namespace copse::io::detail {

using copse::detail::gain;
using copse::detail::shared_lock;
using copse::detail::shared_wait;

// The fiber's wait. An interrupt finds it claimed, as it were: it stays open until the operation has ended.
struct foreign_operation::stand : shared_wait {
    stand(foreign_operation& waited_for, if_interrupted then)
        : shared_wait(waited_for.noun(), waited_for, gain::something), of(waited_for) {
        if (then == if_interrupted::cancel) recall = &postpone;
    }
    ~stand() {
        const guard held(of.mutex_);
        unlink();  // the greenlet is ended by hand, and nobody has been able to take the wait back
    }

    static bool postpone(wait& w) noexcept;

    foreign_operation& of;
};

// Somewhere in a turn of the hub, or in the fiber that kills: the operation is asked in the hub, where others' code may
// run.
bool foreign_operation::stand::postpone(wait& w) noexcept {
    auto& self = static_cast<stand&>(w);
    if (self.of.asked_) return false;
    try {
        hub::current().post([operation = self.of.shared_from_this()] { operation->ask(); });
        self.of.asked_ = true;
        return false;
    } catch (...) {
        // Without memory it asks by itself, having been interrupted: see await.
        const guard held(self.of.mutex_);
        if (self.of.settled_) return false;
        self.unlink();
        self.recall = nullptr;
        return true;
    }
}

void foreign_operation::settle() noexcept {
    shared_lock held(*this);
    settled_ = true;
    while (shared_wait* first = waiting_.front()) first->claim(held);
}

bool foreign_operation::has_settled() const noexcept {
    const guard held(mutex_);
    return settled_;
}

void foreign_operation::ask() {
    if (!has_settled()) cancel();
}

void foreign_operation::stand_by(if_interrupted then) {
    reactor::stay_in_hub();  // it may be an event loop there that carries it out
    shared_lock held(*this);
    if (settled_) return;
    stand here(*this, then);
    waiting_.push_back(here);
    here.park(held, copse::detail::never);
}

void foreign_operation::await(if_interrupted then) {
    try {
        stand_by(then);
    } catch (...) {
        if (then == if_interrupted::abandon) throw;
        const shield until_it_has_ended;
        if (!asked_) {
            asked_ = true;
            ask();
        }
        stand_by(if_interrupted::abandon);
        throw;
    }
}

}  // namespace copse::io::detail
