// The handler must not do more than an async-signal-safe function may: it counts and posts a semaphore.
//
// Invariant: a rope is made before its handler can run, and never ends: a handler that is late finds something to post.
#include <copse/dump_on_signal.hpp>

#include <semaphore.h>

#include <atomic>
#include <cerrno>
#include <string>
#include <thread>

#include "dump.hpp"
#include "fork.hpp"
#include "hub_core.hpp"
#include "hub_list.hpp"
#include "signals_kept_out.hpp"
#include "stderr_text.hpp"
#include "taken_signal.hpp"

namespace copse {

namespace {

// One a signal: none is ever destroyed, so that a handler that is late finds something to post.
struct bell_rope {
    sem_t rung;
    std::atomic<bool> in_use{false};
};

bell_rope* all_ropes() {
    auto* ropes = new bell_rope[NSIG];
    for (int i = 0; i < NSIG; ++i) ::sem_init(&ropes[i].rung, 0, 0);
    return ropes;
}

bell_rope* rope_of(int signal) noexcept {
    static bell_rope* const ropes = all_ropes();
    return signal > 0 && signal < NSIG ? &ropes[signal] : nullptr;
}

void ring(int signal, siginfo_t* /*info*/, void* /*context*/) {
    const int error_number = errno;
    if (bell_rope* rope = rope_of(signal)) ::sem_post(&rope->rung);
    errno = error_number;
}

// What is shared with functions that are posted and may run when the bell has gone.
using shared_options = std::shared_ptr<const dump_on_signal_options>;

void dump_here(const dump_on_signal_options& with) {
    const std::string text = "copse: fibers of process " + std::to_string(::getpid()) + '\n' +
                             detail::describe_fibers(detail::hub_core::here(), with.show);
    if (with.report) {
        with.report(text);
    } else {
        detail::write_to_stderr(text);
    }
}

void post_to_all(const shared_options& with) {
    detail::for_each_hub(
        [](detail::hub_core& hub, void* options) {
            hub.post_from_anywhere([held = *static_cast<const shared_options*>(options)] { dump_here(*held); });
        },
        const_cast<shared_options*>(&with));
}

bell_rope& take_rope(int signal) {
    bell_rope* rope = rope_of(signal);
    if (rope == nullptr) throw std::invalid_argument("dump_on_signal: there is no signal " + std::to_string(signal));
    if (rope->in_use.exchange(true))
        throw concurrent_use("dump_on_signal: another one answers signal " + std::to_string(signal));
    while (::sem_trywait(&rope->rung) == 0) {  // rung after the one before had ended
    }
    return *rope;
}

}  // namespace

class dump_on_signal::bell final : detail::fork_watcher {
public:
    explicit bell(dump_on_signal_options with)
        : with_(std::make_shared<const dump_on_signal_options>(std::move(with))), rope_(take_rope(with_->signal)) {
        try {
            taken_ = std::make_unique<detail::taken_signal>(with_->signal, &ring, "dump_on_signal");
            begin();
        } catch (...) {
            taken_.reset();
            rope_.in_use = false;
            throw;
        }
    }
    bell(const bell&) = delete;
    bell& operator=(const bell&) = delete;

    ~bell() {
        taken_.reset();
        ended_.store(true, std::memory_order_release);
        ::sem_post(&rope_.rung);
        if (listener_.joinable()) listener_.join();
        rope_.in_use = false;
    }

private:
    void begin() {
        const detail::signals_kept_out inherited;
        listener_ = std::thread([this] { listen(); });
    }

    // Somebody else listens in the child.
    void in_child() noexcept override {
        detail::give_up(listener_);
        ::sem_init(&rope_.rung, 0, 0);
        try {
            begin();
        } catch (const std::system_error&) {
            detail::write_to_stderr("copse: dump_on_signal: after fork there is no thread for it\n");
        }
    }

    void listen() noexcept {
        for (;;) {
            while (::sem_wait(&rope_.rung) != 0) {  // EINTR: a debugger
            }
            if (ended_.load(std::memory_order_acquire)) return;
            while (::sem_trywait(&rope_.rung) == 0) {  // rung more than once: one dump answers them
            }
            if (ended_.load(std::memory_order_acquire)) return;
            try {
                post_to_all(with_);
            } catch (...) {
                detail::write_to_stderr("copse: no memory for a dump of the fibers\n");
            }
        }
    }

    const shared_options with_;
    bell_rope& rope_;
    std::unique_ptr<detail::taken_signal> taken_;
    std::atomic<bool> ended_{false};
    std::thread listener_;
    detail::fork_registration at_forks_{*this};
};

dump_on_signal::dump_on_signal(dump_on_signal_options with) : bell_(std::make_unique<bell>(std::move(with))) {}

dump_on_signal::~dump_on_signal() = default;

}  // namespace copse
