// Waiting for several things at once.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <optional>

#include <copse/detail/wait.hpp>

namespace copse::detail {

/// The one who may ask a thing to be watched: `bool watch(observer&)` links the observer, or says that it is ready now.
struct watch_access {
    template <class T>
    static auto watch(T& object, observer& o) -> decltype(object.watch(o)) {
        return object.watch(o);
    }
};

/// Watches things, and gives their numbers in the order in which they become ready, each once. What becomes ready while nobody
/// waits is kept. The things have to stay until it ends.
class lookout {
public:
    /// `kind` is what a dump shows.
    explicit lookout(const char* kind) : kind_(kind) {}
    lookout(const lookout&) = delete;
    lookout& operator=(const lookout&) = delete;
    ~lookout();

    template <class T>
    void add(T& object) {
        sentry& s = sentries_.emplace_back(*this, sentries_.size());
        ++watched_;
        try {
            if (watch_access::watch(object, s)) tell(s);
        } catch (...) {
            --watched_;
            throw;
        }
    }

    /// Watched and not given yet.
    std::size_t left() const noexcept { return watched_; }

    /// Parks:   unless one is ready.
    /// Returns: its number, counted from 0 as they were added; empty at the deadline, or if none is left.
    std::optional<std::size_t> next(std::int64_t deadline = never);

private:
    struct sentry : observer {
        sentry(lookout& l, std::size_t n) noexcept : observer(&lookout::tell), of(l), number(n) {}
        lookout& of;
        std::size_t number;
    };

    static void tell(observer& o) noexcept;

    const char* kind_;
    std::deque<sentry> sentries_;  // stay where they are
    std::size_t watched_ = 0;
    ring<sentry> ready_;
    wait* parked_ = nullptr;
};

}  // namespace copse::detail
