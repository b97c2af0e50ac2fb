// The event loop of another library, run by this thread's hub: its descriptor is watched by our epoll, and it has its
// turns in the hub's greenlet, where posted functions run. So its callbacks must not block, and what they throw goes to
// the error handler.
#pragma once

#include <memory>

namespace copse::io::detail {

class guest_loop {
public:
    struct hooks {
        /// Does what there is to do, for a while, without waiting. In the hub. True: there is more.
        bool (*turn)(void* of);
        /// Before the hub sleeps or looks at its descriptors. True: there is nothing to do, and from now on what comes
        /// makes the descriptor readable. False: it wants a turn.
        bool (*rest)(void* of) noexcept;
        /// Something is outstanding: while it is, nothing is a deadlock.
        bool (*busy)(const void* of) noexcept;
    };

    /// `fd` is readable when there is something to do: an edge is told once, and a turn looks until there is nothing left.
    /// Throws:  std::system_error; std::bad_alloc; thread_exited.
    guest_loop(int fd, void* of, hooks its);
    guest_loop(const guest_loop&) = delete;
    guest_loop& operator=(const guest_loop&) = delete;
    /// From here on no hook is called. On its thread.
    ~guest_loop();

private:
    struct lodger;
    std::shared_ptr<lodger> lodger_;
};

}  // namespace copse::io::detail
