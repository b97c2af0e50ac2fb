// Operations whose bytes keep coming never wait, or are woken before their time is seen to be over: what is ready comes first.
#pragma once

#include <copse/io/detail/limit.hpp>

namespace copse::io::detail {

/// To be asked before every attempt. Looks at the clock now and then: with a peer that never pauses an operation, or a row of
/// them with one deadline, ends some dozens of attempts too late. What was asked for with hardly any time, to take what is
/// there, is not late.
/// Returns: whether the time has been over for a while.
bool is_late(limit& within) noexcept;

}  // namespace copse::io::detail
