#include "signal_bell.hpp"

#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/eventfd.h>

#include <bit>
#include <cerrno>
#include <mutex>
#include <stdexcept>
#include <string>

#include <copse/detail/wait.hpp>
#include <copse/error.hpp>
#include <copse/io/wait.hpp>

#include "failure.hpp"
#include "reactor.hpp"
#include "signal_name.hpp"
#include "system_calls.hpp"

namespace copse::io::detail {

namespace {

constexpr std::uint64_t bit_of(int signal) noexcept { return std::uint64_t{1} << (signal - 1); }

/// The handler returns to the instruction that failed, which fails again.
constexpr bool is_own_fault(int signal) noexcept {
    return signal == SIGSEGV || signal == SIGBUS || signal == SIGFPE || signal == SIGILL;
}

[[noreturn]] void refuse(int signal, const char* why) {
    throw std::invalid_argument("signal_listener: " + signal_name(signal) + why);
}

std::uint64_t bits_of(std::span<const int> signals) {
    std::uint64_t bits = 0;
    for (const int signal : signals) {
        if (signal < 1 || signal >= NSIG) refuse(signal, ": there is none of that number");
        if (is_own_fault(signal)) refuse(signal, " tells of a fault of the thread itself, which cannot go on");
        bits |= bit_of(signal);
    }
    if (bits == 0) throw std::invalid_argument("signal_listener: of no signals");
    return bits;
}

template <class F>
void for_each_signal(std::uint64_t bits, F f) {
    for (; bits != 0; bits &= bits - 1) f(std::countr_zero(bits) + 1);
}

}  // namespace

// All bells of the process. Never ends: a handler may run in the last moments of a program.
struct signal_post {
    std::mutex mutex;                          // for all but handlers
    std::atomic<signal_bell*> first{nullptr};  // and on through next_
    std::atomic<unsigned> inside{0};           // handlers that are walking the list
    std::atomic<unsigned> forks{0};            // from the first bell's process to this one
    unsigned takers[NSIG]{};                   // bells a signal
    struct sigaction before[NSIG] {};          // of signals that have takers

    void add(signal_bell& bell);
    void remove(signal_bell& bell) noexcept;
    void take(int signal);
    void give_back(int signal) noexcept;
    void give_back_all() noexcept;
    void watch_forks();
    static void answer(int signal, siginfo_t* info, void* context);
    static bool is_ours(const struct sigaction& action) noexcept {
        return action.sa_sigaction == &answer;  // whatever the flags: signal(2) puts it back without SA_SIGINFO
    }
};

namespace {
constinit signal_post post;
}  // namespace

void signal_post::answer(int signal, siginfo_t* /*info*/, void* /*context*/) {
    const int error_number = errno;
    post.inside.fetch_add(1);
    for (signal_bell* bell = post.first.load(); bell != nullptr; bell = bell->next_.load()) bell->ring(signal);
    post.inside.fetch_sub(1);
    errno = error_number;
}

void signal_post::take(int signal) {
    if (takers[signal] == 0) {
        struct sigaction ours {};
        ours.sa_sigaction = &answer;
        ours.sa_flags = SA_SIGINFO | SA_ONSTACK | SA_RESTART;
        sigfillset(&ours.sa_mask);  // one handler at a time on a thread: walks stay short
        struct sigaction found {};
        if (::sigaction(signal, &ours, &found) != 0) refuse(signal, " cannot be handled");
        if (!is_ours(found)) before[signal] = found;  // else somebody put us back who had taken over from us
    }
    ++takers[signal];
}

void signal_post::give_back(int signal) noexcept {
    if (--takers[signal] != 0) return;
    struct sigaction now {};
    if (::sigaction(signal, nullptr, &now) == 0 && is_ours(now)) ::sigaction(signal, &before[signal], nullptr);
}

void signal_post::add(signal_bell& bell) {
    watch_forks();
    const std::lock_guard held(mutex);
    bell.next_.store(first.load());
    first.store(&bell);
    std::uint64_t taken = 0;
    try {
        for_each_signal(bell.wanted_, [&](int signal) {
            take(signal);
            taken |= bit_of(signal);
        });
    } catch (...) {
        for_each_signal(taken, [this](int signal) { give_back(signal); });
        first.store(bell.next_.load());
        while (inside.load() != 0) ::sched_yield();
        throw;
    }
}

void signal_post::remove(signal_bell& bell) noexcept {
    const std::lock_guard held(mutex);
    if (bell.forks_ != forks.load()) return;
    for_each_signal(bell.wanted_, [this](int signal) { give_back(signal); });
    std::atomic<signal_bell*>* at = &first;
    while (at->load() != &bell) at = &at->load()->next_;
    at->store(bell.next_.load());
    while (inside.load() != 0) ::sched_yield();  // handlers are short, and never wait for us
}

// In the child: nobody is there to hear, and what handled the signals before had better do so again.
void signal_post::give_back_all() noexcept {
    first.store(nullptr);
    inside.store(0);  // they were on threads that are not here
    forks.fetch_add(1);
    for (int signal = 1; signal < NSIG; ++signal) {
        if (takers[signal] == 0) continue;
        takers[signal] = 1;
        give_back(signal);
    }
}

void signal_post::watch_forks() {
    static const int failed = ::pthread_atfork([] { post.mutex.lock(); }, [] { post.mutex.unlock(); },
                                               [] {
                                                   post.give_back_all();
                                                   post.mutex.unlock();
                                               });
    if (failed != 0) fail(failed, "pthread_atfork");
}

signal_bell::signal_bell(std::span<const int> signals)
    : wanted_(bits_of(signals)), forks_(post.forks.load()), fd_(sys.eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
    if (fd_ < 0) fail(errno, "eventfd for signals");
    try {
        post.add(*this);
    } catch (...) {
        sys.close(fd_);
        throw;
    }
}

signal_bell::~signal_bell() {
    silence();
    notify_closing(fd_);
    sys.close(fd_);
}

void signal_bell::silence() noexcept {
    if (silent_.exchange(true)) return;
    post.remove(*this);
    if (forks_ == post.forks.load()) wake();  // else the eventfd is the parent's too
}

// In a handler.
void signal_bell::ring(int signal) noexcept {
    if ((wanted_ & bit_of(signal)) == 0) return;
    come_.fetch_or(bit_of(signal));
    wake();
}

void signal_bell::wake() noexcept {
    const std::uint64_t one = 1;
    [[maybe_unused]] const ssize_t written = sys.write(fd_, &one, sizeof one);
}

void signal_bell::drain() noexcept {
    std::uint64_t count = 0;
    [[maybe_unused]] const ssize_t got = sys.read(fd_, &count, sizeof count);
}

std::optional<int> signal_bell::take() noexcept {
    const std::uint64_t come = come_.load();
    if (come == 0) return std::nullopt;
    const int signal = std::countr_zero(come) + 1;  // only we clear bits: it still is set
    come_.fetch_and(~bit_of(signal));
    return signal;
}

std::optional<int> signal_bell::wait(limit& within) {
    for (;;) {
        copse::detail::attend();
        if (const std::optional<int> signal = take()) return signal;
        if (silent_.load()) return std::nullopt;
        if (!reactor::here().await_by_number(fd_, direction::in, within, sharing::one, "wait for a signal"))
            return take();
        drain();
    }
}

void signal_bell::must_be_here() const {
    if (forks_ == post.forks.load()) return;
    throw left_in_parent("signal_listener: made in the parent process, it hears nothing here");
}

}  // namespace copse::io::detail
