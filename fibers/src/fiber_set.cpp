// Invariants: a member is in one of the two rings and in its fiber's observers, from enter() to let_go(); it is not touched
// after its fiber has been asked to end, which may be what ends it.
#include <copse/fiber_set.hpp>

#include <copse/group.hpp>

#include "hub_core.hpp"

namespace copse {

using detail::member;
using detail::member_place;

fiber_set::~fiber_set() {
    detail::must_not_be_waited_for(joiners_, kind_);
    detail::must_not_be_waited_for(killers_, kind_);
    for (auto* ring : {&asked_, &fresh_}) {
        while (member_place* place = ring->front()) {
            const new_member gone(static_cast<member*>(place));
            gone->observer::unlink();
            gone->member_place::unlink();
            gone->member_claim::unlink();
        }
    }
}

void fiber_set::enter(new_member made, detail::fiber_core& f) noexcept {
    member& m = *made.release();
    m.who = &f;
    f.observers.push_back(m);
    fresh_.push_back(m);
    ++size_;
    if (killers_.empty()) return;
    m.member_place::unlink();
    asked_.push_back(m);
    detail::request_end(f);
}

// Whoever waits for the end of a fiber is few; a table of members would cost every member.
member* fiber_set::find(const detail::fiber_core& f) const noexcept {
    member* found = nullptr;
    f.observers.for_each([&](const detail::observer& o) {
        if (o.told != &fiber_set::told) return;
        auto& m = const_cast<member&>(static_cast<const member&>(o));
        if (&m.of == this) found = &m;
    });
    return found;
}

bool fiber_set::inside() const noexcept {
    using namespace detail;
    for (const core* at = this_thread.current; at != &nobody && !at->is(trait_eternal);
         at = &handle_access::of(at->parent)) {
        if (at->is(trait_fiber) && find(static_cast<const fiber_core&>(*at)) != nullptr) return true;
    }
    return false;
}

void fiber_set::told(detail::observer& o) noexcept {
    auto& m = static_cast<member&>(o);
    m.of.ended(*m.who);
    m.of.let_go(m);
}

void fiber_set::let_go(member& gone) noexcept {
    const new_member ends(&gone);
    gone.observer::unlink();
    gone.member_place::unlink();
    gone.member_claim::unlink();
    --size_;
    left(gone);
    if (size_ != 0) return;
    // The last look at the set: who is told here may end it.
    for (auto* list : {&joiners_, &killers_}) {
        while (detail::wait* w = list->front()) detail::complete(*w, detail::cause::satisfied);
    }
}

void fiber_set::discard(const any_fiber& f) {
    if (member* m = find(detail::fiber_access::block(f, "discard"))) let_go(*m);
}

bool fiber_set::contains(const any_fiber& f) const {
    return find(detail::fiber_access::block(f, "contains")) != nullptr;
}

std::vector<any_fiber> fiber_set::members() const {
    std::vector<any_fiber> all;
    all.reserve(size_);
    for_each([&all](member& m) { all.push_back(detail::fiber_access::share(*m.who)); });
    return all;
}

bool fiber_set::wait_empty(detail::wait_list& list, std::int64_t deadline) {
    detail::attend();
    if (size_ == 0) return true;
    detail::wait w(kind_, this, detail::gain::nothing);
    w.behind = [](const detail::wait& of, detail::blockers& b) {
        b.how = "of";
        static_cast<const fiber_set*>(of.on)->for_each([&b](const member& m) {
            if (!b.full()) b.ids.push_back(m.who->id);
        });
    };
    list.push_back(w);
    return detail::park(w, deadline) == detail::cause::satisfied;  // the set may be gone
}

bool fiber_set::join(const set_join_options& with) {
    const std::int64_t deadline = with.timeout ? detail::deadline_after(*with.timeout) : detail::never;
    const std::vector<any_fiber> present = with.raise_error ? members() : std::vector<any_fiber>();
    const bool emptied = wait_empty(joiners_, deadline);
    for (const any_fiber& f : present) {
        if (const std::exception_ptr failure = f.exception()) std::rethrow_exception(failure);
    }
    return emptied;
}

void fiber_set::request_kill() noexcept {
    while (member_place* place = fresh_.front()) {
        place->unlink();
        asked_.push_back(*place);
        detail::request_end(*static_cast<member*>(place)->who);
    }
}

bool fiber_set::kill_by(std::int64_t deadline) {
    detail::attend();
    request_kill();
    detail::attend();  // the caller may be one of them
    const detail::core& self = *detail::this_thread.current;
    if (self.is(detail::trait_fiber) && find(static_cast<const detail::fiber_core&>(self)) != nullptr) return empty();
    return wait_empty(killers_, deadline);
}

void group::add(const any_fiber& f) {
    detail::fiber_core& block = detail::fiber_access::block(f, "add");
    if (block.is_dead() || find(block) != nullptr) return;
    const any_fiber held = f;  // NOLINT(performance-unnecessary-copy-initialization): it may be asked to end at once
    enter(make_member(), block);
}

}  // namespace copse
