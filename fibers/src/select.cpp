// Select: one wait with a party in every line.
//
// Invariants: a party names its wait from before it stands in a line until the select is over, so that a case is in one select
// at a time. When the wait is completed, by whomever, all its parties leave their lines in the same call; so exactly one is
// ever served, and what it was served with is in its case.
#include <copse/detail/select_case.hpp>

#include <algorithm>

#include "hub_core.hpp"

namespace copse::detail {

namespace {

[[noreturn]] void throw_used_twice() {
    throw concurrent_use("select: a case is named twice, or another fiber waits for it");
}

class select_wait final : public wait {
public:
    explicit select_wait(select_cases cases) noexcept : wait("select", nullptr, gain::something), cases_(cases) {
        undo = [](wait& w) noexcept { static_cast<select_wait&>(w).leave_lines(); };
    }
    ~select_wait() {
        for (select_case* c : cases_) {
            if (c->place().of == this) c->place().of = nullptr;
        }
    }

    void claim() {
        for (select_case* c : cases_) {
            party& p = c->place();
            if (p.of != nullptr) throw_used_twice();
            p.of = this;
            p.served = false;
        }
    }

    void line_up() noexcept {
        for (select_case* c : cases_) {
            // `now` is ourselves, in line for another case of the same channel.
            if (c->look() != chance::none) c->line_up();
        }
    }

    bool in_line() const noexcept {
        return std::any_of(cases_.begin(), cases_.end(), [](select_case* c) { return c->place().linked(); });
    }

    std::size_t served() const noexcept {
        const auto is_served = [](select_case* c) { return c->place().served; };
        return static_cast<std::size_t>(std::find_if(cases_.begin(), cases_.end(), is_served) - cases_.begin());
    }

private:
    void leave_lines() noexcept {
        for (select_case* c : cases_) c->place().unlink();
    }

    select_cases cases_;
};

[[noreturn]] void throw_no_chance() {
    throw queue_closed(
        "select: no case can happen any more: what they get from is closed and drained, what they put is gone");
}

select_case* const* find_ready(select_cases cases, std::size_t nth) {
    const auto is_it = [&nth](select_case* c) { return c->look() == chance::now && nth-- == 0; };
    return &*std::find_if(cases.begin(), cases.end(), is_it);
}

}  // namespace

void drop_case(party& p) noexcept {
    auto& w = static_cast<select_wait&>(*p.of);
    p.unlink();
    if (w.in_line()) return;
    try {
        throw_no_chance();
    } catch (...) {
        fail(w, std::current_exception());
    }
}

void fail_put_case(party& p, const char* noun) noexcept {
    try {
        throw_closed(noun);
    } catch (...) {
        fail(*p.of, std::current_exception());
    }
}

std::optional<std::size_t> select_now(select_cases cases, bool in_turn) {
    std::size_t ready = 0;
    bool hopeless = true;
    for (select_case* c : cases) {  // all: one that would put into a closed queue throws, whichever are ready
        if (c->place().of != nullptr) throw_used_twice();
        const chance has = c->look();
        if (has == chance::now) ++ready;
        if (has != chance::none) hopeless = false;
    }
    if (hopeless) throw_no_chance();
    if (ready == 0) return std::nullopt;
    select_case* const* chosen = find_ready(cases, hub_core::here().draw(ready));
    wait turn("select", nullptr, gain::something);
    (*chosen)->happen(in_turn ? &turn : nullptr);
    if (turn.ended != cause::open) park(turn);
    return static_cast<std::size_t>(chosen - cases.data());
}

std::optional<std::size_t> select_later(select_cases cases, std::int64_t deadline) {
    select_wait w(cases);
    w.claim();
    w.line_up();
    if (park(w, deadline) == cause::timed_out) return std::nullopt;
    return w.served();
}

}  // namespace copse::detail
