#include <copse/shared_mutex.hpp>

#include <copse/error.hpp>

#include "fork.hpp"

namespace copse {

// A place in the line.
struct shared_timed_mutex::place final : detail::wait {
    place(shared_timed_mutex& m, access a) noexcept
        : wait(a == access::exclusive ? "shared_mutex" : "shared_mutex, shared", &m, detail::gain::something),
          of(m),
          wanted(a) {
        undo = &left;
        behind = [](const detail::wait& w, detail::blockers& b) {  // readers are only counted
            if (const auto writer = static_cast<const place&>(w).of.writer_; writer != 0) b.ids.push_back(writer);
        };
    }

    // It is out of the line. Without having been let in, it may have been the writer that the others stood behind.
    static void left(detail::wait& w) noexcept {
        auto& self = static_cast<place&>(w);
        if (self.ended != detail::cause::satisfied) self.of.let_in();
    }

    shared_timed_mutex& of;
    const access wanted;
};

bool shared_timed_mutex::wait_by(access wanted, std::int64_t deadline) {
    if (writer_ == detail::this_thread.current->id)
        throw self_deadlock("shared_mutex: locked again by its writer, which would wait for itself");
    detail::must_be_here(writer_, "shared_mutex");
    place w(*this, wanted);
    line_.push_back(w);
    return detail::park(w, deadline) == detail::cause::satisfied;
}

// Everybody at the head of the line who can enter beside those inside.
void shared_timed_mutex::let_in() noexcept {
    while (writer_ == 0) {
        auto* const first = static_cast<place*>(line_.front());
        if (first == nullptr) return;
        if (first->wanted == access::shared) {
            ++readers_;
        } else if (readers_ == 0) {
            writer_ = first->who->id;
        } else {
            return;
        }
        detail::complete(*first, detail::cause::satisfied);
    }
}

void shared_timed_mutex::unlock() {
    if (writer_ == 0 || writer_ != detail::current_id()) [[unlikely]]
        throw not_owner("shared_mutex: unlocked by a greenlet that is not its writer");
    writer_ = 0;
    let_in();
}

void shared_timed_mutex::unlock_shared() {
    if (readers_ == 0) [[unlikely]]
        throw not_owner("shared_mutex: unlock_shared while no reader holds it");
    --readers_;
    let_in();
}

}  // namespace copse
