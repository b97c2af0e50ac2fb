/// Generators: a body that yields, and a consumer that asks for the next.
#pragma once

#include <cstddef>
#include <iterator>
#include <memory>
#include <optional>
#include <type_traits>
#include <utility>

#include <copse/detail/callable.hpp>
#include <copse/error.hpp>
#include <copse/greenlet.hpp>
#include <copse/value.hpp>

namespace copse {

namespace detail {
[[noreturn]] void abort_asked(const greenlet& consumer) noexcept;
void throw_what_is_pending();
}  // namespace detail

/// A lazy sequence of T, made by a body on its own stack: it may yield from nested calls, and an inner generator's body may
/// yield for an outer one. `In` is what `send` delivers into `yield`.
///
///     copse::generator<int> squares([](auto yield) { for (int i = 0;; ++i) yield(i * i); });
///     for (int s : squares) { if (s > 50) break; std::cout << s << ' '; }
///
/// States: not started, suspended in a yield, running, exhausted. Ending it early throws greenlet_exit at the yield, so that
/// the body's destructors run. The body may park; a kill or timeout of the consumer that comes then is thrown by `next`,
/// and ends the body. Owner thread only; movable. Ending it while a greenlet waits in `next` aborts with a message.
template <class T, class In = value>
class generator {
    struct state;

public:
    static_assert(std::is_object_v<T>, "a generator yields objects; wrap a reference in std::reference_wrapper");

    /// What the body calls. A copyable view: it must not outlive the generator.
    class yielder {
    public:
        /// Hands an item to the consumer and suspends until it asks for more.
        /// Returns: what was sent, an In made of nothing if nothing was.
        /// Throws:  error when no consumer is waiting for this generator.
        In operator()(T&& item) const { return state_->yield(item); }
        In operator()(const T& item) const {
            T copy(item);
            return state_->yield(copy);
        }

    private:
        friend class generator;
        explicit yielder(state& s) noexcept : state_(&s) {}
        state* state_;
    };

    /// Exhausted from the start.
    generator() noexcept = default;

    /// Aborts with a message if a greenlet waits in `next` of either.
    generator(generator&& other) noexcept : state_(other.give_away()) {}
    generator& operator=(generator&& other) noexcept {
        abandon();
        state_ = other.give_away();
        return *this;
    }
    ~generator() { abandon(); }

    /// Nothing of the body runs before the first item is asked for.
    /// Throws:  null_callable; std::bad_alloc; what moving the body throws.
    template <class F>
        requires(std::is_invocable_v<std::decay_t<F>&, yielder>)
    explicit generator(F&& body) {
        if (detail::is_null(body)) throw null_callable("generator: the body is null");
        state_ = std::make_shared<state>();
        state_->inside =
            greenlet([s = state_, body = std::decay_t<F>(std::forward<F>(body))]() mutable { body(yielder(*s)); });
    }

    /// Runs the body to its next yield.
    /// Returns: the item; empty when the body has ended.
    /// Throws:  what escapes from the body, or is raised into the caller meanwhile: the generator is exhausted then; error if
    ///          called from the body itself, or if somebody else than the body entered the caller by hand.
    std::optional<T> next() { return take(In()); }

    /// The same, delivering `sent` to the yield that is suspended.
    /// Throws:  error before the first item: nothing is suspended that could take it.
    std::optional<T> send(In sent) {
        if (state_ != nullptr && !state_->begun)
            throw error("generator: send before the first next: no yield is suspended");
        return take(std::move(sent));
    }

    /// The body has ended.
    bool exhausted() const noexcept { return state_ == nullptr; }

    class iterator {
    public:
        using value_type = T;
        using difference_type = std::ptrdiff_t;

        explicit iterator(generator& from) : from_(&from) { ++*this; }
        T& operator*() const noexcept { return *from_->state_->item; }
        T* operator->() const noexcept { return from_->state_->item; }
        iterator& operator++() {
            from_->advance(In());
            return *this;
        }
        void operator++(int) { ++*this; }
        friend bool operator==(const iterator& i, std::default_sentinel_t /*end*/) noexcept {
            return i.from_->exhausted();
        }

    private:
        generator* from_;
    };

    iterator begin() { return iterator(*this); }
    std::default_sentinel_t end() const noexcept { return {}; }

private:
    // Held by the generator and by the body, which may live on for a while when it has been told to end.
    struct state {
        In yield(T& yielded) {
            if (abandoned) throw greenlet_exit();
            if (consumer == nullptr) throw error("generator: yield while no consumer waits for an item");
            item = &yielded;
            suspended = weak_greenlet(greenlet::current());
            std::exchange(consumer, nullptr)->switch_to();
            return std::exchange(sent, In());
        }

        greenlet inside;                     // the body
        weak_greenlet suspended;             // who yielded last: the body, or an inner generator's
        const greenlet* consumer = nullptr;  // who waits for the next item; null while suspended
        T* item = nullptr;                   // on the stack that yielded
        In sent{};
        bool begun = false;
        bool abandoned = false;  // by its generator
    };

    std::shared_ptr<state> give_away() noexcept {
        if (state_ != nullptr && state_->consumer != nullptr) detail::abort_asked(*state_->consumer);
        return std::move(state_);
    }

    // Dropping its last handle ends the body.
    void abandon() noexcept {
        const std::shared_ptr<state> s = give_away();
        if (s == nullptr) return;
        s->abandoned = true;
        const greenlet last = std::exchange(s->inside, greenlet());
    }

    std::optional<T> take(In sent) {
        if (!advance(std::move(sent))) return std::nullopt;
        return std::optional<T>(std::move(*state_->item));
    }

    // Runs the body to its next yield or its end.
    bool advance(In sent) {
        if (state_ == nullptr) return false;
        state& s = *state_;
        if (s.consumer != nullptr) throw error("generator: asked for an item from inside itself");
        detail::throw_what_is_pending();  // it would not reach a consumer that is suspended by hand
        const greenlet& asks = greenlet::current();
        if (s.inside.parent() != asks) s.inside.set_parent(asks);  // its end comes to whoever asks
        s.sent = std::move(sent);
        s.item = nullptr;
        s.consumer = &asks;
        const greenlet into = s.begun ? std::exchange(s.suspended, weak_greenlet()).lock() : s.inside;
        s.begun = true;
        try {
            if (into.empty()) throw error("generator: the greenlet that yielded last has ended");
            into.switch_to();
        } catch (...) {
            settle();
            throw;
        }
        const bool ended = s.inside.dead();
        if (settle() || ended) return state_ != nullptr;
        throw error("generator: its consumer was entered by hand while it waited for an item");
    }

    // Back at the consumer. Tells whether the body is suspended in a yield; if not it is over, perhaps because it is ended
    // here: it was in the middle of something whose outcome nobody waits for any more.
    bool settle() {
        state& s = *state_;
        s.consumer = nullptr;
        if (s.inside.dead() || s.suspended.expired()) {
            abandon();
            return false;
        }
        // While the body is suspended it must not keep its consumer alive, as a parent would.
        if (!s.inside.parent().is_main()) s.inside.set_parent(greenlet::main());
        return true;
    }

    std::shared_ptr<state> state_;
};

}  // namespace copse
