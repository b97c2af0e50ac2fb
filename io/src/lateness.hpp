// Operations whose bytes keep coming never wait, or are woken before their time is seen to be over: what is ready comes first.
#pragma once

#include <copse/io/detail/limit.hpp>

namespace copse::io::detail {

/// To be asked before every attempt. Looks at the clock every 64th time on this thread: with a peer that never pauses an
/// operation, or a row of them with one deadline, ends that much too late at most.
/// Returns: whether the time is over.
bool is_late(limit& within) noexcept;

}  // namespace copse::io::detail
