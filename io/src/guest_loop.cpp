#include <copse/io/detail/guest_loop.hpp>

#include <utility>

#include <copse/hub.hpp>

#include "guest.hpp"
#include "reactor.hpp"

namespace copse::io::detail {

// A turn is posted when the hub is about to sleep or to look, and not by the event that calls for it: what is posted
// during its sleep wakes it by a system call.
struct guest_loop::lodger : guest, std::enable_shared_from_this<lodger> {
    lodger(int number, void* owner, hooks its) noexcept : of(owner), hook(its) {
        fd = number;
        called = [](guest& g) noexcept { static_cast<lodger&>(g).due = true; };
        posts = [](const guest& g) noexcept { return static_cast<const lodger&>(g).call_for_turn(); };
        busy = [](const guest& g) noexcept {
            const auto& self = static_cast<const lodger&>(g);
            return self.posted || self.hook.busy(self.of);
        };
    }

    bool call_for_turn() const noexcept {
        if (posted || (!due && hook.rest(of))) return posted;
        try {
            hub::current().post([self = shared_from_this()] { self->turn(); });
            posted = true;
        } catch (...) {
            reactor::here().remind(*this);  // no memory: called again by the next look
        }
        return posted;
    }

    // In the hub. A callback that throws is followed by another turn.
    void turn() const {
        posted = false;
        if (of == nullptr) return;
        due = true;
        due = hook.turn(of);
    }

    void* of;  // null: it has ended
    const hooks hook;
    mutable bool due = true;  // it wants a turn
    mutable bool posted = false;
};

guest_loop::guest_loop(int fd, void* of, hooks its) : lodger_(std::make_shared<lodger>(fd, of, its)) {
    reactor::here().add(*lodger_);
}

guest_loop::~guest_loop() {
    lodger_->of = nullptr;
    if (lodger_->linked()) reactor::here().remove(*lodger_);
}

}  // namespace copse::io::detail
