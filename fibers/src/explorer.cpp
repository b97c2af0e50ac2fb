#include "explorer.hpp"

#include <algorithm>
#include <sstream>
#include <stdexcept>

#include <copse/debug.hpp>
#include <copse/detail/type_name.hpp>
#include <copse/fiber.hpp>
#include <copse/nursery.hpp>

#include "greenlet_data.hpp"
#include "kill.hpp"
#include "last_line.hpp"
#include "messenger.hpp"

namespace copse::detail {

namespace {

std::string text_of(const std::exception_ptr& failure) {
    try {
        std::rethrow_exception(failure);
    } catch (const std::exception& e) {
        return type_name(typeid(e)) + ": " + e.what();
    } catch (const greenlet_exit& e) {
        return e.what();
    } catch (...) {
        return "an exception that is not a std::exception";
    }
}

bool is_fiber_killed(const std::exception_ptr& e) noexcept {
    try {
        std::rethrow_exception(e);
    } catch (const fiber_killed&) {
        return true;
    } catch (...) {
        return false;
    }
}

// Of a nursery's error those that it is made of; else none.
std::vector<std::exception_ptr> parts_of(const std::exception_ptr& e) {
    try {
        std::rethrow_exception(e);
    } catch (const nursery_error& all) {
        return all.failures();
    } catch (...) {
        return {};
    }
}

bool is_greenlet(const ready_node& node) noexcept {
    const auto frame = reinterpret_cast<std::uintptr_t>(node.frame);
    return frame == 0 || frame > frame_of_turn_mark;
}

bool is_parked(const core& c) noexcept {
    return c.waiting != nullptr ? c.waiting->ended == cause::open : is_suspended_by_hand(c);
}

hub_core& hub_to_explore(const char* operation) {
    hub_core& hub = hub_core::here();
    const std::string who(operation);
    if (this_thread.current != &hub.state.main) throw error(who + ": only the main greenlet may explore");
    if (hub.unfinished != 0)
        throw error(who + ": fibers of this thread are unfinished, and would be part of every order");
    if (hub.is_explored()) throw error(who + ": this thread explores already");
    // The hub has its stack before anything is counted.
    hub.call_back([] {});
    yield();
    return hub;
}

}  // namespace

explorer::explorer(const exploration_rules& rules)
    : rules_(rules),
      hub_(hub_to_explore(rules.operation)),
      handler_before_(set_error_handler([this](const std::exception_ptr& e, const greenlet& g) { hear(e, g); })) {
    hub_.set_chooser(this);
}

explorer::~explorer() {
    hub_.set_chooser(nullptr);
    set_error_handler(std::move(handler_before_));
}

bool explorer::run(const scenario& scene, choices& by) {
    begin(by);
    call(scene);
    settle();
    return !failure_;
}

void explorer::begin(choices& by) {
    choices_ = &by;
    failure_.reset();
    interfered_ = 0;
    dispatches_ = 0;
    ended_all_ = false;
    killed_ = false;
    helper_ = nullptr;
    injected_.clear();
    story_.clear();
    greenlets_before_ = debug::live_greenlets();
    stacks_before_ = debug::live_stacks();
    last_id_before_ = hub_.state.last_id;
    choosing_ = true;
}

void explorer::call(const scenario& scene) {
    try {
        scene(face_);
    } catch (...) {
        const std::exception_ptr e = std::current_exception();
        if (!is_mine(e)) fail("the scenario threw " + text_of(e), e);
    }
}

// What fibers are left may refer to what has ended with the scenario: if their kill ends the process, it is said why.
void explorer::settle() {
    choosing_ = false;
    if (helper_ != nullptr) drain();  // ours may be the last one
    if (hub_.unfinished != 0) {
        std::ostringstream text;
        text << "the scenario returned and left " << hub_.unfinished << " unfinished:\n";
        hub_.dump(text);
        fail(text.str(), nullptr);
        last_line::say(failure_->text.c_str());
        end_all();
    }
    drain();
    last_line::say(nullptr);
    require_nothing_left();
    core& main = hub_.state.main;
    while (main.interrupts != nullptr) withdraw(main, *main.interrupts);
    interrupts_.clear();
}

void explorer::drain() {
    for (int turns = 0; hub_.has_ready() && turns < 10'000; ++turns) {
        try {
            yield();
        } catch (...) {
            // Thrown at main, for a scenario that did not come to its end: it has now.
        }
    }
}

void explorer::require_nothing_left() {
    must(hub_.unfinished == 0, "explore: a fiber of the scenario survives its kill");
    if (const std::size_t timers = hub_.timers.size(); timers != 0) {
        fail("the scenario left " + std::to_string(timers) + " deadlines armed", nullptr);
    } else if (const std::size_t left = debug::live_greenlets(); left != greenlets_before_) {
        fail("the scenario left greenlets or handles behind: " + std::to_string(left) + " are alive, not " +
                 std::to_string(greenlets_before_),
             nullptr);
    } else if (debug::live_stacks() != stacks_before_) {
        fail("the scenario left stacks behind", nullptr);
    }
}

void explorer::fail(std::string text, std::exception_ptr cause) noexcept {
    if (!failure_) failure_.emplace(mishap{std::move(text), std::move(cause)});
}

void explorer::hear(const std::exception_ptr& error, const greenlet& of) {
    if (is_mine(error)) return;
    fail((of.empty() ? "nobody" : to_string(of)) + " told the error handler: " + text_of(error), error);
}

// What is thrown by us, or follows from it.
bool explorer::is_mine(const std::exception_ptr& error) const {
    if (interfered_ == 0) return false;
    if (std::find(injected_.begin(), injected_.end(), error) != injected_.end()) return true;
    if (killed_ && is_fiber_killed(error)) return true;
    const std::vector<std::exception_ptr> parts = parts_of(error);
    return !parts.empty() &&
           std::all_of(parts.begin(), parts.end(), [this](const std::exception_ptr& each) { return is_mine(each); });
}

std::size_t explorer::choose(std::size_t of) {
    if (of == 0) throw std::invalid_argument("exploration::choose: there is nothing to choose from");
    return of == 1 ? 0 : pick(of);
}

std::size_t explorer::pick(std::size_t of) noexcept {
    if (!choosing_) return 0;
    return choices_->take({.count = static_cast<std::uint32_t>(of)});
}

template <class Kill, class TimeOut>
void explorer::for_each_parked(Kill kill, TimeOut time_out) noexcept {
    for (core* c = hub_.state.newest(); c != nullptr; c = c->older) {
        if (!c->is(trait_fiber) || !c->is_active() || !is_parked(*c) || c == helper_) continue;
        auto& f = static_cast<fiber_core&>(*c);
        if (may_kill(f)) kill(f);
        if (rules_.timeouts) time_out(f);
    }
}

// Those who are ready can wait: they are asked for when they are chosen.
void explorer::interfere() noexcept {
    if (!may_interfere()) return;
    alternatives of{.count = 1, .interfering = true};
    for_each_parked([&of](fiber_core&) { ++of.kills; }, [&of](fiber_core&) { ++of.timeouts; });
    of.count += of.kills + of.timeouts;
    if (rules_.deadlines && hub_.has_ready() && !hub_.timers.empty()) ++of.count;
    if (of.count == 1) return;
    if (const std::uint32_t taken = choices_->take(of); taken != 0) apply(taken, of);
}

void explorer::apply(std::uint32_t taken, const alternatives& of) noexcept {
    if (taken > of.kills + of.timeouts) {
        ++interfered_;
        if (telling_) add_to_story("the next deadline");
        return hub_.pass_next_deadline();
    }
    const bool kills = taken <= of.kills;
    std::uint32_t left = kills ? taken : taken - of.kills;
    fiber_core* victim = nullptr;
    const auto count = [&](fiber_core& f) {
        if (--left == 0) victim = &f;
    };
    const auto pass = [](fiber_core&) {};
    kills ? for_each_parked(count, pass) : for_each_parked(pass, count);
    must(victim != nullptr, "explore: there are fewer to interfere with than there were");
    kills ? kill(*victim) : time_out(*victim);
}

void explorer::chosen(ready_node& next) noexcept {
    note_dispatch();
    if (!is_greenlet(next)) return;
    core& c = static_cast<core&>(next);
    if (&c == helper_) return;
    if (telling_) add_to_story(label(c));
    if (c.is(trait_fiber) && may_interfere()) interfere_with(static_cast<fiber_core&>(c));
}

void explorer::note_dispatch() noexcept {
    ++dispatches_;
    if (dispatches_ == rules_.max_dispatches) {
        fail("it has not come to an end after " + std::to_string(dispatches_) + " dispatches", nullptr);
        end_all();
    } else if (dispatches_ / 2 == rules_.max_dispatches) {
        interrupt_main();
    }
}

// It is about to go on, or to start.
void explorer::interfere_with(fiber_core& f) noexcept {
    alternatives of{.interfering = true};
    of.kills = may_kill(f) ? 1 : 0;
    of.timeouts = rules_.timeouts && f.has_started() ? 1 : 0;
    of.count = 1 + of.kills + of.timeouts;
    if (of.count == 1) return;
    if (const std::uint32_t taken = choices_->take(of); taken != 0) taken > of.kills ? time_out(f) : kill(f);
}

void explorer::kill(fiber_core& f) noexcept {
    ++interfered_;
    killed_ = true;
    if (telling_) add_to_story("kill " + label(f));
    const bool has_callbacks = f.data != nullptr && f.data->stop != nullptr;  // which may park
    if (f.has_started() && !has_callbacks) return request_end(f);
    call_first([held = handle_access::share(f)] { request_end(static_cast<fiber_core&>(handle_access::of(held))); });
}

// In a fiber: the end of one that has not started runs destructors of the user's, which may park.
template <class F>
void explorer::call_first(F f) noexcept {
    const unobserved_spawns ours(hub_);
    const fiber<void> helper = spawn({.name = "explorer"}, [this, call = std::move(f)] {
        call();
        helper_ = nullptr;
    });
    core& c = handle_access::of(helper.underlying());
    helper_ = &c;
    hub_.bring_to_front(c);
}

void explorer::time_out(fiber_core& f) noexcept {
    ++interfered_;
    if (telling_) add_to_story("time out " + label(f));
    interrupt& i = interrupts_.emplace_back();
    i.error = std::make_exception_ptr(timeout_expired(++hub_.last_timeout, std::chrono::nanoseconds(0)));
    injected_.push_back(i.error);
    deliver(f, i);
}

bool explorer::stuck() noexcept {
    if (rules_.hangs) return false;
    if (ended_all_) return false;
    std::ostringstream text;
    text << "it hangs: nothing can make a fiber ready\n";
    hub_.dump(text);
    fail(text.str(), nullptr);
    end_all();
    return true;
}

// Main is told when the end of all the others does not make it ready.
void explorer::end_all() noexcept {
    choosing_ = false;
    ended_all_ = true;
    call_first([this] {
        std::vector<greenlet> all;
        for (core* c = hub_.state.newest(); c != nullptr; c = c->older) {
            if (c->is(trait_fiber) && c != this_thread.current) all.push_back(handle_access::share(*c));
        }
        for (const greenlet& g : all) request_end(static_cast<fiber_core&>(handle_access::of(g)));
    });
}

// The others have been killed, and it still goes on.
void explorer::interrupt_main() noexcept {
    core& main = hub_.state.main;
    if (main.interrupts != nullptr) return;
    interrupt& i = interrupts_.emplace_back();
    i.error = std::make_exception_ptr(would_block_forever("explore: the scenario has not come to an end"));
    deliver(main, i);
}

// Of a long one the end.
void explorer::add_to_story(const std::string& what) {
    constexpr std::size_t longest = 2'000;
    if (!choosing_) return;
    if (!story_.empty()) story_ += ", ";
    story_ += what;
    if (story_.size() > 2 * longest) story_.replace(0, story_.find(',', longest), "...");
}

// Ids differ from execution to execution.
std::string explorer::label(const core& c) const {
    if (&c == &hub_.state.main) return "main";
    if (hub_core::is_hub(c)) return "hub";
    if (c.label != nullptr) return c.label;
    return "#" + std::to_string(c.id - last_id_before_);
}

}  // namespace copse::detail
