// Invariants: a slot is free, or a member has it, or (in `admission`) a fiber is being made for it. A member without one is
// in line_, unless who waited for it has given up and its fiber is about to end.
#include <copse/pool.hpp>

#include <stdexcept>
#include <string>

#include "hub_core.hpp"
#include "kill.hpp"

namespace copse {

using detail::member;
using detail::member_claim;

// Who waits in line for a member's slot. Its fiber is started, or its wait ended, by whoever gives the slot away.
struct pool::slot_wait final : detail::wait {
    slot_wait(const pool& p, member& m) noexcept : wait("pool slot", &p, detail::gain::something), claims_for(m) {
        m.spawner = this;
        undo = [](wait& w) noexcept {
            member& of = static_cast<slot_wait&>(w).claims_for;
            of.spawner = nullptr;
            of.member_claim::unlink();  // at once: nothing is handed to who was killed
        };
    }
    member& claims_for;
};

void pool::throw_negative(std::intmax_t capacity) {
    throw std::invalid_argument("pool: a capacity of " + std::to_string(capacity) + " is negative");
}

pool::~pool() {
    detail::must_not_be_waited_for(watchers_, "pool");
    while (member_claim* claim = line_.front()) {
        auto& m = static_cast<member&>(*claim);
        if (m.spawner != nullptr) detail::abort_waited_for(*m.spawner, "pool");
        give_slot_to(m);  // there is no limit any more
    }
}

void pool::admission::admit(detail::fiber_core& f, bool fresh) noexcept {
    member& m = *room_;
    m.held = fresh && !m.has_slot;
    if (!m.has_slot) pool_.line_.push_back(m);
    pool_.enter(std::move(room_), f);
    // One may have become free while the callable was copied.
    if (!pool_.line_.empty() && pool_.take_slot()) give_slot_to(static_cast<member&>(*pool_.line_.front()));
}

bool pool::take_slot() noexcept {
    if (free_ == 0) return false;
    --free_;
    return true;
}

void pool::give_slot() noexcept {
    if (member_claim* first = line_.front()) return give_slot_to(static_cast<member&>(*first));
    ++free_;
    while (detail::wait* w = watchers_.front()) detail::complete(*w, detail::cause::satisfied);
}

// The spawner is made ready before the fiber is: it goes on before what it spawned runs (decision 1).
void pool::give_slot_to(member& first) noexcept {
    first.member_claim::unlink();
    first.has_slot = true;
    if (first.spawner != nullptr) detail::complete(*first.spawner, detail::cause::satisfied);
    if (std::exchange(first.held, false)) detail::start_held(*first.who);
}

void pool::left(member& gone) noexcept {
    if (gone.spawner != nullptr) detail::complete(*gone.spawner, detail::cause::satisfied);
    if (gone.held && !gone.who->is_dead()) detail::start_held(*gone.who);  // discarded: it goes on without a slot
    if (gone.has_slot) give_slot();
}

bool pool::await_slot_by(member& m, std::int64_t deadline) {
    const any_fiber f = detail::fiber_access::share(*m.who);  // from here on the member may be gone whenever we look
    const bool held = m.held;
    const auto give_up = [&] {
        if (held) {
            detail::request_end(detail::fiber_access::block(f, "spawn"));
        } else {
            discard(f);
        }
    };
    try {
        slot_wait w(*this, m);
        if (detail::park(w, deadline) == detail::cause::satisfied) return true;
    } catch (...) {
        give_up();
        throw;
    }
    give_up();
    return false;
}

void pool::add(const any_fiber& f) {
    detail::attend();
    // NOLINTNEXTLINE(performance-unnecessary-copy-initialization): whoever runs meanwhile may drop `f`
    const any_fiber held = f;
    detail::fiber_core& block = detail::fiber_access::block(held, "add");
    if (block.is_dead() || find(block) != nullptr) return;
    admission(*this).admit(block, false);
    await_slot(block, [] { return detail::never; });
}

bool pool::try_add(const any_fiber& f) {
    // NOLINTNEXTLINE(performance-unnecessary-copy-initialization): whoever runs meanwhile may drop `f`
    const any_fiber held = f;
    detail::fiber_core& block = detail::fiber_access::block(held, "try_add");
    if (find(block) != nullptr) return true;
    if (block.is_dead() || full()) return false;
    admission(*this).admit(block, false);
    return true;
}

bool pool::wait_available_by(std::int64_t deadline) {
    detail::attend();
    if (!full()) return true;
    detail::wait w("pool", this, detail::gain::nothing);
    watchers_.push_back(w);
    return detail::park(w, deadline) == detail::cause::satisfied;
}

}  // namespace copse
