/// A look at a running program: kill -QUIT shows what its fibers do.
#pragma once

#include <csignal>
#include <functional>
#include <memory>
#include <string_view>

#include <copse/hub.hpp>

namespace copse {

struct dump_on_signal_options {
    int signal = SIGQUIT;
    dump_options show{.backtraces = true};
    /// Receives the text of each hub, in that hub (posted functions must not block), so on the hub's thread. Empty: it is
    /// written to stderr, at once for each hub.
    std::function<void(std::string_view)> report{};
};

/// While one lives, the signal makes every hub of the process dump its fibers at its next turn: also one that is asleep,
/// which is woken. A hub that a fiber holds does not come to a turn: that is what `watchdog` is for. Opt-in.
///
/// The signal's handler only rings a bell; a thread of ours, which takes no signals, posts to the hubs. Signals that come
/// while that is going on may be answered by one dump. What handled the signal before is put back at the end, unless
/// somebody has taken the signal over meanwhile.
///
///     int main() {
///         const copse::dump_on_signal on_quit;     // kill -QUIT <pid>
///         serve();
///     }
///
/// May be made and ended on any thread, not in a signal handler. Its end does not wait for hubs that have yet to dump:
/// `report` may be called after it.
class dump_on_signal {
public:
    /// Throws:  std::invalid_argument if the signal cannot be handled; concurrent_use if one for this signal lives already.
    dump_on_signal() : dump_on_signal(dump_on_signal_options()) {}
    explicit dump_on_signal(dump_on_signal_options with);
    ~dump_on_signal();
    dump_on_signal(const dump_on_signal&) = delete;
    dump_on_signal& operator=(const dump_on_signal&) = delete;

private:
    class bell;
    std::unique_ptr<bell> bell_;
};

}  // namespace copse
