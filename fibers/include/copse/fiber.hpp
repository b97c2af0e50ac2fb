/// Fibers: greenlets that the thread's hub owns and runs.
///
/// Unless a line says otherwise a function does not park, is called on the thread that spawned the fiber (else it throws
/// `wrong_thread`), and throws `empty_handle` through an empty handle.
#pragma once

#include <array>
#include <chrono>
#include <concepts>
#include <exception>
#include <functional>
#include <optional>
#include <ranges>
#include <span>
#include <string>
#include <string_view>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

#include <copse/detail/fiber_core.hpp>
#include <copse/detail/result.hpp>
#include <copse/greenlet.hpp>
#include <copse/hub.hpp>
#include <copse/link.hpp>
#include <copse/source_site.hpp>

namespace copse {

/// How to spawn: `spawn({.name = "reader", .stack_size = 64 * 1024}, f)`.
struct spawn_options {
    std::string name{};          ///< for messages
    std::size_t stack_size = 0;  ///< bytes that can be used, rounded up; 0: `default_stack_size`
    bool start = true;           ///< false: only `fiber::start` makes it ready
    source_site site = source_site::current();
};

namespace detail {
struct fiber_access;
struct watch_access;
}  // namespace detail

/// What is common to fibers of every result: a shared handle. Dropping it does not stop the fiber.
/// Copying, comparing and dropping handles is safe on every thread.
class any_fiber {
public:
    constexpr any_fiber() noexcept = default;

    bool empty() const noexcept { return handle_.empty(); }
    explicit operator bool() const noexcept { return !empty(); }
    friend bool operator==(const any_fiber& a, const any_fiber& b) noexcept { return a.handle_ == b.handle_; }

    /// Waits until the fiber has finished. Acquires nothing.
    /// Parks:   unless it has.
    /// Throws:  would_block_forever (in main); what is raised into the caller.
    void join() const { join_by(detail::never); }

    /// Returns: whether it has finished. A length of 0 gives the others one turn.
    template <class Rep, class Period>
    bool join_for(std::chrono::duration<Rep, Period> length) const {
        return join_by(detail::deadline_after(length));
    }
    template <class Clock, class Duration>
    bool join_until(std::chrono::time_point<Clock, Duration> when) const {
        return join_by(detail::deadline_at(when));
    }

    /// Throws `greenlet_exit` in the fiber at its current wait, or at its next one while it runs, unwinds or is shielded; one
    /// that has not started never will. Then waits until it has finished. Once asked for, further kills change nothing
    /// until its clean-up is over (decision 4). On the caller's own fiber: throws here. A destructor that waits at the ordinary
    /// end of a scope is such a wait too, and what is thrown in a destructor ends the program: let it hold a `shield`.
    /// Parks:   unless it has finished.
    void kill() const { kill_by(nullptr, detail::never); }

    /// The same with another exception, which then counts as the fiber's failure.
    void kill(std::exception_ptr exception) const { kill_by(std::move(exception), detail::never); }

    /// Returns: whether it has finished by then. The kill stays asked for.
    template <class Rep, class Period>
    bool kill_for(std::chrono::duration<Rep, Period> length) const {
        return kill_by(nullptr, detail::deadline_after(length));
    }

    /// Makes ready what was spawned with `start = false`, or for later, right away. On any other it does nothing, also when it
    /// has finished. One that is never started is kept, unstarted, until its thread ends.
    void start() const;

    /// Asks for the kill and does not wait.
    void request_kill() const { request_kill(nullptr); }
    void request_kill(std::exception_ptr exception) const;

    /// Has finished, in whatever way.
    bool ready() const;
    /// Has finished and `get` returns a value.
    bool successful() const;
    /// Has been ended by greenlet_exit.
    bool killed() const;

    /// What escaped from it; null if nothing did, or not yet. Looking counts as observing: the failure is then not given to
    /// the error handler (decision 5).
    std::exception_ptr exception() const;

    std::string name() const { return handle_.name(); }
    void set_name(std::string_view name) const { handle_.set_name(name); }
    std::uint64_t id() const { return handle_.id(); }

    /// The greenlet that it runs in.
    const greenlet& underlying() const noexcept { return handle_; }

    /// Calls `f` in a fiber of its own when this one has finished, with the handle or without an argument. Links and
    /// joiners are served in the order in which they came (gevent rules 33, 35); on a finished fiber the call comes with
    /// the next turn, never inside (rule 36). What `f` throws goes to the error handler. Dropping the fiber_link does not
    /// unlink. A link that may see a failure counts as observing it (decision 5).
    template <class F>
    fiber_link link(F f, source_site site = source_site::current()) const {
        return link_as<any_fiber>("link", {detail::link_when::any_end, detail::link_where::own_fiber}, std::move(f),
                                  site);
    }
    /// Only if it has a value.
    template <class F>
    fiber_link link_value(F f, source_site site = source_site::current()) const {
        return link_as<any_fiber>("link_value", {detail::link_when::success, detail::link_where::own_fiber},
                                  std::move(f), site);
    }
    /// Only if it has none: it failed, or was killed.
    template <class F>
    fiber_link link_exception(F f, source_site site = source_site::current()) const {
        return link_as<any_fiber>("link_exception", {detail::link_when::failure, detail::link_where::own_fiber},
                                  std::move(f), site);
    }
    /// In the hub, whatever the end: cheaper, and must not park: what tries gets blocking_in_hub (rule 34).
    template <class F>
    fiber_link link_raw(F f) const {
        return link_as<any_fiber>("link_raw", {detail::link_when::any_end, detail::link_where::hub}, std::move(f),
                                  source_site());
    }

protected:
    explicit any_fiber(greenlet handle) noexcept : handle_(std::move(handle)) {}

    struct link_kind {
        detail::link_when when;
        detail::link_where where;
    };
    template <class Handle, class F>
    fiber_link link_as(const char* operation, link_kind kind, F f, source_site site) const;

    friend struct detail::fiber_access;
    friend struct detail::watch_access;

    bool join_by(std::int64_t deadline) const;
    bool watch(detail::observer& o) const;
    bool kill_by(std::exception_ptr exception, std::int64_t deadline) const;

    /// Joins; then throws its exception, or fiber_killed. False at the deadline.
    bool settle_by(std::int64_t deadline) const;
    detail::fiber_core& block(const char* operation) const;

    greenlet handle_;
};

template <class R>
class fiber;

namespace detail {

template <class R, class Call>
struct fiber_block;

struct fiber_access {
    template <class R>
    static fiber<R> adopt(greenlet handle) noexcept {
        return fiber<R>(std::move(handle));
    }
    template <class Handle = any_fiber>
    static Handle share(fiber_core& f) noexcept {
        return Handle(handle_access::share(f));
    }
    static fiber_core& block(const any_fiber& f, const char* operation) { return f.block(operation); }

    /// Of one that has returned: without a wait, so also in the hub.
    template <class R>
    static R result(const fiber<R>& f) {
        return f.result();
    }
};

/// A link that calls an F with a Handle, or with nothing.
template <class Handle, class F>
class link_block final : public link_state {
public:
    link_block(F f, link_when ends, link_where place, source_site site)
        : link_state(ends, place, site), call_(std::move(f)) {}

private:
    void call(fiber_core& finished) override {
        if constexpr (std::is_invocable_v<F&, const Handle&>) {
            std::invoke(call_, fiber_access::share<Handle>(finished));
        } else {
            std::invoke(call_);
        }
    }
    F call_;
};

/// Where a result stays until the last handle goes.
template <class R>
struct result_room : fiber_core {
    using stored = kept<R>;
    union {
        stored result;
    };
    result_room() noexcept {}
    ~result_room() {
        if (has_result) result.~stored();
    }
};

template <>
struct result_room<void> : fiber_core {};

}  // namespace detail

template <class Handle, class F>
fiber_link any_fiber::link_as(const char* operation, link_kind kind, F f, source_site site) const {
    static_assert(std::is_invocable_v<F&, const Handle&> || std::is_invocable_v<F&>,
                  "a link is called with the fiber's handle, or without an argument");
    if (detail::is_null(f)) detail::throw_null_callable(operation);
    detail::fiber_core& observed = block(operation);
    auto state = std::make_shared<detail::link_block<Handle, F>>(std::move(f), kind.when, kind.where, site);
    state->attach(observed);
    return fiber_link(std::move(state));
}

/// A handle on a fiber that returns an R.
///
///     auto a = copse::spawn([] { copse::sleep(2s); return 1; });
///     auto b = copse::spawn({.name = "b"}, [](int x) { copse::sleep(1s); return x; }, 41);
///     copse::join_all(a, b);            // 2 s, not 3
///     int sum = a.get() + b.get();
///
/// States: unstarted, ready, running, parked; then finished for ever: successful, failed or killed.
template <class R>
class fiber : public any_fiber {
public:
    constexpr fiber() noexcept = default;

    /// Waits for the result. It stays with the fiber: every call returns a copy; a move-only result is moved out once.
    /// Parks:   unless the fiber has finished.
    /// Throws:  what the fiber threw, the same object every time; fiber_killed; value_taken on the second call for a move-only
    ///          result; would_block_forever (in main); what is raised into the caller.
    R get() const {
        settle_by(detail::never);
        return result();
    }

    /// Returns: empty if it had not finished in time. For void: whether it had.
    template <class Rep, class Period>
    auto get_for(std::chrono::duration<Rep, Period> length) const {
        return get_by(detail::deadline_after(length));
    }
    template <class Clock, class Duration>
    auto get_until(std::chrono::time_point<Clock, Duration> when) const {
        return get_by(detail::deadline_at(when));
    }

    /// As any_fiber's, but called with a `fiber<R>`.
    template <class F>
    fiber_link link(F f, source_site site = source_site::current()) const {
        return link_as<fiber>("link", {detail::link_when::any_end, detail::link_where::own_fiber}, std::move(f), site);
    }
    template <class F>
    fiber_link link_value(F f, source_site site = source_site::current()) const {
        return link_as<fiber>("link_value", {detail::link_when::success, detail::link_where::own_fiber}, std::move(f),
                              site);
    }
    template <class F>
    fiber_link link_exception(F f, source_site site = source_site::current()) const {
        return link_as<fiber>("link_exception", {detail::link_when::failure, detail::link_where::own_fiber},
                              std::move(f), site);
    }
    template <class F>
    fiber_link link_raw(F f) const {
        return link_as<fiber>("link_raw", {detail::link_when::any_end, detail::link_where::hub}, std::move(f),
                              source_site());
    }

private:
    friend struct detail::fiber_access;
    explicit fiber(greenlet handle) noexcept : any_fiber(std::move(handle)) {}

    auto get_by(std::int64_t deadline) const {
        return detail::give_if<R>(settle_by(deadline), [this]() -> R { return result(); });
    }

    R result() const {
        if constexpr (!std::is_void_v<R>) {
            auto& room = static_cast<detail::result_room<R>&>(block("get"));
            return detail::give<R>(
                room.result,
                [&] {
                    if (room.marked(detail::mark_taken))
                        throw value_taken("get: the result of " + to_string(handle_) + " was taken already");
                },
                [&] { room.marks |= detail::mark_taken; });
        }
    }
};

namespace detail {

/// Files a fresh fiber: name, stack, site, parent, registry, ready queue. Throws before anything is filed.
void file_fiber(fiber_core& f, const core_ops& ops, const spawn_options* with, source_site site, std::int64_t delay);

template <class R, class Call>
struct fiber_block : result_room<R> {
    union {
        Call call;
    };

    template <class... Args>
    explicit fiber_block(Args&&... args) : call(std::forward<Args>(args)...) {}
    ~fiber_block() {}  // NOLINT(modernize-use-equals-default): the call ends before the block

    static fiber_block& of(core& c) noexcept { return static_cast<fiber_block&>(c); }

    static value run(core& c, value&& /*none*/) {
        fiber_block& self = of(c);
        if constexpr (std::is_void_v<R>) {
            self.invoke();
        } else if constexpr (std::is_reference_v<R>) {
            self.result = &self.invoke();
        } else {
            ::new (static_cast<void*>(&self.result)) R(self.invoke());
        }
        self.has_result = true;
        return {};
    }
    static void drop_callable(core& c) noexcept { of(c).call.~Call(); }
    static void destroy(core& c) noexcept {
        thread_state* owner = c.owner;
        of(c).~fiber_block();
        free_block(&c, sizeof(fiber_block), owner);
    }

    R invoke() {
        return std::apply([](auto& f, auto&... args) -> R { return std::invoke(std::move(f), std::move(args)...); },
                          call);
    }

    static constexpr core_ops ops{&run, &drop_callable, &destroy, sizeof(fiber_block)};
};

template <class F, class... Args>
using invoked = std::invoke_result_t<std::decay_t<F>, std::decay_t<Args>...>;

/// What is kept of it: an rvalue reference would dangle, so its object is.
template <class F, class... Args>
using fiber_result = std::conditional_t<std::is_rvalue_reference_v<invoked<F, Args...>>,
                                        std::remove_cvref_t<invoked<F, Args...>>, invoked<F, Args...>>;

template <class F, class... Args>
concept fiber_callable = std::is_invocable_v<std::decay_t<F>, std::decay_t<Args>...>;

template <class F, class... Args>
auto make_fiber(const spawn_options* with, source_site site, std::int64_t delay, F&& f, Args&&... args) {
    using result = fiber_result<F, Args...>;
    using call = std::tuple<std::decay_t<F>, std::decay_t<Args>...>;
    using block_type = fiber_block<result, call>;
    static_assert(alignof(block_type) <= block_alignment,
                  "over-aligned callables, arguments and results must be boxed to be spawned");
    if (is_null(f)) throw_null_callable("spawn");
    block_room room(sizeof(block_type));
    auto* block = ::new (room.get()) block_type(std::forward<F>(f), std::forward<Args>(args)...);
    try {
        file_fiber(*block, block_type::ops, with, site, delay);
    } catch (...) {
        block_type::drop_callable(*block);
        block->~block_type();
        throw;
    }
    room.keep();
    return fiber_access::adopt<result>(handle_access::adopt(*block));
}

}  // namespace detail

/// Makes a fiber that calls `f` with copies of the arguments, and appends it to the ready queue: it never runs before the
/// caller waits (decision 1).
/// Throws:  std::bad_alloc; null_callable; what copying the callable or an argument throws.
/// Cost:    one block of memory; a stack only when it first runs.
template <class F>
    requires(detail::fiber_callable<F>)
auto spawn(F&& f, source_site site = source_site::current()) {
    return detail::make_fiber(nullptr, site, 0, std::forward<F>(f));
}
template <class F, class A>
    requires(detail::fiber_callable<F, A>)
auto spawn(F&& f, A&& a, source_site site = source_site::current()) {
    return detail::make_fiber(nullptr, site, 0, std::forward<F>(f), std::forward<A>(a));
}
template <class F, class A, class B>
    requires(detail::fiber_callable<F, A, B>)
auto spawn(F&& f, A&& a, B&& b, source_site site = source_site::current()) {
    return detail::make_fiber(nullptr, site, 0, std::forward<F>(f), std::forward<A>(a), std::forward<B>(b));
}
// With more arguments there is no room for a defaulted site behind them: give it in the options.
template <class F, class A, class B, class C, class... More>
    requires(detail::fiber_callable<F, A, B, C, More...>)
auto spawn(F&& f, A&& a, B&& b, C&& c, More&&... more) {
    return detail::make_fiber(nullptr, source_site(), 0, std::forward<F>(f), std::forward<A>(a), std::forward<B>(b),
                              std::forward<C>(c), std::forward<More>(more)...);
}

/// The same with a name, a stack size.
/// Throws:  std::invalid_argument for a stack size beyond `maximum_stack_size`.
template <class F, class... Args>
    requires(detail::fiber_callable<F, Args...>)
auto spawn(const spawn_options& with, F&& f, Args&&... args) {
    return detail::make_fiber(&with, with.site, with.start ? 0 : detail::never, std::forward<F>(f),
                              std::forward<Args>(args)...);
}

/// The fiber becomes ready when `length` is over; a kill before that ends it unstarted.
template <class Rep, class Period, class F>
    requires(detail::fiber_callable<F>)
auto spawn_after(std::chrono::duration<Rep, Period> length, F&& f, source_site site = source_site::current()) {
    return detail::make_fiber(nullptr, site, detail::length_of(length), std::forward<F>(f));
}
template <class Rep, class Period, class F, class A, class... More>
    requires(detail::fiber_callable<F, A, More...>)
auto spawn_after(std::chrono::duration<Rep, Period> length, F&& f, A&& a, More&&... more) {
    return detail::make_fiber(nullptr, source_site(), detail::length_of(length), std::forward<F>(f), std::forward<A>(a),
                              std::forward<More>(more)...);
}

/// The fiber becomes ready at `when`, or at once if that has passed.
template <class Clock, class Duration, class F, class... Args>
    requires(detail::fiber_callable<F, Args...>)
auto spawn_at(std::chrono::time_point<Clock, Duration> when, F&& f, Args&&... args) {
    return detail::make_fiber(nullptr, source_site(), detail::length_until(when), std::forward<F>(f),
                              std::forward<Args>(args)...);
}

/// Lets every other ready greenlet run once. Acquires nothing: a kill that came meanwhile is thrown.
/// Parks:   always; returns at once when nothing else is ready.
/// Cost:    about one and a half plain jumps.
void yield();

namespace detail {
void sleep_by(std::int64_t deadline);
}  // namespace detail

/// Parks for at least `length`. 0 or negative: one turn, as yield; not-a-number is refused with invalid_duration.
template <class Rep, class Period>
void sleep(std::chrono::duration<Rep, Period> length) {
    const std::int64_t ns = detail::length_of(length);
    if (ns == 0) return yield();
    detail::attend();  // makes the hub, whose clock counts
    detail::sleep_by(detail::deadline_in(ns));
}

/// Parks until `when`; a point that has passed: as yield. A clock that can be set back is looked at again; in virtual time
/// what is left of it by the real clock is slept once.
template <class Clock, class Duration>
void sleep_until(std::chrono::time_point<Clock, Duration> when) {
    detail::attend();
    if constexpr (std::is_same_v<Clock, clock> || std::is_same_v<Clock, std::chrono::steady_clock>) {
        detail::sleep_by(detail::deadline_at(when));
    } else {
        // How far the hub's clock is ahead of the real one: it grows in virtual time alone.
        const auto lead = [] {
            return clock::now().time_since_epoch() - std::chrono::steady_clock::now().time_since_epoch();
        };
        const auto before = lead();
        do {
            detail::sleep_by(detail::deadline_at(when));
        } while (Clock::now() < when && lead() - before < std::chrono::milliseconds(1));
    }
}

/// The fiber that runs. On a greenlet that is no fiber these speak of that greenlet.
namespace this_fiber {
inline const greenlet& get() { return greenlet::current(); }
inline std::uint64_t id() { return greenlet::current().id(); }
inline std::string name() { return greenlet::current().name(); }
inline void set_name(std::string_view name) { greenlet::current().set_name(name); }
}  // namespace this_fiber

/// While one lives, kills and timeouts of the fiber that made it are kept back; they are thrown at its first wait after. Every
/// destructor that waits needs one: an exception must not leave it.
class shield {
public:
    shield();
    ~shield();
    shield(const shield&) = delete;
    shield& operator=(const shield&) = delete;

private:
    detail::core* shielded_;
};

/// What ends a join of several early.
struct join_options {
    std::optional<std::chrono::nanoseconds> timeout{};  ///< how long to wait at most
    bool raise_error = false;                           ///< throw the first failure, in the order in which they finish
    std::optional<std::size_t> count{};                 ///< how many to wait for; all unless given
};

namespace detail {
std::size_t join_many(const join_options& with, std::span<const any_fiber> fibers);

template <class Range>
concept range_of_fibers = std::ranges::input_range<Range> &&
    std::derived_from<std::remove_cvref_t<std::ranges::range_reference_t<Range>>, any_fiber>;
}  // namespace detail

/// Waits until all have finished, or as the options say.
/// Parks:   unless they have.
/// Returns: how many of them have finished.
template <std::derived_from<any_fiber>... Fibers>
std::size_t join_all(const join_options& with, const Fibers&... fibers) {
    const std::array<any_fiber, sizeof...(fibers)> all = {fibers...};
    return detail::join_many(with, all);
}
template <std::derived_from<any_fiber> First, std::derived_from<any_fiber>... Fibers>
std::size_t join_all(const First& first, const Fibers&... fibers) {
    return join_all(join_options{}, first, fibers...);
}
template <detail::range_of_fibers Range>
std::size_t join_all(const join_options& with, Range&& fibers) {
    std::vector<any_fiber> all;  // copies: a view's handles may live no longer than its iterator
    for (auto&& f : fibers) all.push_back(f);
    return detail::join_many(with, all);
}
template <detail::range_of_fibers Range>
std::size_t join_all(Range&& fibers) {
    return join_all(join_options{}, fibers);
}

/// How several fibers are killed.
struct kill_options {
    std::optional<std::chrono::nanoseconds> timeout{};  ///< how long to wait for their ends at most
    std::exception_ptr exception{};                     ///< thrown in them; null: greenlet_exit
};

namespace detail {
std::size_t kill_many(const kill_options& with, std::span<const any_fiber> fibers);
}  // namespace detail

/// Asks for the kill of all, in their order, and waits until they have finished. Those that have not started never will. If the
/// caller's own fiber is among them it is killed last, right here (gevent rule 29).
/// Parks:   unless they have finished.
/// Returns: how many of them have finished.
template <std::derived_from<any_fiber>... Fibers>
std::size_t kill_all(const kill_options& with, const Fibers&... fibers) {
    const std::array<any_fiber, sizeof...(fibers)> all = {fibers...};
    return detail::kill_many(with, all);
}
template <std::derived_from<any_fiber> First, std::derived_from<any_fiber>... Fibers>
std::size_t kill_all(const First& first, const Fibers&... fibers) {
    return kill_all(kill_options{}, first, fibers...);
}
template <detail::range_of_fibers Range>
std::size_t kill_all(const kill_options& with, Range&& fibers) {
    std::vector<any_fiber> all;
    for (auto&& f : fibers) all.push_back(f);
    return detail::kill_many(with, all);
}
template <detail::range_of_fibers Range>
std::size_t kill_all(Range&& fibers) {
    return kill_all(kill_options{}, fibers);
}

}  // namespace copse
