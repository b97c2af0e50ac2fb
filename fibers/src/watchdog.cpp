// The thread that looks at all watched hubs.
//
// Invariants, all under the tower's mutex: a post is in `posts_` only while its hub lives; the thread runs while there are
// posts; `reporting_` is the post whose report is being called, without the mutex.
#include <copse/watchdog.hpp>

#include <algorithm>
#include <cerrno>
#include <condition_variable>
#include <cstdio>
#include <exception>
#include <mutex>
#include <ostream>
#include <stdexcept>
#include <system_error>
#include <thread>

#include "fork.hpp"
#include "hub_core.hpp"
#include "hub_watch.hpp"
#include "signals_kept_out.hpp"
#include "stack_walk.hpp"
#include "stderr_text.hpp"
#include "taken_signal.hpp"

namespace copse {

namespace {

// The handlers of the signals that watchdogs use. Never destroyed: a handler may be late.
struct signal_use {
    std::atomic<const struct sigaction*> before{nullptr};  // null: nobody uses it
    struct sigaction kept {};
    std::unique_ptr<detail::taken_signal> taken;
    unsigned users = 0;
};

signal_use* use_of(int signal) {
    static signal_use* const all = new signal_use[NSIG];
    return signal > 0 && signal < NSIG ? &all[signal] : nullptr;
}

// On the hub's thread; but any thread may be sent the signal by somebody else.
void on_signal(int signal, siginfo_t* info, void* context) {
    const int error_number = errno;
    detail::hub_core* hub = detail::this_thread.hub;
    detail::hub_watch* watch = hub == nullptr ? nullptr : hub->watch.load(std::memory_order_relaxed);
    if (watch == nullptr || !watch->answer()) {
        const struct sigaction* before = use_of(signal)->before.load(std::memory_order_acquire);
        if (before != nullptr) detail::pass_on(*before, signal, info, context);
    }
    errno = error_number;
}

void begin_use(int signal) {
    signal_use* use = use_of(signal);
    if (use == nullptr) throw std::invalid_argument("watchdog: there is no signal " + std::to_string(signal));
    if (use->users == 0) {
        use->taken = std::make_unique<detail::taken_signal>(signal, &on_signal, "watchdog");
        use->kept = use->taken->before();
        use->before.store(&use->kept, std::memory_order_release);
    }
    ++use->users;
}

void end_use(int signal) noexcept {
    signal_use& use = *use_of(signal);
    if (--use.users != 0) return;
    use.before.store(nullptr, std::memory_order_release);
    use.taken.reset();
}

std::chrono::nanoseconds now() noexcept { return std::chrono::steady_clock::now().time_since_epoch(); }

}  // namespace

class watchdog::post {
public:
    post(detail::hub_core& h, watchdog_options with)
        : hub(&h), watch(h, with.limit, with.signal), options(std::move(with)) {}

    void report(const stall_report& stall) const noexcept {
        try {
            if (options.report) return options.report(stall);
            detail::write_to_stderr("copse: watchdog: " + to_string(stall) + '\n');
        } catch (const std::exception& e) {
            std::fprintf(stderr, "copse: watchdog: the report has thrown: %s\n", e.what());
        } catch (...) {
            std::fprintf(stderr, "copse: watchdog: the report has thrown\n");
        }
    }

    detail::hub_core* hub;  // null once it has ended, or is no longer watched
    detail::hub_watch watch;
    const watchdog_options options;

    class tower;
};

class watchdog::post::tower final : detail::fork_watcher {
public:
    static tower& get() {
        static tower& one = *new tower;  // hubs may end after the static objects have
        return one;
    }

    void add(const std::shared_ptr<post>& made) {
        const std::lock_guard lock(mutex_);
        posts_.reserve(posts_.size() + 1);
        begin_use(made->options.signal);
        try {
            if (!thread_.joinable()) begin();
        } catch (...) {
            end_use(made->options.signal);
            throw;
        }
        posts_.push_back(made);
        changed_.notify_all();
    }

    void remove(post& gone) noexcept {
        std::unique_lock lock(mutex_);
        if (gone.hub == nullptr) return;
        std::erase_if(posts_, [&gone](const auto& p) { return p.get() == &gone; });
        changed_.wait(lock, [&] { return reporting_ != &gone; });
        gone.hub->watch.store(nullptr, std::memory_order_relaxed);
        gone.hub = nullptr;
        end_use(gone.options.signal);
        if (!posts_.empty() || !thread_.joinable()) return;
        std::thread ended = std::move(thread_);
        ++shift_;  // that of the thread is over
        changed_.notify_all();
        lock.unlock();
        ended.join();
    }

    void remove_from(const detail::hub_core& ended) noexcept {
        std::shared_ptr<post> found;
        {
            const std::lock_guard lock(mutex_);
            for (const auto& p : posts_) {
                if (p->hub == &ended) found = p;
            }
        }
        if (found != nullptr) remove(*found);
    }

private:
    void before_fork() noexcept override { mutex_.lock(); }
    void after_fork() noexcept override { mutex_.unlock(); }

    // The hub that is left is looked at by a thread of the child's own.
    void in_child() noexcept override {
        detail::give_up(changed_);
        detail::give_up(thread_);
        reporting_ = nullptr;
        for (const auto& p : std::exchange(posts_, {})) {
            if (p->hub != detail::this_thread.hub) {
                end_use(p->options.signal);
                p->hub = nullptr;
            } else {
                p->watch.forget();
                posts_.push_back(p);
            }
        }
        try {
            if (!posts_.empty()) begin();
        } catch (const std::system_error& e) {
            std::fprintf(stderr, "copse: watchdog: after fork there is no thread for it: %s\n", e.what());
        }
    }

    void begin() {
        const detail::signals_kept_out inherited;
        thread_ = std::thread([this, shift = shift_] { look_out(shift); });
    }

    void look_out(std::uint64_t shift) {
        std::unique_lock lock(mutex_);
        while (shift_ == shift) {
            auto period = std::chrono::nanoseconds::max();
            for (const auto& p : posts_) period = std::min(period, p->watch.period());
            if (posts_.empty()) {
                changed_.wait(lock);
            } else {
                changed_.wait_for(lock, period);
            }
            for (std::size_t i = 0; i < posts_.size() && shift_ == shift; ++i) look_at(lock, posts_[i]);
        }
    }

    // Whoever is removed while its report is made waits for that. The others may come and go meanwhile.
    // NOLINTNEXTLINE(performance-unnecessary-value-param): it is held, whoever is removed meanwhile
    void look_at(std::unique_lock<std::mutex>& lock, std::shared_ptr<post> at) {
        const std::optional<stall_report> stall = at->watch.look(now());
        if (!stall) return;
        reporting_ = at.get();
        lock.unlock();
        at->report(*stall);
        lock.lock();
        reporting_ = nullptr;
        changed_.notify_all();
    }

    std::mutex mutex_;
    std::condition_variable changed_;
    std::vector<std::shared_ptr<post>> posts_;
    post* reporting_ = nullptr;
    std::thread thread_;
    std::uint64_t shift_ = 0;
    detail::fork_registration at_forks_{*this};
};

struct detail::watchdog_access {
    static void end(hub_core& hub) noexcept { watchdog::post::tower::get().remove_from(hub); }
};

watchdog::watchdog(watchdog_options with) {
    if (with.limit <= std::chrono::nanoseconds::zero())
        throw std::invalid_argument("watchdog: the limit must be longer than nothing");
    detail::hub_core& hub = detail::hub_core::here();
    if (hub.watch.load(std::memory_order_relaxed) != nullptr)
        throw concurrent_use("watchdog: this thread's hub is watched already");
    void* room[1];
    detail::walk_stack(room);  // what the first walk must look up is not looked up in a signal handler
    post_ = std::make_shared<post>(hub, std::move(with));
    hub.watch.store(&post_->watch, std::memory_order_relaxed);
    try {
        post::tower::get().add(post_);
    } catch (...) {
        hub.watch.store(nullptr, std::memory_order_relaxed);
        throw;
    }
}

watchdog::~watchdog() { post::tower::get().remove(*post_); }

void detail::end_watch(hub_core& hub) noexcept {
    if (hub.watch.load(std::memory_order_relaxed) != nullptr) watchdog_access::end(hub);
}

std::string to_string(const stall_report& stall) {
    const std::string held =
        std::to_string(std::chrono::duration_cast<std::chrono::milliseconds>(stall.held).count()) + " ms";
    if (!stall.answered) {
        return "the hub of main #" + std::to_string(stall.hub_id) + " has taken no turn for " + held +
               ", and its thread does not answer the signal";
    }
    const char* kind = stall.spawned_at.empty() ? "greenlet #" : "fiber #";
    std::string text = kind + std::to_string(stall.id);
    if (!stall.name.empty()) text += " \"" + stall.name + '"';
    text += " has held the hub for " + held;
    if (!stall.spawned_at.empty()) text += ", spawned at " + stall.spawned_at;
    detail::address_names names;
    for (void* address : stall.backtrace) text += "\n  at " + names.of(address);
    return text;
}

std::ostream& operator<<(std::ostream& out, const stall_report& stall) { return out << to_string(stall); }

}  // namespace copse
