/// Greenlets: stackful coroutines that are switched to by hand.
///
/// Unless a line says otherwise a function does not park, is called on the thread that created the greenlet (else it throws
/// `wrong_thread`), throws `empty_handle` through an empty handle, changes nothing when it throws, and keeps no reference
/// to its arguments. Rule numbers are those of tests/conformance/README.md.
#pragma once

#include <cstddef>
#include <cstdint>
#include <exception>
#include <functional>
#include <iosfwd>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include <copse/error.hpp>
#include <copse/value.hpp>

namespace copse {

namespace detail {
struct core;
struct handle_access;
}  // namespace detail

class weak_greenlet;
struct greenlet_options;

/// A shared handle on a greenlet.
///
/// A greenlet is *unstarted*, *current*, *suspended* or *dead*. It is switched to; when it dies its parent continues with its
/// result. It belongs to the thread that created it for ever. Dropping the last handle of a suspended greenlet throws
/// `greenlet_exit` inside it, so that its destructors run, before the drop returns (rules 41, 42); from another thread
/// the drop is handed to the owner (rule 54).
///
///     copse::greenlet gr1, gr2;
///     gr1 = copse::greenlet([&] { puts("12"); gr2.switch_to(); puts("34"); gr2.switch_to(); });
///     gr2 = copse::greenlet([&] { puts("56"); gr1.switch_to(); puts("78"); });
///     gr1.switch_to();                                   // 12 56 34 78
///
/// Copying, comparing and dropping handles, and `dead()`, are safe on every thread; the rest is for the owner.
class greenlet {
public:
    using options = greenlet_options;

    /// An empty handle.
    constexpr greenlet() noexcept;

    /// A greenlet that will call `run` on its own stack when it is first switched to. Its parent is the current greenlet.
    /// `run` takes nothing, or a `value`, or parameters that the first switch must match exactly (a mismatch is
    /// `bad_value_cast`, thrown in the parent). What it returns is delivered to the parent.
    /// Throws:  null_callable; std::bad_alloc; whatever moving `run` throws.
    /// Cost:    one block of memory; no stack before the first switch.
    template <class F>
        requires(!std::is_base_of_v<greenlet, std::decay_t<F>> && std::is_object_v<std::decay_t<F>>)
    explicit greenlet(F&& run);

    /// The same with another parent (an empty handle: the current greenlet, rule 7).
    /// Throws:  wrong_thread if `parent` belongs to another thread.
    template <class F>
    greenlet(F&& run, const greenlet& parent);

    /// The same with a name, a stack size in bytes, a parent.
    template <class F>
    greenlet(const options& with, F&& run);

    greenlet(const greenlet& other) noexcept;
    greenlet(greenlet&& other) noexcept;
    greenlet& operator=(const greenlet& other) noexcept;
    greenlet& operator=(greenlet&& other) noexcept;
    ~greenlet();

    /// Suspends the current greenlet and continues this one. No argument delivers an empty `value`, one argument itself,
    /// several a `std::tuple` of them; string literals travel as `std::string`. An unstarted greenlet gets them as the
    /// arguments of its `run`. A dead one forwards to its nearest living ancestor (rule 17).
    /// Returns: what the next switch to the current greenlet delivers, whoever makes it (rule 14).
    /// Throws:  what is raised into the current greenlet meanwhile; wrong_thread, thread_exited; not_switchable if the
    ///          greenlet is parked in the hub; std::system_error if the first switch cannot get a stack.
    /// Cost:    without arguments a few nanoseconds, inlined.
    template <class... Args>
    value switch_to(Args&&... args) const;

    /// Enters the greenlet by throwing there: any exception object, or what a std::exception_ptr holds. An unstarted one
    /// dies without running. What dies of it goes to its parent (rules 29 to 36).
    /// Returns: like switch_to.
    /// Throws:  like switch_to; std::invalid_argument for a null exception_ptr.
    template <class E>
    value raise(E&& exception) const;

    /// Throws `greenlet_exit` there, which ends it quietly: the parent gets a `value` that holds its std::exception_ptr.
    value raise() const;

    /// The greenlet that runs. Each thread has a main greenlet from the start (rule 1).
    /// Throws:  thread_exited while the thread's last destructors run, its greenlets being gone.
    static const greenlet& current();

    /// This thread's main greenlet: the one whose stack is the thread's own.
    static const greenlet& main();

    /// Where results and exceptions go at death. Empty for a main greenlet (rule 2).
    const greenlet& parent() const;

    /// Throws:  empty_handle for an empty `parent`; parent_of_main; parent_cycle; wrong_thread.
    /// Cost:    walks the new parent's ancestors.
    void set_parent(const greenlet& parent) const;

    /// Has been entered, or died before it could be. Stays true.
    bool started() const;
    /// Started and not dead.
    bool active() const;
    /// Finished. Any thread may ask; every greenlet of a thread that has exited is dead (rule 56).
    bool dead() const;
    bool is_main() const;

    /// Names are for messages; they need not be unique. Empty unless set. Owner thread only, both of them.
    std::string name() const;
    void set_name(std::string_view name) const;

    /// Unique in the process, never used again.
    std::uint64_t id() const;

    /// Bytes of its stack that have been touched so far, rounded up to pages; 0 unless active, and for main.
    /// Cost:    a system call.
    std::size_t stack_usage() const;

    /// Return addresses of a suspended or the current greenlet, innermost first; empty for others.
    /// Cost:    enters the greenlet for a moment: it walks its own stack, which needs about 4 KiB of it.
    std::vector<void*> backtrace() const;

    bool empty() const noexcept;
    explicit operator bool() const noexcept { return !empty(); }

    /// Identity.
    friend bool operator==(const greenlet& a, const greenlet& b) noexcept { return a.core_ == b.core_; }

    void swap(greenlet& other) noexcept { std::swap(core_, other.core_); }

private:
    friend struct detail::handle_access;

    value switch_slowly(value payload) const;
    value raise_ptr(std::exception_ptr exception) const;

    detail::core* core_;
};

/// How to make a greenlet; designated initialisers read well: `{.name = "parser", .stack_size = 64 * 1024}`.
struct greenlet_options {
    std::string name{};          ///< for messages
    std::size_t stack_size = 0;  ///< bytes that can be used, rounded up; 0: `default_stack_size`
    greenlet parent{};           ///< empty: the current greenlet
};

/// Observes a greenlet without keeping it.
/// Safe on every thread.
class weak_greenlet {
public:
    constexpr weak_greenlet() noexcept = default;
    explicit weak_greenlet(const greenlet& observed) noexcept;
    weak_greenlet(const weak_greenlet& other) noexcept;
    weak_greenlet(weak_greenlet&& other) noexcept : core_(std::exchange(other.core_, nullptr)) {}
    weak_greenlet& operator=(weak_greenlet other) noexcept {
        std::swap(core_, other.core_);
        return *this;
    }
    ~weak_greenlet();

    /// No handle is left.
    bool expired() const noexcept;

    /// A handle, or an empty one.
    greenlet lock() const noexcept;

private:
    detail::core* core_ = nullptr;
};

/// For people: `<greenlet #7 "parser" suspended active started>`. The words are those of rule 5. Never throws for the state.
std::string to_string(const greenlet& g);
std::ostream& operator<<(std::ostream& out, const greenlet& g);

/// Receives what has nowhere else to go: an exception that escapes from a kill, a greenlet that survived one, a throwing
/// trace function, a failed callback. The greenlet is the one concerned; it may be empty.
using error_handler = std::function<void(std::exception_ptr, const greenlet&)>;

/// Sets this thread's error handler; an empty function restores the default, which prints to stderr.
/// Returns: the one before; empty if it was the default.
error_handler set_error_handler(error_handler handler);

}  // namespace copse

template <>
struct std::hash<copse::greenlet> {
    std::size_t operator()(const copse::greenlet& g) const noexcept;
};

#include <copse/detail/greenlet_inline.hpp>
