#include <copse/io/detail/guest_loop.hpp>

#include <utility>

#include <copse/hub.hpp>

#include "reactor.hpp"

namespace copse::io::detail {

struct guest_loop::lodger : guest, std::enable_shared_from_this<lodger> {
    lodger(int number, void* owner, hooks its) noexcept : of(owner), hook(its) {
        fd = number;
        called = [](guest& g) noexcept { static_cast<lodger&>(g).call(); };
        busy = [](const guest& g) noexcept {
            const auto& self = static_cast<const lodger&>(g);
            return self.due || self.hook.busy(self.of);
        };
    }

    void call() noexcept {
        if (due) return;
        try {
            hub::current().post([self = shared_from_this()] { self->turn(); });
            due = true;
        } catch (...) {
            reactor::here().remind(*this);  // no memory: told again at the next look
        }
    }

    // In the hub. A callback that throws is followed by another turn.
    void turn() {
        due = false;
        if (of == nullptr) return;
        struct another {
            ~another() {
                if (wanted && loop.of != nullptr) loop.call();
            }
            lodger& loop;
            bool wanted = true;
        } after{*this};
        after.wanted = hook.turn(of);
    }

    void* of;  // null: it has ended
    const hooks hook;
    bool due = false;  // a turn has been posted
};

guest_loop::guest_loop(int fd, void* of, hooks its) : lodger_(std::make_shared<lodger>(fd, of, its)) {
    reactor::here().add(*lodger_);
    call();
}

guest_loop::~guest_loop() {
    lodger_->of = nullptr;
    if (lodger_->linked()) reactor::here().remove(*lodger_);
}

void guest_loop::call() noexcept { lodger_->call(); }

}  // namespace copse::io::detail
