/// Watching switches: a function called after each of them, for profilers and tests of switching order.
#pragma once

#include <functional>

#include <copse/greenlet.hpp>

namespace copse {

enum class trace_event {
    switched,  ///< a value arrives
    raised,    ///< an exception arrives
};

/// Called in the greenlet that was entered, with who was left and who was entered (rule 60). It may switch (rule 63). When it
/// throws, tracing ends and what it threw takes the place of what was arriving (rule 62).
using trace_function = std::function<void(trace_event, const greenlet& from, const greenlet& to)>;

/// Sets this thread's trace function; an empty one ends tracing. Switches of the hub between
/// fibers are not traced: they deliver nothing.
/// Returns: the one before.
/// Cost:    while tracing, every switch takes the long way; off, nothing.
trace_function set_trace(trace_function trace);

/// This thread's trace function; empty when there is none.
const trace_function& current_trace();

}  // namespace copse
