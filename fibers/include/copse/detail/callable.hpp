// How a payload becomes the arguments of a greenlet's callable.
#pragma once

#include <functional>
#include <tuple>
#include <type_traits>
#include <utility>

#include <copse/error.hpp>
#include <copse/value.hpp>

namespace copse::detail {

template <class... Params>
struct parameter_list {};

struct unknown_parameters {};  // a template or an overload set: its parameters cannot be told

template <class F>
struct parameters_of_call {
    using type = unknown_parameters;
};
template <class R, class... P>
struct parameters_of_call<R(P...)> {
    using type = parameter_list<P...>;
};
template <class R, class... P>
struct parameters_of_call<R(P...) noexcept> : parameters_of_call<R(P...)> {};
template <class R, class... P>
struct parameters_of_call<R (*)(P...)> : parameters_of_call<R(P...)> {};
template <class R, class... P>
struct parameters_of_call<R (*)(P...) noexcept> : parameters_of_call<R(P...)> {};
template <class R, class C, class... P>
struct parameters_of_call<R (C::*)(P...)> : parameters_of_call<R(P...)> {};
template <class R, class C, class... P>
struct parameters_of_call<R (C::*)(P...) const> : parameters_of_call<R(P...)> {};
template <class R, class C, class... P>
struct parameters_of_call<R (C::*)(P...) noexcept> : parameters_of_call<R(P...)> {};
template <class R, class C, class... P>
struct parameters_of_call<R (C::*)(P...) const noexcept> : parameters_of_call<R(P...)> {};

template <class F>
struct parameters : parameters_of_call<F> {};
template <class F>
    requires requires { &F::operator(); }
struct parameters<F> : parameters_of_call<decltype(&F::operator())> {};

template <class F>
using parameters_t = typename parameters<F>::type;

template <class P>
using payload_of_parameter = std::remove_cv_t<std::remove_reference_t<P>>;

/// Gives one stored object to a parameter: by reference, or moved out.
template <class P, class T>
decltype(auto) pass(T& stored) {
    if constexpr (std::is_lvalue_reference_v<P>) {
        return static_cast<P>(stored);
    } else {
        return std::move(stored);
    }
}

[[noreturn]] void throw_unexpected_payload(const value& first);

/// Calls `f` with what the first switch delivered. A payload that does not fit is bad_value_cast.
template <class F, class... P>
decltype(auto) call_with(F& f, value& first, parameter_list<P...> /*parameters*/) {
    if constexpr (sizeof...(P) == 0) {
        if (first.has_value()) throw_unexpected_payload(first);
        return std::invoke(f);
    } else if constexpr (sizeof...(P) == 1 && (std::is_same_v<payload_of_parameter<P>, value> && ...)) {
        return std::invoke(f, pass<P...>(first));
    } else if constexpr (sizeof...(P) == 1) {
        return std::invoke(f, pass<P>(first.as<payload_of_parameter<P>&>())...);
    } else {
        auto& several = first.as<std::tuple<payload_of_parameter<P>...>&>();
        return std::apply([&f](auto&... each) -> decltype(auto) { return std::invoke(f, pass<P>(each)...); }, several);
    }
}

template <class F>
decltype(auto) call_with(F& f, value& first, unknown_parameters /*parameters*/) {
    if constexpr (std::is_invocable_v<F&, value>) {
        return std::invoke(f, std::move(first));
    } else {
        static_assert(std::is_invocable_v<F&>,
                      "a greenlet runs a callable that takes nothing, a copse::value, or typed parameters "
                      "(a generic callable: nothing or a value)");
        return call_with(f, first, parameter_list<>{});
    }
}

/// The same, with the result as a payload.
template <class F>
value call_for_value(F& f, value&& payload) {
    value first(std::move(payload));  // the argument lives until the call is over, and ends before the callable does
    using result = decltype(call_with(f, first, parameters_t<F>{}));
    if constexpr (std::is_void_v<result>) {
        call_with(f, first, parameters_t<F>{});
        return {};
    } else {
        return value(call_with(f, first, parameters_t<F>{}));
    }
}

template <class F>
bool is_null(const F& f) noexcept {
    if constexpr (!std::is_function_v<F> && requires { f == nullptr; }) {
        return f == nullptr;
    } else {
        return false;
    }
}

}  // namespace copse::detail
