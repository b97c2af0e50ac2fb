// The overflow report. Everything from `on_fault` down runs in a signal handler on the alternate stack: it reads, formats into
// an array and writes once. What handled the signal before is kept in `previous`, written before our handler can run.

#include "overflow_report.hpp"

#include "stack_pool.hpp"

#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>
#include <ucontext.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <charconv>
#include <cstddef>
#include <cstring>

namespace copse::detail {

namespace {

constexpr std::array<int, 2> signals{SIGSEGV, SIGBUS};
constinit std::array<struct sigaction, signals.size()> previous{};
constinit std::atomic<describe_owner> describer{nullptr};
constinit std::atomic<bool> installed{false};

/// A line of text of bounded length; what does not fit is cut off.
class report_line {
public:
    report_line& operator<<(std::string_view text) noexcept {
        const std::size_t length = std::min(text.size(), text_.size() - length_);
        std::copy_n(text.data(), length, text_.data() + length_);
        length_ += length;
        return *this;
    }

    report_line& operator<<(std::uint64_t number) noexcept {
        std::array<char, 20> digits;
        const auto end = std::to_chars(digits.data(), digits.data() + digits.size(), number).ptr;
        return *this << std::string_view(digits.data(), static_cast<std::size_t>(end - digits.data()));
    }

    /// Text from outside: bounded, and without what a terminal would obey.
    report_line& quote(std::string_view text) noexcept {
        for (const char c : text.substr(0, 120))
            *this << (static_cast<unsigned char>(c) < 0x20 || c == 0x7f ? "?" : std::string_view(&c, 1));
        return *this;
    }

    void write_to(int descriptor) const noexcept { static_cast<void>(!::write(descriptor, text_.data(), length_)); }

private:
    std::array<char, 512> text_;
    std::size_t length_ = 0;
};

/// Where the fault's stack pointer was, null if this architecture's context is not known here.
const std::byte* interrupted_stack([[maybe_unused]] const void* context) noexcept {
#if defined(__x86_64__)
    return reinterpret_cast<const std::byte*>(static_cast<const ucontext_t*>(context)->uc_mcontext.gregs[REG_RSP]);
#elif defined(__aarch64__)
    return reinterpret_cast<const std::byte*>(static_cast<const ucontext_t*>(context)->uc_mcontext.sp);
#else
    return nullptr;
#endif
}

/// A guard zone is hit by its own stack growing down, or by a stray pointer from anywhere.
bool touched_from_elsewhere(const stack_slot& slot, const std::byte* stack) noexcept {
    return stack != nullptr && (stack < slot.limit - slot.slab->guard || stack >= slot.limit + slot.slab->usable);
}

void report_overflow(const stack_slot& slot, const void* context) noexcept {
    const describe_owner describe = describer.load(std::memory_order_acquire);
    const owner_description owner = describe != nullptr ? describe(slot.owner) : owner_description{};
    report_line line;
    line << "copse: stack overflow in greenlet '";
    line.quote(owner.name) << "' (#" << owner.id << "), stack " << stack_pool::size(slot) << " bytes, high-water "
                           << stack_pool::high_water(slot) << " bytes";
    if (owner.file != nullptr) (line << ", spawned at ").quote(owner.file) << ":" << std::uint64_t{owner.line};
    if (touched_from_elsewhere(slot, interrupted_stack(context))) line << ", touched from another stack";
    (line << "\n").write_to(STDERR_FILENO);
}

struct sigaction& previous_of(int signal) noexcept {
    return previous[signal == SIGSEGV ? 0 : 1];
}

/// After this the instruction that faulted, executed again, meets whoever handled the signal before.
void step_aside(int signal) noexcept { ::sigaction(signal, &previous_of(signal), nullptr); }

/// A signal sent by kill() or raise() does not come again by itself.
bool sent_by_hand(const siginfo_t& info) noexcept { return info.si_code <= 0; }

void pass_on(int signal, siginfo_t* info, void* context) noexcept {
    const struct sigaction& action = previous_of(signal);
    if ((action.sa_flags & SA_SIGINFO) != 0) return action.sa_sigaction(signal, info, context);
    if (action.sa_handler == SIG_IGN && sent_by_hand(*info)) return;
    if (action.sa_handler != SIG_DFL && action.sa_handler != SIG_IGN) return action.sa_handler(signal);
    step_aside(signal);
    if (sent_by_hand(*info)) ::raise(signal);
}

void on_fault(int signal, siginfo_t* info, void* context) noexcept {
    const stack_slot* slot = sent_by_hand(*info) ? nullptr : find_guard(info->si_addr);
    if (slot == nullptr) return pass_on(signal, info, context);
    report_overflow(*slot, context);
    step_aside(signal);
}

/// The handler inherits mask and nesting of the one it stands before, so that calling that one is like its being called.
void install_before(int signal) noexcept {
    struct sigaction& before = previous_of(signal);
    if (::sigaction(signal, nullptr, &before) != 0) return;
    struct sigaction ours = before;
    ours.sa_sigaction = on_fault;
    ours.sa_flags = SA_SIGINFO | SA_ONSTACK | (before.sa_flags & SA_NODEFER);
    ::sigaction(signal, &ours, nullptr);
}

/// This thread's alternate signal stack, if it had none. A page below it stays unreadable.
class alternate_stack {
public:
    constexpr alternate_stack() noexcept = default;
    alternate_stack(const alternate_stack&) = delete;
    alternate_stack& operator=(const alternate_stack&) = delete;

    ~alternate_stack() {
        if (memory_ == nullptr) return;
        stack_t current{};
        const bool ours = ::sigaltstack(nullptr, &current) == 0 && current.ss_sp == memory_ + guard_;
        const stack_t off{.ss_sp = nullptr, .ss_flags = SS_DISABLE, .ss_size = 0};
        if (ours && ::sigaltstack(&off, nullptr) != 0) return;  // a handler runs on it: better leaked than pulled away
        ::munmap(memory_, guard_ + size_);
    }

    void provide() noexcept {
        stack_t current{};
        if (memory_ != nullptr || ::sigaltstack(nullptr, &current) != 0 || (current.ss_flags & SS_DISABLE) == 0) return;
        guard_ = static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
        size_ = size_to_use();
        void* memory =
            ::mmap(nullptr, guard_ + size_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        if (memory == MAP_FAILED) return;
        memory_ = static_cast<std::byte*>(memory);
        ::mprotect(memory_, guard_, PROT_NONE);
        const stack_t on{.ss_sp = memory_ + guard_, .ss_flags = 0, .ss_size = size_};
        ::sigaltstack(&on, nullptr);
    }

private:
    /// Room for the handlers we call on it too, and for the vector registers that the kernel saves there.
    static std::size_t size_to_use() noexcept {
        constexpr std::size_t comfortable = std::size_t{64} * 1024;
        const long least = ::sysconf(_SC_SIGSTKSZ);
        const auto page = static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
        const std::size_t wanted = std::max(comfortable, least > 0 ? static_cast<std::size_t>(least) : 0);
        return (wanted + page - 1) / page * page;
    }

    std::byte* memory_ = nullptr;
    std::size_t guard_ = 0;
    std::size_t size_ = 0;
};

constinit thread_local alternate_stack this_threads_stack;

}  // namespace

void set_describe_owner(describe_owner describe) noexcept { describer.store(describe, std::memory_order_release); }

void install_overflow_report() noexcept {
    if (installed.exchange(true)) return;
    for (const int signal : signals) install_before(signal);
}

void prepare_thread_for_overflow_report() noexcept { this_threads_stack.provide(); }

}  // namespace copse::detail
