/// Nurseries: fibers that do not outlive the scope that they were spawned in.
#pragma once

#include <cstddef>
#include <exception>
#include <functional>
#include <memory>
#include <optional>
#include <stdexcept>
#include <type_traits>
#include <utility>
#include <vector>

#include <copse/detail/spawn_forms.hpp>
#include <copse/fiber_set.hpp>

namespace copse {

/// Several fibers of a nursery failed, or its body and one of them. Thrown by with_nursery.
class nursery_error : public std::runtime_error {
public:
    /// Throws:  std::bad_alloc.
    explicit nursery_error(std::vector<std::exception_ptr> failures);
    nursery_error(const nursery_error&) noexcept = default;
    nursery_error& operator=(const nursery_error&) noexcept = default;
    ~nursery_error() override;

    /// In the order in which they happened.
    const std::vector<std::exception_ptr>& failures() const noexcept { return *failures_; }

private:
    std::shared_ptr<const std::vector<std::exception_ptr>> failures_;
};

/// Where the body of with_nursery spawns. Children may spawn siblings through it. Exists only inside that call; owner
/// thread only.
class nursery final : fiber_set, public detail::spawn_forms<nursery> {
public:
    /// `spawn(f, args...)`, `spawn(spawn_options, f, args...)`: as copse::spawn; the fiber is a child. Its failure is observed
    /// here (decision 5).
    /// Throws:  nursery_closed once its children are being ended.
    using detail::spawn_forms<nursery>::spawn;

    using fiber_set::contains;
    using fiber_set::empty;
    using fiber_set::members;
    using fiber_set::size;

    /// Asks the children to end and takes no more; the body goes on. For when what was looked for is found.
    void cancel() noexcept;
    /// The children are being ended.
    bool closing() const noexcept { return closing_; }

private:
    friend class detail::spawn_forms<nursery>;
    template <class F>
    friend auto with_nursery(F&& body);

    nursery();
    ~nursery();

    template <class F, class... Args>
    auto spawn_as(const spawn_options* with, source_site site, F&& f, Args&&... args) {
        require_open();
        new_member room = make_child();
        auto made = detail::make_fiber(with, site, 0, std::forward<F>(f), std::forward<Args>(args)...);
        enter_child(std::move(room), detail::fiber_access::block(made, "spawn"));
        return made;
    }

    template <class Body>
    void run(Body&& body) {
        try {
            body();
            leave_body();
            while (!empty()) wait_empty(joiners_, detail::never);  // not only the first moment of emptiness
        } catch (...) {
            unwind();
            throw;
        }
        raise_failures();
    }

    void require_open() const;
    new_member make_child();
    void enter_child(new_member room, detail::fiber_core& f) noexcept;
    void ended(detail::fiber_core& f) noexcept override;
    void leave_body() noexcept;
    void unwind();
    void raise_failures();

    detail::core& parent_;
    detail::interrupt into_body_;
    std::exception_ptr into_body_error_;  // the same, to know it by
    std::vector<std::exception_ptr> failures_;
    bool in_body_ = true;
    bool closing_ = false;
};

/// Calls `body(nursery&)`, then waits until every child has ended. So no child outlives the call, and may refer to
/// everything that the body may.
///
///     copse::with_nursery([&](copse::nursery& n) {
///         n.spawn(copy, std::ref(client), std::ref(server));
///         n.spawn(copy, std::ref(server), std::ref(client));
///     });
///
/// - The first failure (of a child, or of the body) kills the other children, and the body at its wait; the call throws it
///   when all have ended. If there are several failures, it throws nursery_error.
/// - A kill or timeout of the caller kills the children, waits for them, shielded, and goes on as itself; failures of
///   children are then told to the error handler.
/// - A child that is killed by others is no failure.
///
/// This is a function and no scope, because it throws when it is left, which destructors must not.
/// Parks:   while there are children.
/// Returns: what the body returns.
/// Throws:  as above; would_block_forever (in main), after the children were ended.
template <class F>
auto with_nursery(F&& body) {
    using result = std::decay_t<std::invoke_result_t<F, nursery&>>;
    nursery n;
    if constexpr (std::is_void_v<result>) {
        n.run([&] { std::invoke(std::forward<F>(body), n); });
    } else {
        std::optional<result> r;
        n.run([&] { r.emplace(std::invoke(std::forward<F>(body), n)); });
        return std::move(*r);
    }
}

}  // namespace copse
