// The ways to write `x.spawn(...)`: those of copse::spawn.
#pragma once

#include <utility>

#include <copse/fiber.hpp>

namespace copse::detail {

/// `Owner` has `spawn_as(const spawn_options*, source_site, f, args...)`, which says what it does and throws, and befriends
/// this.
template <class Owner>
class spawn_forms {
public:
    template <class F>
        requires(fiber_callable<F>)
    auto spawn(F&& f, source_site site = source_site::current()) {
        return owner().spawn_as(nullptr, site, std::forward<F>(f));
    }
    template <class F, class A>
        requires(fiber_callable<F, A>)
    auto spawn(F&& f, A&& a, source_site site = source_site::current()) {
        return owner().spawn_as(nullptr, site, std::forward<F>(f), std::forward<A>(a));
    }
    template <class F, class A, class B>
        requires(fiber_callable<F, A, B>)
    auto spawn(F&& f, A&& a, B&& b, source_site site = source_site::current()) {
        return owner().spawn_as(nullptr, site, std::forward<F>(f), std::forward<A>(a), std::forward<B>(b));
    }
    template <class F, class A, class B, class C, class... More>
        requires(fiber_callable<F, A, B, C, More...>)
    auto spawn(F&& f, A&& a, B&& b, C&& c, More&&... more) {
        return owner().spawn_as(nullptr, source_site(), std::forward<F>(f), std::forward<A>(a), std::forward<B>(b),
                                std::forward<C>(c), std::forward<More>(more)...);
    }
    template <class F, class... Args>
        requires(fiber_callable<F, Args...>)
    auto spawn(const spawn_options& with, F&& f, Args&&... args) {
        return owner().spawn_as(&with, with.site, std::forward<F>(f), std::forward<Args>(args)...);
    }

private:
    friend Owner;
    spawn_forms() = default;
    ~spawn_forms() = default;
    Owner& owner() noexcept { return static_cast<Owner&>(*this); }
};

}  // namespace copse::detail
