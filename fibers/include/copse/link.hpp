/// Links: what is called when a fiber has finished.
#pragma once

#include <cstdint>
#include <memory>

#include <copse/detail/fiber_core.hpp>

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
    friend class any_fiber;
    explicit fiber_link(std::shared_ptr<detail::link_state> state) noexcept : state_(std::move(state)) {}

    std::shared_ptr<detail::link_state> state_;
};

}  // namespace copse
