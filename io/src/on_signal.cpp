#include <copse/io/on_signal.hpp>

#include <atomic>
#include <new>
#include <optional>

#include <copse/fiber.hpp>

#include "signal_bell.hpp"
#include "signal_name.hpp"

namespace copse::io {

// Shared by the handle, the fiber that waits, and the calls.
struct detail::signal_watch {
    signal_watch(std::span<const int> signals, std::function<void(int)> f) : bell(signals), call(std::move(f)) {}

    signal_bell bell;
    const std::function<void(int)> call;
    std::atomic<bool> cancelled{false};

    void call_unless_cancelled(int signal) const {
        if (!cancelled) call(signal);
    }
};

namespace {

using shared_watch = std::shared_ptr<detail::signal_watch>;

void call_in_fiber(const shared_watch& watch, int signal) {
    try {
        spawn(spawn_options{.name = "on " + detail::signal_name(signal)},
              [watch, signal] { watch->call_unless_cancelled(signal); });
    } catch (const std::bad_alloc&) {
        watch->call_unless_cancelled(signal);  // better late signals than lost ones
    }
}

void answer_signals(const shared_watch& watch) {
    detail::limit never;
    while (const std::optional<int> signal = watch->bell.wait(never)) call_in_fiber(watch, *signal);
}

}  // namespace

void signal_handle::cancel() noexcept {
    const shared_watch watch = std::move(watch_);
    if (watch == nullptr) return;
    watch->cancelled = true;
    watch->bell.silence();
}

signal_handle handle_signals(std::span<const int> signals, std::function<void(int)> f) {
    signal_handle handle;
    handle.watch_ = std::make_shared<detail::signal_watch>(signals, std::move(f));
    spawn(spawn_options{.name = "on_signal"}, [watch = handle.watch_] { answer_signals(watch); });
    return handle;
}

}  // namespace copse::io
