// Counting references: how handles and control blocks get at each other.
#include <copse/greenlet.hpp>  // first, and outside the guard: it needs the class, and includes this at its end

#ifndef COPSE_DETAIL_GREENLET_ACCESS
#define COPSE_DETAIL_GREENLET_ACCESS

#if __has_include(<sys/single_threaded.h>)
#include <sys/single_threaded.h>
#define COPSE_SINGLE_THREADED __libc_single_threaded
#else
#define COPSE_SINGLE_THREADED false
#endif

#include <copse/detail/core.hpp>

namespace copse::detail {

// While the process has one thread, counting needs no locked instruction (std::shared_ptr knows the same way). A locked one
// waits for every store before it, and those of a fresh block miss the cache: 8 ns of a spawn's 70.

/// Returns: the count before.
inline std::uint32_t count_up(std::atomic<std::uint32_t>& count) noexcept {
    if (!COPSE_SINGLE_THREADED) return count.fetch_add(1, std::memory_order_relaxed);
    const std::uint32_t before = count.load(std::memory_order_relaxed);
    count.store(before + 1, std::memory_order_relaxed);
    return before;
}

/// Returns: the count before.
inline std::uint32_t count_down(std::atomic<std::uint32_t>& count) noexcept {
    if (!COPSE_SINGLE_THREADED) return count.fetch_sub(1, std::memory_order_acq_rel);
    const std::uint32_t before = count.load(std::memory_order_relaxed);
    count.store(before - 1, std::memory_order_relaxed);
    return before;
}

#undef COPSE_SINGLE_THREADED

/// Out of line: the last handle of `gone` was dropped. Ends the block, or kills its greenlet first, or hands it to its owner.
void last_handle_dropped(core& gone) noexcept;

/// Out of line: a handle was made again for a current greenlet that had none.
void first_handle_again(core& back) noexcept;

inline void retain(core& c) noexcept { count_up(c.refs); }

/// Out of line: the same on a thread that does not own the block.
void release_elsewhere(core& c) noexcept;

inline void release(core& c) noexcept {
    if (c.owner != this_thread.state) [[unlikely]]
        return release_elsewhere(c);
    // The only owner needs no locked instruction: here nobody can make another out of nothing, and elsewhere only from a
    // weak one.
    if (c.refs.load(std::memory_order_acquire) == 1 && c.weak.load(std::memory_order_acquire) == 1) {
        c.refs.store(0, std::memory_order_relaxed);
    } else if (count_down(c.refs) != 1) {
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
