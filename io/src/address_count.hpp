// How many connections there are from each address, of which one client can have as many as it likes only if it counts as
// one: an IPv4 address, or the network of an IPv6 one. This machine itself is not counted.
#pragma once

#include <array>
#include <cstddef>
#include <map>
#include <optional>
#include <utility>

#include <copse/io/endpoint.hpp>

namespace copse::io::detail {

class address_count {
    // As IPv6 has it: an IPv4 address is the same whichever kind of socket it came through. Ordered, so that no peer can
    // choose collisions.
    using address = std::array<unsigned char, 16>;
    using counts = std::map<address, std::size_t>;

public:
    /// Counts as one as long as it lives, which is shorter than its address_count does.
    class place {
    public:
        place() noexcept = default;
        place(counts& in, counts::iterator at) noexcept : in_(&in), at_(at) { ++at_->second; }
        place(place&& other) noexcept : in_(std::exchange(other.in_, nullptr)), at_(other.at_) {}
        place& operator=(place&&) = delete;
        ~place() {
            if (in_ != nullptr && --at_->second == 0) in_->erase(at_);
        }

    private:
        counts* in_ = nullptr;  // null: was not counted
        counts::iterator at_;
    };

    /// At most `most` from one; 0: nothing is counted.
    explicit address_count(std::size_t most) noexcept : most_(most) {}

    /// Empty if there are `most` already. Loopback addresses, and what has none, are not counted.
    std::optional<place> enter(const endpoint& peer);

private:
    static std::optional<address> address_of(const endpoint& peer) noexcept;

    const std::size_t most_;
    counts counts_;
};

}  // namespace copse::io::detail
