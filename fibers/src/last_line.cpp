#include "last_line.hpp"

#include <string_view>
#include <utility>

#include <unistd.h>

namespace copse::detail {

namespace {

thread_local const last_line* last_of_this_thread = nullptr;

void put(std::string_view text) noexcept {
    [[maybe_unused]] const auto written = ::write(STDERR_FILENO, text.data(), text.size());
}

}  // namespace

last_line::last_line(std::string beginning, const choices* told) noexcept
    : beginning_(std::move(beginning)), told_(told) {
    last_of_this_thread = this;
    struct sigaction act {};
    act.sa_handler = [](int signal) { on_abort(signal); };
    act.sa_flags = SA_ONSTACK;
    ::sigaction(SIGABRT, &act, &before_);
}

last_line::~last_line() {
    last_of_this_thread = nullptr;
    ::sigaction(SIGABRT, &before_, nullptr);
}

// abort() raises the signal once more, for what handled it before, when this returns.
void last_line::on_abort(int /*signal*/) noexcept {
    if (last_of_this_thread == nullptr) return;
    last_of_this_thread->write();
    ::sigaction(SIGABRT, &last_of_this_thread->before_, nullptr);
    ::raise(SIGABRT);
}

void last_line::write() const noexcept {
    put(beginning_);
    if (told_ != nullptr) told_->print([](std::string_view part) { put(part); });
    put("\n");
}

}  // namespace copse::detail
