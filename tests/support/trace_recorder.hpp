#pragma once

/// Writes every switch of this thread into an event log, as long as it lives: "switched:main>a raised:a>main".

#include "event_log.hpp"

#include <copse/trace.hpp>

#include <string>
#include <utility>

namespace copse_test {

inline std::string label(const copse::greenlet& g) { return g.is_main() ? "main" : g.name(); }

class trace_recorder {
public:
    explicit trace_recorder(event_log& log)
        : before_(copse::set_trace(
              [&log](copse::trace_event event, const copse::greenlet& from, const copse::greenlet& to) {
                  log(event == copse::trace_event::switched ? "switched:" : "raised:", label(from), ">", label(to));
              })) {}
    trace_recorder(const trace_recorder&) = delete;
    trace_recorder& operator=(const trace_recorder&) = delete;
    ~trace_recorder() { copse::set_trace(std::move(before_)); }

private:
    copse::trace_function before_;
};

}  // namespace copse_test
