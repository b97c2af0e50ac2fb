// The end of blocks: what happens when the last handle is dropped.

#include <cstdlib>

#include "hub_core.hpp"
#include "life.hpp"
#include "switch.hpp"

namespace copse {

namespace detail {

namespace {

void release_weak(core& block) noexcept {
    if (block.is(trait_eternal)) return block.owner->release_eternal_weak(block);
    if (block.weak.load(std::memory_order_acquire) == 1 || block.weak.fetch_sub(1, std::memory_order_acq_rel) == 1) {
        block.ops->destroy(block);
    }
}

// Lets go of what a dead block holds. Returns its parent if that has no handle left now.
core* empty_block(core& block) noexcept {
    if (block.is(trait_fiber)) last_word(static_cast<fiber_core&>(block));
    core* parent = handle_access::detach(block.parent);
    if (block.label != nullptr) std::free(std::exchange(block.label, nullptr));
    if (parent == &nobody || parent->is(trait_eternal)) return nullptr;
    return count_down(parent->refs) == 1 ? parent : nullptr;
}

}  // namespace

bool is_exit(const std::exception_ptr& exception) noexcept {
    try {
        std::rethrow_exception(exception);
    } catch (const greenlet_exit&) {
        return true;
    } catch (...) {
        return false;
    }
}

void bury_unstarted(core& unstarted) noexcept {
    unstarted.life.store(life::dead, std::memory_order_release);
    unstarted.ops->drop_callable(unstarted);
}

bool kill_suspended(thread_state& state, core& victim) noexcept {
    if (!may_interrupt(victim)) return false;  // nothing may be thrown into a destructor, or past a shield
    core& self = *this_thread.current;
    core* const parent = handle_access::detach(victim.parent);
    if (!self.is(trait_eternal)) retain(self);
    handle_access::set_view(victim.parent, &self);
    // Who has just been given something takes it, so that nothing is lost, and is told at its next wait (decision 3).
    interrupt later;
    std::exception_ptr exit = std::make_exception_ptr(greenlet_exit());
    if (withdraw_wait(victim) == gain::something) {
        later.error = std::exchange(exit, nullptr);
        deliver(victim, later);
    }
    try {
        state.in_flight.exception = std::exchange(exit, nullptr);
        transfer(state, self, victim);  // whatever comes back is nobody's (rule 43)
    } catch (...) {
        state.report(std::current_exception(), victim.self);  // rule 44
    }
    const bool again = later.error != nullptr && !victim.is_dead();
    if (later.error != nullptr) withdraw(victim, later);
    core* const adopted = handle_access::detach(victim.parent);  // rule 42: the handler's changes are discarded
    handle_access::set_view(victim.parent, parent);
    if (!adopted->is(trait_eternal)) release(*adopted);
    // It took what it had been given, and has switched away by hand since: now nothing keeps the exit back.
    return again ? kill_suspended(state, victim) : victim.is_dead();
}

namespace {

// For a suspended greenlet without a handle. Returns whether its block can be ended.
bool kill_last(thread_state& state, core& victim) noexcept {
    retain(victim);
    if (!kill_suspended(state, victim) && victim.refs.load(std::memory_order_relaxed) == 1) {
        // Rule 45. The reference stays until it ends, so that nothing ends a block whose stack is in use.
        victim.traits |= trait_kept;
        state.report(std::make_exception_ptr(error(to_string(victim.self) + " survived the drop of its last handle: it "
                                                                            "caught greenlet_exit and switched away")),
                     victim.self);
        return false;
    }
    return count_down(victim.refs) == 1;
}

}  // namespace

// Walks up through parents in a loop: chains are long (a test has 300 000). The block of a greenlet that has just died on this
// stack goes last: it is still current, and what is killed meanwhile comes back to it.
void last_handle_dropped(core& gone) noexcept {
    core* current = nullptr;
    for (core* block = &gone; block != nullptr;) {
        if (block->is_active()) {
            if (block == this_thread.current) {
                block->owner->settle_gate();
                break;
            }
            if (block->is(trait_lost) || !kill_last(*block->owner, *block)) break;
        } else if (!block->has_started()) {
            bury_unstarted(*block);
        }
        core* const parent = empty_block(*block);
        if (block == this_thread.current) {
            current = block;
        } else {
            release_weak(*block);
        }
        block = parent;
    }
    if (current != nullptr) release_weak(*current);
}

namespace {

// Sends a living block's last reference to its owner, or takes it from a block that anybody may end. Returns the parent, if the
// same has to be done with its reference: those belong to blocks of one thread, and any of them can be the last.
core* release_one_elsewhere(core& c) noexcept {
    thread_state& owner = *c.owner;
    std::uint32_t refs = c.refs.load(std::memory_order_relaxed);
    while (refs > 1) {
        if (c.refs.compare_exchange_weak(refs, refs - 1, std::memory_order_acq_rel)) return nullptr;
    }
    const life at = c.life.load(std::memory_order_acquire);
    const bool told = !c.is(trait_fiber) || static_cast<fiber_core&>(c).error == nullptr ||
                      static_cast<fiber_core&>(c).marked(mark_observed);
    if ((at == life::started || !told) && owner.send_dropped(c)) return nullptr;
    if (c.refs.fetch_sub(1, std::memory_order_acq_rel) != 1) return nullptr;
    if (at == life::unstarted) bury_unstarted(c);
    core* const parent = empty_block(c);
    release_weak(c);
    if (parent != nullptr) retain(*parent);
    return parent;
}

}  // namespace

// A foreign thread never takes the count of a living block to zero: its owner may be making a handle out of a view. The last
// reference itself goes into the owner's mail.
void release_elsewhere(core& c) noexcept {
    if (c.is(trait_eternal)) return c.owner->release_eternal(c);
    for (core* block = &c; block != nullptr;) block = release_one_elsewhere(*block);
}

void first_handle_again(core& back) noexcept {
    if (back.owner == this_thread.state) back.owner->settle_gate();
}

}  // namespace detail

weak_greenlet::weak_greenlet(const greenlet& observed) noexcept {
    if (observed.empty()) return;
    core_ = &detail::handle_access::of(observed);
    detail::count_up(core_->weak);
}

weak_greenlet::weak_greenlet(const weak_greenlet& other) noexcept : core_(other.core_) {
    if (core_ != nullptr) detail::count_up(core_->weak);
}

weak_greenlet::~weak_greenlet() {
    if (core_ != nullptr) detail::release_weak(*core_);
}

bool weak_greenlet::expired() const noexcept {
    return core_ == nullptr || core_->refs.load(std::memory_order_acquire) == 0;
}

greenlet weak_greenlet::lock() const noexcept {
    if (core_ == nullptr) return {};
    std::uint32_t refs = core_->refs.load(std::memory_order_relaxed);
    while (refs != 0) {
        if (core_->refs.compare_exchange_weak(refs, refs + 1, std::memory_order_acq_rel))
            return detail::handle_access::adopt(*core_);
    }
    return {};
}

}  // namespace copse
