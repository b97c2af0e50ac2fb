// The fibers that a server runs handlers in, and their end.
#pragma once

#include <chrono>
#include <list>
#include <vector>

#include <copse/clock.hpp>
#include <copse/fiber.hpp>

namespace copse::io::detail {

inline constexpr std::chrono::seconds grace(1);  // for the clean-up of handlers that were killed

/// The handlers that run, but not the caller if it is one of them: nobody can wait for himself.
std::vector<any_fiber> others(const std::list<any_fiber>& running);

/// Whether all ended in time.
bool join_by(const std::vector<any_fiber>& fibers, clock::time_point deadline);

/// Kills them, and waits for their clean-up.
void end_handlers(const std::vector<any_fiber>& handlers);

/// Counts who is in some function.
class presence {
public:
    explicit presence(unsigned& count) noexcept : count_(++count) {}
    presence(const presence&) = delete;
    presence& operator=(const presence&) = delete;
    ~presence() { --count_; }

private:
    unsigned& count_;
};

}  // namespace copse::io::detail
