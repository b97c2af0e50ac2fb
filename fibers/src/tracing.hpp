// Telling the trace function.
#pragma once

#include "thread_state.hpp"

namespace copse::detail {

/// Calls the trace function for a switch that has just arrived. What it throws ends tracing and is thrown in place of the
/// payload. Returns the payload.
value trace_arrival(thread_state& state, const greenlet& from, const greenlet& to, value payload,
                    const std::exception_ptr& exception);

}  // namespace copse::detail
