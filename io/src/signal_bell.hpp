// From a signal's handler to a fiber: bits that the handler sets, and an eventfd that it writes to.
//
// Invariants:
//   - A handler walks the list of bells without a lock, perhaps in the middle of a change by its own thread: each change is one
//     store. A bell that left the list is ended only after all handlers that may have seen it are through.
//   - A bit is set before the eventfd is written to, and the eventfd is read before bits are taken: nothing is missed.
#pragma once

#include <atomic>
#include <cstdint>
#include <optional>
#include <span>

#include <copse/io/detail/limit.hpp>

namespace copse::io::detail {

class signal_bell {
public:
    /// Throws: see signal_listener.
    explicit signal_bell(std::span<const int> signals);
    ~signal_bell();
    signal_bell(const signal_bell&) = delete;
    signal_bell& operator=(const signal_bell&) = delete;

    /// Waits for a signal. Empty at the deadline, or once it is silenced.
    std::optional<int> wait(limit& within);

    /// The lowest that has come.
    std::optional<int> take() noexcept;

    /// Takes it off its signals, and wakes who waits. Any thread; more than once does no harm.
    void silence() noexcept;

    /// Throws left_in_parent where it is deaf.
    void must_be_here() const;

private:
    friend struct signal_post;

    void ring(int signal) noexcept;
    void wake() noexcept;
    void drain() noexcept;

    const std::uint64_t wanted_;  // a bit a signal; bit 0 is signal 1
    const unsigned forks_;
    std::atomic<std::uint64_t> come_{0};
    std::atomic<bool> silent_{false};
    std::atomic<signal_bell*> next_{nullptr};
    int fd_ = -1;
};

}  // namespace copse::io::detail
