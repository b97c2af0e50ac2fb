#include "last_line.hpp"

#include <string_view>
#include <utility>

#include <unistd.h>

namespace copse::detail {

namespace {

thread_local const last_line* last_of_this_thread = nullptr;
thread_local const char* said_before = nullptr;

void put(std::string_view text) noexcept {
    [[maybe_unused]] const auto written = ::write(STDERR_FILENO, text.data(), text.size());
}

}  // namespace

last_line::last_line(std::string beginning, const choices* told) noexcept
    : beginning_(std::move(beginning)), told_(told) {
    last_of_this_thread = this;
    struct sigaction act {};
    act.sa_sigaction = [](int signal, siginfo_t* what, void* /*context*/) { on_signal(signal, *what); };
    act.sa_flags = SA_ONSTACK | SA_SIGINFO;
    for (std::size_t i = 0; i < signals.size(); ++i) ::sigaction(signals[i], &act, &before_[i]);
}

last_line::~last_line() {
    last_of_this_thread = nullptr;
    restore();
}

void last_line::restore() const noexcept {
    for (std::size_t i = 0; i < signals.size(); ++i) ::sigaction(signals[i], &before_[i], nullptr);
}

// A fault happens again when this returns; what somebody sent, also abort(), is sent once more: then it is handled as before.
void last_line::on_signal(int signal, const siginfo_t& what) noexcept {
    if (last_of_this_thread == nullptr) {
        ::signal(signal, SIG_DFL);  // another thread: what handled it before is not known here
        return;
    }
    last_of_this_thread->write();
    last_of_this_thread->restore();
    if (what.si_code <= 0) ::raise(signal);
}

void last_line::say(const char* why) noexcept { said_before = why; }

void last_line::write() const noexcept {
    if (said_before != nullptr) put(said_before);
    put(beginning_);
    if (told_ != nullptr) told_->print([](std::string_view part) { put(part); });
    put("\n");
}

}  // namespace copse::detail
