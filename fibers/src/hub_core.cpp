// The hub's turn, its callbacks, its end.
#include "hub_core.hpp"

#include <cstdio>
#include <cstdlib>

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
    if (dice_) shuffle_ready();
    for (hold_meter* m = meters_; m != nullptr; m = m->next) m->since = now();
}

void hub_core::renew_budget() noexcept {
    dispatched_ = dispatches();
    budget_ = granted_ = dice_ || meters_ != nullptr ? 1 : dispatches_per_turn;
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
    callback* newest = posted_.exchange(nullptr, std::memory_order_acquire);
    callback* oldest = nullptr;
    while (newest != nullptr) {
        auto* older = static_cast<callback*>(newest->next_ready);
        newest->next_ready = oldest;
        oldest = std::exchange(newest, older);
    }
    while (oldest != nullptr) push(*std::exchange(oldest, static_cast<callback*>(oldest->next_ready)));
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
    return timers.size() > idle_timers || driver_->watching() != 0 ||
           door_->holders.load(std::memory_order_seq_cst) != 0 || posted_.load(std::memory_order_relaxed) != nullptr;
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
    } else {
        report_deadlock();
    }
}

void hub_core::report_deadlock() noexcept {
    const std::string text = describe_deadlock(*this);
    core& main = state.main;
    if (!may_interrupt(main)) {
        std::fputs(text.c_str(), stderr);
        fatal("main cannot be told: it is unwinding or shielded");
    }
    auto error = std::make_exception_ptr(would_block_forever(text));
    if (main.waiting != nullptr) {
        fail(*main.waiting, std::move(error));
    } else {
        send_exception(main, std::move(error));  // it is suspended in a switch by hand
    }
}

void hub_core::shuffle_ready() noexcept {
    std::uniform_int_distribution<std::size_t> pick(0, count_ready() - 1);
    ready_node** at = &first_;
    for (std::size_t skip = pick(*dice_); skip != 0; --skip) at = &(*at)->next_ready;
    // A mark that is not the first has not been reached: those before it have not had their turn.
    if (reinterpret_cast<std::uintptr_t>((*at)->frame) == frame_of_turn_mark) at = &first_;
    ready_node& chosen = **at;
    unpush(chosen);
    chosen.next_ready = first_;
    if (first_ == nullptr) last_ = &chosen.next_ready;
    first_ = &chosen;
}

std::size_t hub_core::count_ready() const noexcept {
    std::size_t n = 0;
    for (const ready_node* at = first_; at != nullptr; at = at->next_ready) ++n;
    return n;
}

void hub_core::call_back(std::function<void()> f) { push(*new callback(std::move(f))); }

void hub_core::post_from_anywhere(std::function<void()> f) {
    auto* node = new callback(std::move(f));
    callback* newest = posted_.load(std::memory_order_relaxed);
    do {
        node->next_ready = newest;
    } while (!posted_.compare_exchange_weak(newest, node, std::memory_order_seq_cst, std::memory_order_relaxed));
    wake_from_anywhere();
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
