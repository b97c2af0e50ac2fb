// Counting references: how handles and control blocks get at each other.
#include <copse/greenlet.hpp>  // first, and outside the guard: it needs the class, and includes this at its end

#ifndef COPSE_DETAIL_GREENLET_ACCESS
#define COPSE_DETAIL_GREENLET_ACCESS

#include <copse/detail/core.hpp>

namespace copse::detail {

/// Out of line: the last handle of `gone` was dropped. Ends the block, or kills its greenlet first, or hands it to its owner.
void last_handle_dropped(core& gone) noexcept;

/// Out of line: a handle was made again for a current greenlet that had none.
void first_handle_again(core& back) noexcept;

inline void retain(core& c) noexcept { c.refs.fetch_add(1, std::memory_order_relaxed); }

/// Out of line: the same on a thread that does not own the block.
void release_elsewhere(core& c) noexcept;

inline void release(core& c) noexcept {
    if (c.owner != this_thread.state) [[unlikely]]
        return release_elsewhere(c);
    // The only owner needs no locked instruction: here nobody can make another out of nothing, and elsewhere only from a weak one.
    if (c.refs.load(std::memory_order_acquire) == 1 && c.weak.load(std::memory_order_acquire) == 1) {
        c.refs.store(0, std::memory_order_relaxed);
    } else if (c.refs.fetch_sub(1, std::memory_order_acq_rel) != 1) {
        return;
    }
    last_handle_dropped(c);
}

struct handle_access {
    static core& of(const greenlet& g) noexcept { return *g.core_; }

    /// A handle that takes over a reference that is counted already.
    static greenlet adopt(core& c) noexcept {
        greenlet g;
        g.core_ = &c;
        return g;
    }

    static greenlet share(core& c) noexcept {
        retain(c);
        return adopt(c);
    }

    /// Takes the reference out of a handle.
    static core* detach(greenlet& g) noexcept { return std::exchange(g.core_, &nobody); }

    /// A view is not counted.
    static void set_view(greenlet& g, core* c) noexcept { g.core_ = c; }
};

}  // namespace copse::detail

#endif
