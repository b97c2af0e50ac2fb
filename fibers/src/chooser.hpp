// Who chooses which ready greenlet goes next, when it is not simply the first.
#pragma once

#include <cstddef>
#include <cstdint>
#include <random>

#include <copse/detail/core.hpp>

namespace copse::detail {

/// Asked by the hub in its turn, with every dispatch a turn of its own. Must not park, switch or throw; may make greenlets
/// ready.
class chooser {
public:
    chooser(const chooser&) = delete;
    chooser& operator=(const chooser&) = delete;

    /// Returns: which of so many, more than one, counted from 0: ready greenlets in the order in which they came, or cases
    /// of a select.
    virtual std::size_t pick(std::size_t of) noexcept = 0;

    /// Before somebody is picked, and before the hub sleeps: the moment to interfere with who is parked.
    virtual void interfere() noexcept {}

    /// `next` stands first in the ready queue, and is taken from there next.
    virtual void chosen(ready_node& /*next*/) noexcept {}

    /// Nothing can make a greenlet ready any more.
    /// Returns: whether it made one ready; else main is told.
    virtual bool stuck() noexcept { return false; }

protected:
    chooser() noexcept = default;
    ~chooser() = default;
};

/// Draws from a seed, each equally likely.
class seeded_chooser final : public chooser {
public:
    explicit seeded_chooser(std::uint64_t seed) noexcept
        : dice_(static_cast<std::minstd_rand::result_type>(seed % 2147483646 + 1)) {}

    std::size_t pick(std::size_t of) noexcept override {
        return std::uniform_int_distribution<std::size_t>(0, of - 1)(dice_);
    }

private:
    std::minstd_rand dice_;
};

}  // namespace copse::detail
