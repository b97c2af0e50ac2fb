/// Links: what is called when a fiber has finished.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <type_traits>
#include <utility>

#include <copse/detail/callable.hpp>
#include <copse/detail/fiber_access.hpp>
#include <copse/detail/fiber_core.hpp>
#include <copse/source_site.hpp>

namespace copse {

namespace detail {

/// Which ends a link is for.
enum class link_when : std::uint8_t { any_end, success, failure };

/// Where a link is called.
enum class link_where : std::uint8_t { own_fiber, hub };

/// A link, until it has been called or unlinked. The fiber holds it; a `fiber_link` may.
class link_state : public observer, public std::enable_shared_from_this<link_state> {
public:
    link_state(link_when ends, link_where place, source_site site) noexcept
        : observer(&link_state::told), ends_(ends), place_(place), site_(site) {
        sees_failures = ends != link_when::success;
    }
    link_state(const link_state&) = delete;
    link_state& operator=(const link_state&) = delete;
    virtual ~link_state() = default;

    /// Hangs it on the fiber; on one that has finished it is called as soon as the others have had their turn.
    void attach(fiber_core& f);
    void detach() noexcept;
    bool waits() const noexcept { return of_ != nullptr; }
    bool belongs_here() const noexcept { return owner_ == nullptr || owner_ == this_thread.state; }

private:
    static void told(observer& o) noexcept;
    bool wants(const fiber_core& finished) const noexcept;
    void deliver(fiber_core& finished);
    virtual void call(fiber_core& finished) = 0;

    fiber_core* of_ = nullptr;  // alive while it is observed
    thread_state* owner_ = nullptr;
    std::shared_ptr<link_state> held_;  // by itself, while it hangs on the fiber
    link_when ends_;
    link_where place_;
    bool off_ = false;
    source_site site_;
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

template <class Handle>
class link_forms;

}  // namespace detail

/// A handle on a link, to take it back by. Dropping it leaves the link in place.
class fiber_link {
public:
    /// An empty handle.
    constexpr fiber_link() noexcept = default;

    /// It will not be called any more, also if its fiber has finished already and its turn has not come (gevent rule 37).
    /// Again, or through an empty handle: nothing.
    /// Throws:  wrong_thread.
    void unlink() const;

    /// The fiber has not finished, and nobody has unlinked it.
    bool linked() const noexcept { return state_ != nullptr && state_->waits(); }

private:
    template <class Handle>
    friend class detail::link_forms;
    explicit fiber_link(std::shared_ptr<detail::link_state> state) noexcept : state_(std::move(state)) {}

    std::shared_ptr<detail::link_state> state_;
};

namespace detail {

/// The ways to link, for a `Handle` that is any_fiber or derived from it: links are called with a Handle.
template <class Handle>
class link_forms {
public:
    /// Calls `f` in a fiber of its own when this one has finished, with the handle or without an argument. Links and
    /// joiners are served in the order in which they came (gevent rules 33, 35); on a finished fiber the call comes with
    /// the next turn, never inside (rule 36). What `f` throws goes to the error handler. Dropping the fiber_link does not
    /// unlink. A link that may see a failure counts as observing it (decision 5).
    /// Throws:  null_callable; std::bad_alloc.
    template <class F>
    fiber_link link(F f, source_site site = source_site::current()) const {
        return attach("link", link_when::any_end, link_where::own_fiber, std::move(f), site);
    }
    /// Only if it has a value.
    template <class F>
    fiber_link link_value(F f, source_site site = source_site::current()) const {
        return attach("link_value", link_when::success, link_where::own_fiber, std::move(f), site);
    }
    /// Only if it has none: it failed, or was killed.
    template <class F>
    fiber_link link_exception(F f, source_site site = source_site::current()) const {
        return attach("link_exception", link_when::failure, link_where::own_fiber, std::move(f), site);
    }
    /// In the hub, whatever the end: cheaper, and must not park: what tries gets blocking_in_hub (rule 34).
    template <class F>
    fiber_link link_raw(F f) const {
        return attach("link_raw", link_when::any_end, link_where::hub, std::move(f), source_site());
    }

private:
    friend Handle;
    link_forms() = default;
    ~link_forms() = default;

    template <class F>
    fiber_link attach(const char* operation, link_when when, link_where where, F f, source_site site) const {
        static_assert(std::is_invocable_v<F&, const Handle&> || std::is_invocable_v<F&>,
                      "a link is called with the fiber's handle, or without an argument");
        if (is_null(f)) throw_null_callable(operation);
        fiber_core& observed = fiber_access::block(static_cast<const Handle&>(*this), operation);
        auto state = std::make_shared<link_block<Handle, F>>(std::move(f), when, where, site);
        state->attach(observed);
        return fiber_link(std::move(state));
    }
};

}  // namespace detail

}  // namespace copse
