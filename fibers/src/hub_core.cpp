// The hub's turn, its callbacks, its end.
#include "hub_core.hpp"

#include <cstdio>
#include <cstdlib>
#include <thread>

#include <copse/fiber.hpp>

#include "dump.hpp"
#include "hub_list.hpp"
#include "hub_watch.hpp"
#include "life.hpp"
#include "messenger.hpp"

namespace copse::detail {

namespace {

constinit std::atomic<std::uint64_t> hubs{0};

constexpr std::int64_t grace_at_the_end = 1'000'000'000;  // for fibers that are killed when their thread ends

}  // namespace

callback::callback(std::function<void()> f) : run(std::move(f)) { frame = reinterpret_cast<void*>(frame_of_callback); }

hub_core::hub_core(thread_state& of)
    : state(of),
      greenlet_core(of.hub_greenlet),
      last_timeout(hubs.fetch_add(1, std::memory_order_relaxed) << 40U),
      driver_(make_plain_driver()) {
    looked_at = driver_->now();
    door_->hub = this;
    enlist_hub(*this);
}

hub_core::~hub_core() {
    // What they were promised for has come already: they are a few instructions away.
    while (promised_wakes_.load(std::memory_order_acquire) != 0) std::this_thread::yield();
    end_watch(*this);
    strike_off_hub(*this);
    {
        const std::lock_guard lock(door_->mutex);
        door_->hub = nullptr;
    }
    take_posts();
    while (first_ != nullptr) {
        ready_node* node = std::exchange(first_, first_->next_ready);
        if (reinterpret_cast<std::uintptr_t>(node->frame) == frame_of_callback) {
            delete static_cast<callback*>(node);
        } else if (reinterpret_cast<std::uintptr_t>(node->frame) != frame_of_turn_mark) {
            core& c = static_cast<core&>(*node);
            if (c.is_dead()) release(c);  // killed before it started
        }
    }
    while (callbacks_ != nullptr) delete static_cast<callback*>(std::exchange(callbacks_, callbacks_->next_ready));
    if (greenlet_core.stack != nullptr) state.stacks->give(greenlet_core.stack);
    forget_stack(static_cast<checked_stack*>(std::exchange(greenlet_core.checker, nullptr)));
    greenlet_core.stack = nullptr;
    greenlet_core.frame = nullptr;
}

hub_core& hub_core::make() {
    thread_state& state = thread_state::here();
    state.own_hub(std::make_unique<hub_core>(state));
    return *this_thread.hub;
}

turn_mark::turn_mark(hub_core& hub, wait& ends) noexcept : hub_(hub), ends_(ends) {
    frame = reinterpret_cast<void*>(frame_of_turn_mark);
    hub.push(*this);
}

turn_mark::~turn_mark() {
    if (queued_) hub_.unpush(*this);
}

void hub_core::unpush(ready_node& node) noexcept {
    for (ready_node** at = &first_; *at != nullptr; at = &(*at)->next_ready) {
        if (*at != &node) continue;
        *at = node.next_ready;
        if (*at == nullptr) last_ = at;
        node.next_ready = nullptr;
        return;
    }
}

core& hub_core::next_by_turn() noexcept {
    turn();
    return take(*first_);
}

// What has no frame: an unstarted fiber, or a callback. If it leads nowhere, the next one does.
core& hub_core::prepare(ready_node& without_frame) noexcept {
    for (ready_node* node = &without_frame;;) {
        core* to = static_cast<core*>(node);
        if (reinterpret_cast<std::uintptr_t>(node->frame) == frame_of_callback) {
            to = prepare_callback(static_cast<callback&>(*node));
        } else if (reinterpret_cast<std::uintptr_t>(node->frame) == frame_of_turn_mark) {
            static_cast<turn_mark&>(*node).reached();
            to = nullptr;
        } else if (node->frame == nullptr) {
            to = to->is(trait_fiber) ? prepare_fiber(static_cast<fiber_core&>(*to)) : prepare_messenger(*to);
        }
        if (to != nullptr) return *to;
        if (first_ == nullptr || --budget_ == 0) turn();
        node = &pop();
    }
}

core* hub_core::prepare_callback(callback& c) noexcept {
    c.next_ready = nullptr;
    *last_callback_ = &c;
    last_callback_ = &c.next_ready;
    if (!at_rest_) return nullptr;  // it is in the middle of another one, and will come to this
    at_rest_ = false;
    if (greenlet_core.frame == nullptr) {
        try {
            bind_stack(state, greenlet_core);
        } catch (...) {
            fatal("no memory for the stack of the hub's greenlet");
        }
    }
    state.entering = &greenlet_core;
    return &greenlet_core;
}

core* hub_core::prepare_fiber(fiber_core& f) noexcept {
    if (f.is_dead()) {  // killed before it started
        release(f);
        return nullptr;
    }
    if (spare.slot != nullptr && f.stack_request == spare.request) {
        f.stack = spare.slot;
    } else {
        try {
            bind_stack(state, f);
        } catch (...) {
            fail_unstarted(f, std::current_exception());
            release(f);
            return nullptr;
        }
    }
    f.life.store(life::started, std::memory_order_relaxed);
    state.entering = &f;
    return &f;
}

core* hub_core::prepare_messenger(core& messenger) noexcept {
    try {
        start(state, messenger);
    } catch (...) {
        state.report(std::current_exception(), messenger.self);
        release(messenger);
        return nullptr;
    }
    state.entering = &messenger;
    return &messenger;
}

// Somebody takes a turn because nothing is ready, or because 64 dispatches have gone by.
void hub_core::turn() noexcept {
    for (hold_meter* m = meters_; m != nullptr; m = m->next) m->longest = std::max(m->longest, now() - m->since);
    do {
        renew_budget();
        if (ending_ && return_to_main()) break;
        turns_.store(turns() + 1, std::memory_order_relaxed);
        take_posts();
        if (state.has_dropped()) bury_mail();
        if (first_ == nullptr && chooser_ != nullptr) chooser_->interfere();
        if (first_ != nullptr) {
            driver_->poll();  // what is ready outside comes before what has timed out
        } else if (may_be_woken()) {
            sleep();
            take_posts();
        } else {
            nothing_can_wake();
        }
        if (!timers.empty()) fire_timers();
    } while (first_ == nullptr);
    if (chooser_ != nullptr) choose();
    for (hold_meter* m = meters_; m != nullptr; m = m->next) m->since = now();
}

void hub_core::renew_budget() noexcept {
    dispatched_ = dispatches();
    budget_ = granted_ = chooser_ != nullptr || meters_ != nullptr ? 1 : dispatches_per_turn;
}

void hub_core::add_meter(hold_meter& m) noexcept {
    m.since = now();
    m.next = std::exchange(meters_, &m);
    renew_budget();
}

void hub_core::remove_meter(hold_meter& m) noexcept {
    hold_meter** at = &meters_;
    while (*at != &m) at = &(*at)->next;
    *at = m.next;
    renew_budget();
}

void hub_core::sleep() noexcept {
    sleeping_.store(true, std::memory_order_seq_cst);
    if (posted_.load(std::memory_order_seq_cst) == nullptr && !state.has_dropped() && may_be_woken())
        driver_->wait(timers.next_deadline());
    sleeping_.store(false, std::memory_order_relaxed);
    looked_at = driver_->now();
}

void hub_core::take_posts() noexcept {
    if (posted_.load(std::memory_order_relaxed) == nullptr) return;
    ready_node* newest = posted_.exchange(nullptr, std::memory_order_acquire);
    ready_node* oldest = nullptr;
    while (newest != nullptr) {
        ready_node* const older = newest->next_ready;
        newest->next_ready = oldest;
        oldest = std::exchange(newest, older);
    }
    while (oldest != nullptr) {
        ready_node& node = *std::exchange(oldest, oldest->next_ready);
        if (reinterpret_cast<std::uintptr_t>(node.frame) == frame_of_word) {
            static_cast<shared_wait&>(node).arrive();
        } else {
            push(node);
        }
    }
}

void hub_core::fire_timers() noexcept {
    looked_at = driver_->now();
    timers.begin_batch();
    while (timer* due = timers.pop_due(looked_at)) due->fire(*due);
}

// What other threads dropped is killed by a fiber: its clean-up may park.
void hub_core::bury_mail() noexcept {
    if (undertaker_) return;
    try {
        const unobserved_spawns ours(*this);
        copse::spawn(spawn_options{.name = "undertaker"}, [this] {
            state.bury_dropped();
            undertaker_ = false;
        });
        undertaker_ = true;
    } catch (...) {
        state.report(std::current_exception(), greenlet_core.self);
    }
}

bool hub_core::may_be_woken() const noexcept {
    // The deadlines of who waits for nothing to be left are no work.
    const auto deadline_of = [](const wait* w) -> std::size_t { return w != nullptr && w->armed() ? 1 : 0; };
    const std::size_t idle_timers = deadline_of(idler_) + deadline_of(shutdown_);
    const bool from_outside = timers.size() > idle_timers || driver_->watching() != 0;
    if (is_explored()) return from_outside || posted_.load(std::memory_order_relaxed) != nullptr;  // no other threads
    return from_outside || door_->holders.load(std::memory_order_seq_cst) != 0 || shared_waits != 0 ||
           posted_.load(std::memory_order_relaxed) != nullptr;
}

// While main kills what is left at the end of the thread, it is in a switch by hand, and comes back when nothing is ready
// any more or its patience is over.
bool hub_core::return_to_main() noexcept {
    core& main = state.main;
    if (main.gate.load(std::memory_order_relaxed) != state.gate()) return false;
    if (first_ != nullptr && now() < end_of_grace_) return false;
    main.gate.store(gate_of_nobody, std::memory_order_relaxed);
    main.next_ready = first_;
    if (first_ == nullptr) last_ = &main.next_ready;
    first_ = &main;
    return true;
}

void hub_core::nothing_can_wake() noexcept {
    if (shutdown_ != nullptr) {
        complete(*shutdown_, cause::timed_out);
    } else if (idler_ != nullptr) {
        complete(*idler_, cause::satisfied);
    } else if (chooser_ == nullptr || !chooser_->stuck()) {
        report_deadlock();
    }
}

void hub_core::report_deadlock() noexcept {
    const std::string text = describe_deadlock(*this);
    core& root = *state.root;
    if (hub_core::is_hub(root)) std::exit(EXIT_SUCCESS);  // the child of a posted function: that has returned
    if (!may_interrupt(root)) {
        std::fputs(text.c_str(), stderr);
        fatal("main cannot be told: it is unwinding or shielded");
    }
    auto error = std::make_exception_ptr(would_block_forever(text));
    if (root.waiting != nullptr) {
        fail(*root.waiting, std::move(error));
    } else {
        send_exception(root, std::move(error));  // it is suspended in a switch by hand
    }
}

// Those that may go next. Not a mark before it is the first: those before it have not had their turn. Of posted functions
// the first: they keep their order.
template <class Visit>
void hub_core::for_each_eligible(Visit visit) noexcept {
    bool posted = false;
    for (ready_node* at = first_; at != nullptr; at = at->next_ready) {
        const auto frame = reinterpret_cast<std::uintptr_t>(at->frame);
        if (frame == frame_of_turn_mark && at != first_) continue;
        if (frame == frame_of_callback && std::exchange(posted, true)) continue;
        visit(*at);
    }
}

namespace {

// Its turn leads nowhere: when that comes makes no difference.
bool is_spent(const ready_node& node) noexcept {
    if (reinterpret_cast<std::uintptr_t>(node.frame) == frame_of_turn_mark)
        return static_cast<const turn_mark&>(node).spent();
    return node.frame == nullptr && static_cast<const core&>(node).is_dead();  // killed before it started
}

}  // namespace

void hub_core::choose() noexcept {
    for (ready_node* at = first_; at != nullptr; at = at->next_ready) {
        if (is_spent(*at)) return bring_to_front(*at);
    }
    chooser_->interfere();
    std::size_t eligible = 0;
    for_each_eligible([&eligible](ready_node&) { ++eligible; });
    std::size_t skip = eligible > 1 ? chooser_->pick(eligible) : 0;
    ready_node* next = nullptr;
    for_each_eligible([&](ready_node& node) {
        if (skip-- == 0) next = &node;
    });
    bring_to_front(*next);
    chooser_->chosen(*next);
}

void hub_core::bring_to_front(ready_node& node) noexcept {
    if (&node == first_) return;
    unpush(node);
    node.next_ready = first_;
    if (first_ == nullptr) last_ = &node.next_ready;
    first_ = &node;
}

void hub_core::pass_next_deadline() noexcept {
    driver_->wait(timers.next_deadline());
    fire_timers();
}

void hub_core::set_chooser(chooser* asked) noexcept {
    chooser_ = asked;
    shuffler_.reset();
    renew_budget();
    budget_ = granted_ = 1;  // the next dispatch begins a turn
}

void hub_core::shuffle_by(std::optional<std::uint64_t> seed) noexcept {
    dice_ = std::minstd_rand();
    if (is_explored()) return;
    set_chooser(nullptr);
    if (seed) chooser_ = &shuffler_.emplace(*seed);
}

std::size_t hub_core::draw(std::size_t of) noexcept {
    if (of == 1) return 0;
    if (chooser_ != nullptr) return chooser_->pick(of);
    return std::uniform_int_distribution<std::size_t>(0, of - 1)(dice_);
}

std::size_t hub_core::count_ready() const noexcept {
    std::size_t n = 0;
    for (const ready_node* at = first_; at != nullptr; at = at->next_ready) ++n;
    return n;
}

void hub_core::call_back(std::function<void()> f) { push(*new callback(std::move(f))); }

void hub_core::post_from_anywhere(std::function<void()> f) {
    file(*new callback(std::move(f)));
    wake_from_anywhere();
}

void hub_core::file_word(shared_wait& claimed) noexcept {
    claimed.frame = reinterpret_cast<void*>(frame_of_word);
    file(claimed);
}

void hub_core::file(ready_node& posted) noexcept {
    ready_node* newest = posted_.load(std::memory_order_relaxed);
    do {
        posted.next_ready = newest;
    } while (!posted_.compare_exchange_weak(newest, &posted, std::memory_order_seq_cst, std::memory_order_relaxed));
}

void hub_core::wake_from_anywhere() noexcept {
    if (!sleeping_.load(std::memory_order_seq_cst)) return;
    const std::lock_guard lock(driver_mutex_);
    driver_->wake();
}

void hub_core::run_callbacks() {
    for (;;) {
        while (callbacks_ != nullptr) {
            const std::unique_ptr<callback> c(static_cast<callback*>(callbacks_));
            callbacks_ = c->next_ready;
            if (callbacks_ == nullptr) last_callback_ = &callbacks_;
            try {
                c->run();
            } catch (...) {
                state.report(std::current_exception(), greenlet_core.self);
            }
        }
        at_rest_ = true;
        core& to = next();
        if (&to != &greenlet_core && jump_to(state, greenlet_core, to, nullptr) != nullptr) receive();
    }
}

// What it forgets is left as it is: nothing of the parent's is run or destroyed here, not even a posted function.
void hub_core::renew_in_child() noexcept {
    ready_node* node = std::exchange(first_, nullptr);
    last_ = &first_;
    while (node != nullptr) {
        ready_node& each = *std::exchange(node, node->next_ready);
        const auto frame = reinterpret_cast<std::uintptr_t>(each.frame);
        const bool is_greenlet = frame == 0 || frame > frame_of_turn_mark;
        const auto& c = static_cast<const core&>(each);
        if (is_greenlet && c.is(trait_stays) && !c.is(trait_left_behind)) push(each);
    }
    callbacks_ = nullptr;
    last_callback_ = &callbacks_;
    posted_.store(nullptr, std::memory_order_relaxed);
    sleeping_.store(false, std::memory_order_relaxed);
    undertaker_ = false;
    shutdown_ = idler_ = nullptr;
    ending_ = false;
    if (!at_rest_ && this_thread.current != &greenlet_core && !greenlet_core.is(trait_stays)) {
        // It is in the middle of a callback, in a switch by hand: the child gets another.
        if (greenlet_core.stack != nullptr) state.stacks->abandon(std::exchange(greenlet_core.stack, nullptr));
        greenlet_core.frame = nullptr;
        greenlet_core.gate.store(gate_of_nobody, std::memory_order_relaxed);
        at_rest_ = true;
    }
    shared_waits = 0;
    promised_wakes_.store(0, std::memory_order_relaxed);
    auto fresh = std::make_shared<hub_door>();
    fresh->hub = this;
    fresh->mutex.lock();  // as the one before was: after_fork lets go of it
    door_->hub = nullptr;
    door_->mutex.unlock();
    door_ = std::move(fresh);
    driver_->abandon_in_child();
}

void hub_core::shut_down() noexcept {
    std::vector<greenlet> left;
    for (core* c = state.newest(); c != nullptr; c = c->older) {
        if (c->is(trait_fiber)) left.push_back(handle_access::share(*c));
    }
    for (const greenlet& g : left) request_end(static_cast<fiber_core&>(handle_access::of(g)));
    if (unfinished != 0) await_end();
    ending_ = true;
    end_of_grace_ = now() + grace_at_the_end;
}

void hub_core::await_end() noexcept {
    try {
        wait end("end of the thread", this, gain::something);
        shutdown_ = &end;
        park(end, deadline_in(grace_at_the_end));
    } catch (...) {
        // Nothing can make the rest ready, or somebody threw at main: they are killed by hand next.
    }
    shutdown_ = nullptr;
}

}  // namespace copse::detail
