/// Virtual time: for tests of everything that waits for time to go by.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>

#include <copse/clock.hpp>
#include <copse/hub.hpp>

namespace copse {

/// While one lives, this thread's hub does not sleep: when no fiber is ready, its clock jumps to the next deadline. An hour
/// of `sleep` takes microseconds, and takes exactly an hour. With a seed, the order in which ready fibers run is drawn from it.
///
///     copse::virtual_time time;
///     copse::sleep(24h);                       // returns at once
///     EXPECT_EQ(time.elapsed(), 24h);
///
/// Begins at the hub's present time; afterwards the hub's clock is the real one again, which has not come as far. So no fiber
/// may wait for a time when one is made (that is refused) or ends. Waits for descriptors that begin meanwhile work: those are
/// looked at before the clock jumps. Owner thread only.
class virtual_time {
public:
    /// Throws:  error if a fiber waits for a time.
    explicit virtual_time(std::optional<std::uint64_t> seed = std::nullopt);
    ~virtual_time();
    virtual_time(const virtual_time&) = delete;
    virtual_time& operator=(const virtual_time&) = delete;

    /// How far the clock has come.
    std::chrono::nanoseconds elapsed() const noexcept;

    /// Moves the clock without letting anybody run: time that a fiber spends computing. It does not move back: a negative
    /// length counts as 0.
    void advance(std::chrono::nanoseconds length) noexcept;

private:
    class driver;
    hub& hub_;
    driver* driver_;  // owned by the hub meanwhile
    std::unique_ptr<idle_driver> before_;
};

}  // namespace copse
