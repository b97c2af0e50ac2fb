/// Groups: fibers that are joined or killed together.
#pragma once

#include <utility>

#include <copse/detail/spawn_forms.hpp>
#include <copse/fiber_set.hpp>

namespace copse {

/// A set of fibers that they leave when they finish.
///
///     copse::group sessions;
///     sessions.spawn(serve, connection);
///     ...
///     if (!sessions.join_for(10s)) sessions.kill();
///
/// Members that live longer than the group go on untracked (gevent): what must not outlive its scope belongs in a nursery.
/// A failure of a member is told as that of any fiber (decision 5), unless `join({.raise_error = true})` asks for it.
///
/// Owner thread only. Ending it while fibers wait for it aborts with a message.
class group final : public fiber_set, public detail::spawn_forms<group> {
public:
    group() noexcept : fiber_set("group") {}

    /// `spawn(f, args...)`, `spawn(spawn_options, f, args...)`: as copse::spawn; the fiber is a member.
    using detail::spawn_forms<group>::spawn;

    /// Makes it a member. One that is already, or has finished: nothing.
    void add(const any_fiber& f);

private:
    friend class detail::spawn_forms<group>;

    template <class F, class... Args>
    auto spawn_as(const spawn_options* with, source_site site, F&& f, Args&&... args) {
        new_member room = make_member();
        auto made = detail::make_fiber(with, site, 0, std::forward<F>(f), std::forward<Args>(args)...);
        enter(std::move(room), detail::fiber_access::block(made, "spawn"));
        return made;
    }
};

}  // namespace copse
