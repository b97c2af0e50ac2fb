// The sending half of what writes messages, or buffers what it writes.
#pragma once

#include <optional>
#include <span>

#include <copse/clock.hpp>
#include <copse/io/any_stream.hpp>

namespace copse::io::detail {

/// Sends all, or never again: once a call ended in its middle the peer has nobody knows how much of it, and what came after
/// would be taken for the rest.
class outlet {
public:
    /// Throws:  as any_stream::send_all; state_not_recoverable after a call that has thrown. What is pending when it is called
    ///          is thrown before anything is sent, and breaks nothing; no more does what copse itself refuses.
    void send_all(const any_stream& to, std::span<const const_buffer> pieces, std::optional<clock::time_point> until,
                  const char* operation);

    bool is_broken() const noexcept { return broken_; }

private:
    bool broken_ = false;
};

}  // namespace copse::io::detail
