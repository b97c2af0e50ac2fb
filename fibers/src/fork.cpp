#include "fork.hpp"

#include <pthread.h>

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <mutex>
#include <string>

#include "greenlet_data.hpp"
#include "hub_core.hpp"
#include "kill.hpp"
#include "life.hpp"

namespace copse::detail {

namespace {

constinit std::atomic<unsigned> forks{0};

// Watchers, and forks themselves: one at a time.
struct fork_post {
    std::mutex mutex;
    ring<fork_registration> watchers;  // guarded by mutex

    template <class F>
    void tell_all(F f) {
        watchers.for_each([&f](const fork_registration& r) { f(r.of); });
    }
};

// Watchers may end after the static objects have: this one never does.
fork_post& all_forks() {
    static fork_post& one = *new fork_post;
    return one;
}

/// Decides who stays. Marks what it finds out, so that chains of parents are walked once.
class survey {
public:
    explicit survey(thread_state& state) noexcept : state_(state) {
        for (core* at = this_thread.current;; at = &handle_access::of(at->parent)) {
            mark(*at, trait_stays);
            root_ = at;
            if (at->is(trait_eternal) || (at->is(trait_fiber) && (!at->is_dead() || at == this_thread.current))) break;
        }
    }

    /// The last of the forker's parents that stay: a fiber, main, or the hub.
    core& root() const noexcept { return *root_; }

    bool stays(core& c) noexcept {
        core* end = &c;
        verdict found = look(*end);
        for (; found == verdict::as_its_parent; found = look(*end)) end = &handle_access::of(end->parent);
        const trait decided = found == verdict::stays ? trait_stays : trait_left_behind;
        for (core* at = &c;; at = &handle_access::of(at->parent)) {
            mark(*at, decided);
            if (at == end) break;
        }
        return found == verdict::stays;
    }

    /// The marks of those who stay are of this fork alone.
    void clear() noexcept {
        for (core* c : staying_) c->traits &= static_cast<std::uint8_t>(~trait_stays);
    }

private:
    enum class verdict : std::uint8_t { stays, goes, as_its_parent };

    // Whose parents have ended, or lead to main as those of a generator's body do, may belong to anybody.
    verdict look(const core& c) const noexcept {
        if (c.is(trait_stays) || c.is(trait_eternal)) return verdict::stays;
        if (c.is(trait_left_behind)) return verdict::goes;
        if (c.is_dead()) return verdict::as_its_parent;
        const bool by_hand = !c.has_started() || c.gate.load(std::memory_order_relaxed) == state_.gate();
        return by_hand && !c.is(trait_fiber) ? verdict::as_its_parent : verdict::goes;
    }

    void mark(core& c, trait as) {
        if (as == trait_stays && !c.is(trait_stays)) staying_.push_back(&c);
        c.traits |= as;
    }

    thread_state& state_;
    core* root_ = nullptr;
    std::vector<core*> staying_;
};

// Its wait ends without making it ready.
void take_off_waits(core& c) noexcept {
    wait* const w = c.waiting;
    if (w == nullptr) return;
    w->unlink();
    w->recall = nullptr;
}

void end_waits(hub_core& hub, core& c) noexcept {
    if (wait* w = std::exchange(c.waiting, nullptr); w != nullptr) complete(*w, cause::interrupted);
    for (time_limit* limit = c.limits; limit != nullptr; limit = limit->next_limit) {
        if (limit->armed()) hub.timers.cancel(*limit);
    }
    if (!c.is(trait_fiber)) return;
    auto& f = static_cast<fiber_core&>(c);
    if (f.delay != nullptr && f.delay->armed()) hub.timers.cancel(*f.delay);
}

void go_on_in_child(hub_core& hub) noexcept {
    thread_state& state = hub.state;
    survey who(state);
    std::vector<core*> left;
    if (&who.root() != &state.main) left.push_back(&state.main);
    for (core* c = state.newest(); c != nullptr; c = c->older) {
        const bool ends_its_result = c->is_dead() && c != this_thread.current;
        if (ends_its_result || !who.stays(*c)) left.push_back(c);
    }
    for (core* c : left) c->traits |= trait_left_behind;
    // Lists first: what is undone below may let in who stands behind, which must be nobody of these.
    for (core* c : left) take_off_waits(*c);
    for (core* c : left) end_waits(hub, *c);
    hub.renew_in_child();
    std::vector<fiber_core*> lost;
    for (core* c : left) {
        state.left.add(c->id);
        c->gate.store(gate_of_nobody, std::memory_order_relaxed);
        if (c->is(trait_eternal)) continue;
        if (c->is(trait_fiber) && !c->is_dead()) lost.push_back(static_cast<fiber_core*>(c));
        mark_dead(state, *c);
        if (c->stack != nullptr) state.stacks->abandon(std::exchange(c->stack, nullptr));
    }
    state.root = &who.root();
    for (fiber_core* f : lost) lose(*f);  // told here: who must not run anything of the user's
    who.clear();
}

}  // namespace

void watch_for_forks() noexcept {
    static const int done = ::pthread_atfork(
        [] {
            all_forks().mutex.lock();
            all_forks().tell_all([](fork_watcher& w) { w.before_fork(); });
            if (this_thread.state != nullptr) this_thread.state->before_fork();
        },
        [] {
            if (this_thread.state != nullptr) this_thread.state->after_fork();
            all_forks().tell_all([](fork_watcher& w) { w.after_fork(); });
            all_forks().mutex.unlock();
        },
        [] {
            forks.fetch_add(1, std::memory_order_relaxed);
            if (this_thread.hub != nullptr) go_on_in_child(*this_thread.hub);
            if (this_thread.state != nullptr) this_thread.state->after_fork();
            all_forks().tell_all([](fork_watcher& w) { w.after_fork(); });
            all_forks().tell_all([](fork_watcher& w) { w.in_child(); });
            all_forks().mutex.unlock();
        });
    must(done == 0, "no memory to watch for forks");
}

unsigned forks_so_far() noexcept { return forks.load(std::memory_order_relaxed); }

fork_registration::fork_registration(fork_watcher& watcher) : of(watcher) {
    const std::lock_guard held(all_forks().mutex);
    all_forks().watchers.push_back(*this);
}

fork_registration::~fork_registration() {
    const std::lock_guard held(all_forks().mutex);
    unlink();
}

bool left_behind::has(std::uint64_t id) const noexcept { return std::find(ids_.begin(), ids_.end(), id) != ids_.end(); }

void must_be_here(std::uint64_t owner, const char* held) {
    if (!this_thread.state->left.has(owner)) return;
    throw left_in_parent(std::string(held) + ": held by greenlet #" + std::to_string(owner) +
                         ", which fork left in the parent process: it is never unlocked here");
}

void end_child(fiber_core& forker) noexcept {
    last_word(forker);
    forker.owner->enlist(forker);  // it waits for the others
    this_thread.hub->shut_down();
    std::exit(forker.error != nullptr ? EXIT_FAILURE : EXIT_SUCCESS);
}

}  // namespace copse::detail
