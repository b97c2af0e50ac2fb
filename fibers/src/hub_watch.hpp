// What a watchdog knows of one hub: the looks, apart from the thread that takes them.
//
// Invariants:
//   - `look` belongs to one thread at a time; `answer` runs on the hub's thread, in a signal handler.
//   - The handler writes `seen_` only while `answered_ != asked_`, the looks read it only while they are equal.
#pragma once

#include <pthread.h>

#include <array>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <optional>

#include <copse/watchdog.hpp>

namespace copse::detail {

struct hub_core;

/// Before the hub ends: nobody looks at it any more. On its thread.
void end_watch(hub_core& hub) noexcept;

class hub_watch {
public:
    /// On the hub's thread.
    hub_watch(hub_core& hub, std::chrono::nanoseconds limit, int signal) noexcept;
    hub_watch(const hub_watch&) = delete;
    hub_watch& operator=(const hub_watch&) = delete;

    /// Every so often there should be a look.
    std::chrono::nanoseconds period() const noexcept { return period_; }

    /// One look, at `now`. Returns what is to be reported, once for each time that the hub is held too long.
    std::optional<stall_report> look(std::chrono::nanoseconds now);

    /// As if it had never looked. Nobody looks meanwhile, and no answer is awaited.
    void forget() noexcept;

    /// In the signal handler: notes where the thread is. False: nobody has asked.
    bool answer() noexcept;

private:
    struct sight {
        std::uint64_t steps = 0;
        std::uint64_t id = 0;
        std::array<char, 64> name{};
        const char* file = nullptr;
        unsigned line = 0;
        std::size_t depth = 0;
        std::array<void*, 64> frames{};
    };

    void be_well() noexcept;
    bool ask() noexcept;
    bool count(std::chrono::nanoseconds passed, std::chrono::nanoseconds limit) noexcept;
    stall_report describe(bool answered) const;

    hub_core& hub_;
    const pthread_t thread_;
    const std::chrono::nanoseconds limit_;
    const std::chrono::nanoseconds period_;
    const int signal_;

    // of the looks
    std::optional<std::chrono::nanoseconds> last_look_;
    std::uint64_t turns_ = 0;             // of the hub, at the last look
    std::optional<std::uint64_t> steps_;  // at the last look, unless all was well
    std::chrono::nanoseconds held_{};
    bool told_ = false;

    std::atomic<std::uint64_t> asked_{0};
    std::atomic<std::uint64_t> answered_{0};
    sight seen_;
};

}  // namespace copse::detail
