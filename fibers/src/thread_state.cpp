#include "thread_state.hpp"

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <sys/syscall.h>
#include <unistd.h>

#include <cxxabi.h>

#include <copse/detail/shared_wait.hpp>

#include "greenlet_data.hpp"
#include "hub_core.hpp"
#include "life.hpp"
#include "overflow_report.hpp"
#include "switch.hpp"

namespace copse::detail {

constinit core nobody{attend_thread};
constinit thread_local thread_block this_thread [[gnu::tls_model("initial-exec")]] = {.current = &nobody};

namespace {

constexpr std::uint64_t ids_a_thread = std::uint64_t{1} << 40;
std::atomic<std::uint64_t> threads_so_far{0};
constinit std::atomic<thread_state*> kept_states{nullptr};

thread_local bool thread_has_ended = false;

bool on_main_thread() noexcept { return ::getpid() == static_cast<pid_t>(::syscall(SYS_gettid)); }

owner_description describe(const void* owner) noexcept {
    const auto& c = *static_cast<const core*>(owner);
    return {c.label == nullptr ? std::string_view() : std::string_view(c.label), c.id, spawn_file(c), spawn_line(c)};
}

void print(const std::exception_ptr& exception, const greenlet& concerned) noexcept {
    const char* who = "copse";
    std::string text;
    try {
        text = concerned.empty() ? std::string() : " in " + to_string(concerned);
        std::rethrow_exception(exception);
    } catch (const std::exception& e) {
        std::fprintf(stderr, "%s: unhandled exception%s: %s\n", who, text.c_str(), e.what());
    } catch (const greenlet_exit& e) {
        std::fprintf(stderr, "%s: unhandled %s%s\n", who, e.what(), text.c_str());
    } catch (...) {
        std::fprintf(stderr, "%s: unhandled exception%s that is not a std::exception\n", who, text.c_str());
    }
}

}  // namespace

// Ends this thread's greenlets when the thread ends.
struct thread_end {
    thread_state* state = nullptr;
    ~thread_end() {
        if (state != nullptr) state->end();
    }
};

namespace {

thread_local thread_end at_thread_end;

}  // namespace

thread_state::thread_state() : last_id(threads_so_far.fetch_add(1, std::memory_order_relaxed) * ids_a_thread) {
    for (core* eternal : {&main, &hub_greenlet}) {
        eternal->owner = this;
        eternal->id = next_id();
        eternal->traits = trait_eternal;
        eternal->life.store(life::started, std::memory_order_relaxed);
        handle_access::set_view(eternal->self, eternal);
    }
    main.frame = this;  // not null, which would mean that it has never run; its first jump writes the real one
    hub_greenlet.attention = attend_hub;
    handle_access::set_view(hub_greenlet.parent, &main);
    grave.owner = this;
    grave.attention = attend_hub;
    grave.life.store(life::dead, std::memory_order_relaxed);
    handle_access::set_view(grave.parent, &main);
    stacks.emplace();
    if (sanitized) main.checker = check_thread_stack();
}

thread_state::~thread_state() {
    forget_stack(static_cast<checked_stack*>(main.checker));
    for (core* eternal : {&main, &hub_greenlet}) std::free(eternal->label);
}

thread_state& thread_state::make() {
    // The main thread gets a fresh state after the end of its first: exit handlers and static destructors may still switch.
    // Nobody ends that one.
    if (thread_has_ended && !on_main_thread()) {
        throw thread_exited(
            "copse was used in a thread whose greenlets have ended already (a thread_local destructor?)");
    }
    auto made = std::make_unique<thread_state>();
    install_overflow_report();
    watch_for_forks();
    set_describe_owner(&describe);
    prepare_thread_for_overflow_report();
    thread_block& here = this_thread;
    here.exceptions = reinterpret_cast<exception_state*>(abi::__cxa_get_globals());
    here.error_number = &errno;
    here.inbox = &made->in_flight.payload;
    here.current = &made->main;
    here.state = made.get();
    made->gate_of_thread_ = &here.gate;
    if (!thread_has_ended) at_thread_end.state = made.get();
    made->settle_gate();
    return *made.release();
}

void thread_state::settle_gate() noexcept {
    const bool open = !sanitized && !trace && this_thread.current->refs.load(std::memory_order_relaxed) != 0;
    // seq_cst: a sender writes the flag, then shuts the gate; here the gate is written, then the flag is read.
    this_thread.gate.store(open ? gate() : gate_shut, std::memory_order_seq_cst);
    if (open && has_dropped()) this_thread.gate.store(gate_shut, std::memory_order_relaxed);
}

void thread_state::bury_dropped() {
    while (has_dropped_.exchange(false, std::memory_order_seq_cst)) {
        std::vector<core*> dropped;
        {
            const std::lock_guard lock(mail_);
            dropped.swap(dropped_);
        }
        for (core* block : dropped) release(*block);
    }
}

void thread_state::take_freed() noexcept {
    const std::lock_guard lock(mail_);
    has_freed_.store(false, std::memory_order_relaxed);
    for (const freed_block& f : freed_) blocks.give(f.memory, f.size);
    freed_.clear();
}

bool thread_state::send_dropped(core& block) noexcept {
    const std::lock_guard lock(mail_);
    if (exited()) return false;
    dropped_.push_back(&block);
    has_dropped_.store(true, std::memory_order_seq_cst);
    gate_of_thread_->store(gate_shut, std::memory_order_seq_cst);
    if (hub_ != nullptr) hub_->notice_mail();
    return true;
}

void thread_state::free_from_elsewhere(void* block, std::size_t size) noexcept {
    bool last = false;
    {
        const std::lock_guard lock(mail_);
        if (!exited()) {
            freed_.push_back({block, size});
            has_freed_.store(true, std::memory_order_relaxed);
            return;
        }
        blocks.give(block, size);
        last = unused();
    }
    if (last) delete this;
}

void thread_state::release_eternal_weak(core& eternal) noexcept {
    bool last = false;
    {
        const std::lock_guard lock(mail_);
        last = eternal.weak.fetch_sub(1, std::memory_order_acq_rel) == 2 && exited() && unused();
    }
    if (last) delete this;
}

void thread_state::release_eternal(core& eternal) noexcept {
    bool last = false;
    {
        const std::lock_guard lock(mail_);
        last = eternal.refs.fetch_sub(1, std::memory_order_acq_rel) == 1 && exited() && unused();
    }
    if (last) delete this;
}

bool thread_state::unused() const noexcept {
    for (const core* eternal : {&main, &hub_greenlet}) {
        if (eternal->refs.load(std::memory_order_acquire) != 0 || eternal->weak.load(std::memory_order_acquire) != 1)
            return false;
    }
    return blocks.live() == 0 && !kept_for_ever_;
}

void thread_state::own_hub(std::unique_ptr<hub_core> made) {
    const std::lock_guard lock(mail_);
    hub_ = std::move(made);
    this_thread.hub = hub_.get();
}

// So that in the child nobody is in the middle of taking one of ours out of its line.
void thread_state::hold_shared_objects() noexcept {
    const auto note = [this](const core& c) {
        std::mutex* const of_object = c.waiting == nullptr ? nullptr : shared_wait::mutex_of(*c.waiting);
        if (of_object != nullptr) held_for_fork_.push_back(of_object);
    };
    note(main);
    for (const core* c = newest_; c != nullptr; c = c->older) note(*c);
    std::sort(held_for_fork_.begin(), held_for_fork_.end());
    held_for_fork_.erase(std::unique(held_for_fork_.begin(), held_for_fork_.end()), held_for_fork_.end());
    for (std::mutex* m : held_for_fork_) m->lock();
}

void thread_state::before_fork() noexcept {
    hold_shared_objects();
    mail_.lock();
    if (hub_ != nullptr) hub_->hold_driver();
}

void thread_state::after_fork() noexcept {
    if (hub_ != nullptr) hub_->release_driver();
    mail_.unlock();
    for (std::mutex* m : held_for_fork_) m->unlock();
    held_for_fork_.clear();
}

void thread_state::end_hub() noexcept {
    std::unique_ptr<hub_core> ended;
    const std::lock_guard lock(mail_);
    ended.swap(hub_);
    this_thread.hub = nullptr;
}

void thread_state::report(const std::exception_ptr& exception, const greenlet& concerned) noexcept {
    if (!on_error || this_thread.state != this) return print(exception, concerned);
    const no_waits meanwhile;  // a handler may be called in the middle of a park
    try {
        const error_handler handler = on_error;  // it may replace itself
        handler(exception, concerned);
    } catch (...) {
        print(exception, concerned);
        print(std::current_exception(), greenlet());
    }
}

void thread_state::end() noexcept {
    // exit() inside a greenlet: this is its stack, and the others are left as they are.
    if (this_thread.current != &main) return;
    if (this_thread.hub != nullptr) this_thread.hub->shut_down();
    // What main's and the hub's local values do when they end may make greenlets again.
    do {
        while (newest_ != nullptr || has_dropped()) {
            bury_dropped();
            if (newest_ != nullptr) end_newest();
        }
        end_data(main);
        end_data(hub_greenlet);
    } while (newest_ != nullptr || has_dropped() || main.data != nullptr);
    drop_limits(main);
    trace = nullptr;
    on_error = nullptr;
    end_hub();
    stacks.reset();
    thread_has_ended = true;
    this_thread.gate.store(gate_shut, std::memory_order_relaxed);
    this_thread.current = &nobody;
    this_thread.state = nullptr;
    this_thread.hub = nullptr;
    main.life.store(life::dead, std::memory_order_relaxed);
    bool last = false;
    std::vector<core*> late;
    {
        const std::lock_guard lock(mail_);
        exited_.store(true, std::memory_order_release);
        main.refs.fetch_sub(1, std::memory_order_acq_rel);
        hub_greenlet.refs.fetch_sub(1, std::memory_order_acq_rel);
        for (const freed_block& f : freed_) blocks.give(f.memory, f.size);
        freed_.clear();
        late.swap(dropped_);
        last = late.empty() && unused();
    }
    // Dropped while the thread ended: all are dead by now, and the last one may end this state.
    for (core* block : late) release(*block);
    if (last) delete this;
}

// An abandoned stack may refer to this state. The list is for leak checkers.
void thread_state::keep_for_ever() noexcept {
    if (std::exchange(kept_for_ever_, true)) return;
    next_kept_ = kept_states.load(std::memory_order_relaxed);
    while (!kept_states.compare_exchange_weak(next_kept_, this, std::memory_order_release, std::memory_order_relaxed)) {
    }
}

// One try each; a survivor keeps its stack for ever.
void thread_state::end_newest() noexcept {
    core& victim = *newest_;
    retain(victim);
    if (!victim.has_started()) {
        request_end(static_cast<fiber_core&>(victim));
    } else if (victim.is_dead() || (!kill_suspended(*this, victim) && !victim.is_dead())) {
        // A dead one is still listed while it ends its result, which nothing can be thrown into.
        withdraw_wait(victim);
        victim.traits |= trait_lost;
        mark_dead(*this, victim);
        stacks->abandon(std::exchange(victim.stack, nullptr));
        keep_for_ever();
        report(std::make_exception_ptr(
                   error(to_string(victim.self) + " survived the end of its thread: its stack is abandoned")),
               victim.self);
    }
    release(victim);
}

void fatal(const char* what) noexcept {
    std::fprintf(stderr, "copse: %s\n", what);
    std::abort();
}

}  // namespace copse::detail
