/// A value of its own for every greenlet.
#pragma once

#include <functional>
#include <memory>
#include <type_traits>
#include <utility>

#include <copse/detail/greenlet_data.hpp>

namespace copse {

/// Every greenlet (fiber, main, or made by hand) has its own T. It is made by the greenlet's first `get`, and ends with
/// the greenlet.
///
///     static copse::local<std::vector<std::byte>> scratch;
///     scratch->resize(4096);  // the current greenlet's
///
/// A greenlet's values end when its callable has been destroyed, on its own stack and thread, the last made first, before
/// those who join it are told. Their destructors may park, and may use other locals: what is made then ends as well. Those
/// of main end with its thread, after every other greenlet of the thread.
///
/// The object itself may be static, and may be used by greenlets of every thread. It may end before them: their values then
/// live on, out of reach, until their greenlet ends (or needs the room).
/// Cost:    a `get` that finds the value about a nanosecond and a half.
template <class T>
class local {
    static_assert(std::is_object_v<T> && !std::is_const_v<T>, "local<T>: T is an object type without const");

public:
    /// Values are made by T().
    local() requires(std::is_default_constructible_v<T>) = default;

    /// Values are made by `factory`, in the greenlet concerned. It may park.
    explicit local(std::function<T()> factory) : factory_(std::move(factory)) {}

    local(const local&) = delete;
    local& operator=(const local&) = delete;

    /// The current greenlet's value. The reference is good until the value ends.
    /// Throws:  what making it throws: there is none then, and the next call tries again; std::bad_alloc; null_callable if
    ///          the factory is empty and T has no default.
    T& get() {
        if (detail::local_value* found = detail::find_local(key_)) [[likely]]
            return static_cast<node*>(found)->value;
        return make();
    }
    T& operator*() { return get(); }
    T* operator->() { return &get(); }

    /// The same without making it.
    /// Returns: null if this greenlet has none.
    T* find() noexcept {
        detail::local_value* found = detail::find_local(key_);
        return found == nullptr ? nullptr : &static_cast<node*>(found)->value;
    }

    /// Ends the current greenlet's value; the next `get` makes another.
    void reset() noexcept { detail::drop_local(key_); }

private:
    struct node final : detail::local_value {
        template <class Make>
        explicit node(Make make) : local_value(&destroy), value(make()) {}
        static void destroy(local_value& gone) noexcept { delete static_cast<node*>(&gone); }
        T value;
    };

    T first_value() {
        if constexpr (std::is_default_constructible_v<T>) {
            return factory_ ? factory_() : T();
        } else {
            if (!factory_) detail::throw_null_callable("local");
            return factory_();
        }
    }

    [[gnu::noinline]] T& make() {
        std::unique_ptr<detail::local_value, void (*)(detail::local_value*)> made(
            new node([this] { return first_value(); }), [](detail::local_value* gone) { gone->drop(*gone); });
        T& value = static_cast<node&>(*made).value;
        // What made it may have asked for it: then that one counts.
        if (detail::local_value* found = detail::find_local(key_)) return static_cast<node*>(found)->value;
        detail::add_local(key_, std::move(made));
        return value;
    }

    detail::data_key key_;
    std::function<T()> factory_;
};

}  // namespace copse
