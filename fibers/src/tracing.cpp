#include "tracing.hpp"

namespace copse {

namespace detail {

value trace_arrival(thread_state& state, const greenlet& from, const greenlet& to, value payload,
                    const std::exception_ptr& exception) {
    const trace_function trace = state.trace;  // it may replace itself
    try {
        trace(exception ? trace_event::raised : trace_event::switched, from, to);
    } catch (...) {
        state.trace = nullptr;
        state.settle_gate();
        throw;
    }
    return payload;
}

}  // namespace detail

trace_function set_trace(trace_function trace) {
    detail::thread_state& state = detail::thread_state::here();
    trace_function before = std::exchange(state.trace, std::move(trace));
    state.settle_gate();
    return before;
}

const trace_function& current_trace() { return detail::thread_state::here().trace; }

}  // namespace copse
