/// A greenlet whose payload types are fixed, so that a mismatch does not compile.
#pragma once

#include <exception>
#include <optional>
#include <tuple>
#include <type_traits>
#include <utility>

#include <copse/detail/callable.hpp>
#include <copse/greenlet.hpp>

namespace copse {

template <class Signature>
class typed_greenlet;

/// `typed_greenlet<Out(In...)>`: every switch into it carries the In..., every switch out of it to its parent an Out.
/// The body gets the In... of the first switch, and a function that sends an Out to the parent and returns the In... of the
/// next switch (nothing, the one, or a tuple). A body that never ends may be void; if it ends all the same, that is an
/// error in the parent.
///
///     copse::typed_greenlet<int(int)> doubler([](auto send, int n) { for (;;) n = send(2 * n); });
///     int eight = doubler.switch_to(4);
///
/// It is a greenlet like any other: `underlying()` has the rest. Who switches to its parent by hand from inside gives up the
/// guarantee: what then arrives with another type is bad_value_cast.
template <class Out, class... In>
class typed_greenlet<Out(In...)> {
public:
    typed_greenlet() noexcept = default;

    /// Throws:  as greenlet's constructor.
    template <class F>
        requires(!std::is_same_v<std::decay_t<F>, typed_greenlet>)
    explicit typed_greenlet(F&& body)
        : greenlet_([body = not_null(std::decay_t<F>(std::forward<F>(body)))](value first) mutable -> value {
              return unpack(std::move(first), [&body](In... in) -> value {
                  if constexpr (std::is_void_v<decltype(body(send{}, std::forward<In>(in)...))>) {
                      body(send{}, std::forward<In>(in)...);
                      if constexpr (!std::is_void_v<Out>)
                          throw error("typed_greenlet: its body ended without a result");
                      return {};
                  } else {
                      return value(Out(body(send{}, std::forward<In>(in)...)));
                  }
              });
          }) {}

    /// Returns: what it sends next, or its result.
    /// Throws:  what escapes from it; error if it is dead already: where greenlet::switch_to would go has other types; the
    ///          rest as greenlet::switch_to.
    Out switch_to(In... in) const {
        if (greenlet_.dead()) throw error("typed_greenlet: it has ended");
        value out = greenlet_.switch_to(std::forward<In>(in)...);
        if constexpr (!std::is_void_v<Out>) return std::move(out).template as<Out>();
    }

    /// Enters it by throwing there, without an argument greenlet_exit.
    /// Returns: what it sends next, or its result; empty if greenlet_exit ended it. For a void Out: nothing.
    template <class... E>
    auto raise(E&&... exception) const {
        value out = greenlet_.raise(std::forward<E>(exception)...);
        if constexpr (!std::is_void_v<Out>) {
            if (greenlet_.dead() && out.template holds<std::exception_ptr>()) return std::optional<Out>();
            return std::optional<Out>(std::move(out).template as<Out>());
        }
    }

    bool dead() const { return greenlet_.dead(); }
    bool active() const { return greenlet_.active(); }
    const greenlet& underlying() const noexcept { return greenlet_; }

private:
    template <class F>
    static F not_null(F body) {
        if (detail::is_null(body)) throw null_callable("typed_greenlet: the body is null");
        return body;
    }

    template <class F>
    static value unpack(value packed, F use) {
        if constexpr (sizeof...(In) == 0) {
            return use();
        } else if constexpr (sizeof...(In) == 1) {
            return use(std::move(packed).as<std::decay_t<In>...>());
        } else {
            return std::apply(use, std::move(packed).as<std::tuple<std::decay_t<In>...>>());
        }
    }

    struct send {
        template <class... O>
        auto operator()(O&&... out) const {
            static_assert(std::is_constructible_v<value, Out> || std::is_void_v<Out>);
            value in;
            if constexpr (std::is_void_v<Out>) {
                in = greenlet::current().parent().switch_to();
            } else {
                in = greenlet::current().parent().switch_to(Out(std::forward<O>(out)...));
            }
            if constexpr (sizeof...(In) == 1) {
                return std::move(in).as<std::decay_t<In>...>();
            } else if constexpr (sizeof...(In) > 1) {
                return std::move(in).as<std::tuple<std::decay_t<In>...>>();
            }
        }
    };

    greenlet greenlet_;
};

}  // namespace copse
