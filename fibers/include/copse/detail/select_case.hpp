// The cases of a select: what a select knows of each, whatever its queue holds.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <type_traits>
#include <utility>

#include <copse/detail/exchange.hpp>

namespace copse::detail {

/// What a select can expect of a case.
enum class chance : std::uint8_t {
    now,    // it can happen at once
    later,  // somebody may make it happen
    none,   // its queue is closed and drained, or its item is gone
};

/// One case. Stays where it is while a select waits for it.
class select_case {
public:
    select_case(const select_case&) = delete;
    select_case& operator=(const select_case&) = delete;

    /// Throws:  queue_closed if it would put into a closed queue.
    virtual chance look() const = 0;
    /// Makes it happen, its chance being `now`; changes nothing if it throws. `self` is for a rendezvous, see exchange.
    virtual void happen(wait* self) = 0;
    /// Stands in line; its party names the wait already.
    virtual void line_up() noexcept = 0;
    /// Calls the handler. It has happened.
    virtual void handle() = 0;
    virtual party& place() noexcept = 0;

protected:
    select_case() noexcept = default;
    ~select_case() = default;
};

using select_cases = std::span<select_case* const>;

/// Told that its queue is closed while its select waits, a case that cannot happen any more leaves its line; with the last one
/// the select fails.
void drop_case(party& p) noexcept;

/// The same of a put: the select fails at once.
void fail_put_case(party& p, const char* noun) noexcept;

/// Makes one of the cases happen whose chance is `now`, each being equally likely. `in_turn`: a rendezvous lets its partner
/// continue first, which parks.
/// Returns: its index; empty if there is none.
/// Throws:  queue_closed if one puts into a closed queue, or if none has a chance any more; concurrent_use; what moving an item
///          throws.
std::optional<std::size_t> select_now(select_cases cases, bool in_turn);

/// Parks until one has happened.
/// Returns: its index; empty at the deadline.
std::optional<std::size_t> select_later(select_cases cases, std::int64_t deadline);

template <class Deadline>
std::optional<std::size_t> select_by(select_cases cases, Deadline deadline) {
    attend();
    if (const auto ready = select_now(cases, true)) return ready;
    return select_later(cases, deadline());
}

/// Takes from a queue or channel. A handler that can be called with std::optional<T> hears of the end, too.
template <class Queue, class Handler>
class get_case final : public select_case {
    using item = typename Queue::value_type;

    // Asked of an optional first: a generic handler may not compile with a T. Of a T that an optional converts to, such as
    // std::any, it cannot be told what the handler takes, and the T is what it gets.
    static constexpr bool hears() {
        if constexpr (!std::is_invocable_v<Handler&, std::optional<item>>) {
            return false;
        } else if constexpr (std::is_convertible_v<std::optional<item>, item>) {
            return !std::is_invocable_v<Handler&, item>;
        } else {
            return true;
        }
    }
    static constexpr bool hears_of_the_end = hears();
    static_assert(std::disjunction_v<std::bool_constant<hears_of_the_end>, std::is_invocable<Handler&, item>>,
                  "the handler of on_get takes a T or a std::optional<T>");

public:
    get_case(Queue& from, Handler handler) : from_(from), handler_(std::move(handler)) {
        place_.told_closed = hears_of_the_end ? [](party& p) noexcept { p.serve(); } : &drop_case;
    }

    chance look() const override {
        if (from_.can_take()) return chance::now;
        if (!from_.closed()) return chance::later;
        return hears_of_the_end ? chance::now : chance::none;
    }

    void happen(wait* self) override { from_.take_now(item_, self); }
    void line_up() noexcept override { from_.getters_.push_back(place_); }
    party& place() noexcept override { return place_; }

    void handle() override {
        const struct emptying {
            ~emptying() { of.reset(); }
            std::optional<item>& of;
        } at_the_end{item_};
        if constexpr (hears_of_the_end) {
            std::invoke(handler_, std::move(item_));
        } else {
            std::invoke(handler_, std::move(*item_));
        }
    }

private:
    Queue& from_;
    Handler handler_;
    std::optional<item> item_;
    getter<item> place_{item_};
};

template <class Queue, class Handler>
class put_case final : public select_case {
    using item_type = typename Queue::value_type;
    static_assert(std::is_invocable_v<Handler&>, "the handler of on_put takes nothing");

public:
    put_case(Queue& to, item_type&& item, Handler handler)
        : to_(to), handler_(std::move(handler)), item_(std::move(item)) {
        place_.told_closed = [](party& p) noexcept { fail_put_case(p, Queue::noun()); };
    }

    /// Empty once it has been put. While there is none the case cannot happen.
    std::optional<item_type>& item() noexcept { return item_; }

    chance look() const override {
        if (!item_) return chance::none;
        to_.require_open();
        return to_.can_give() ? chance::now : chance::later;
    }

    void happen(wait* self) override { to_.give_now(*item_, self); }
    void line_up() noexcept override { to_.putters_.push_back(place_); }
    party& place() noexcept override { return place_; }

    void handle() override {
        item_.reset();
        std::invoke(handler_);
    }

private:
    Queue& to_;
    Handler handler_;
    std::optional<item_type> item_;
    putter<item_type> place_{*item_};  // the optional's place for an item, whichever lies there
};

}  // namespace copse::detail
