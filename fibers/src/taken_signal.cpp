#include "taken_signal.hpp"

#include <stdexcept>
#include <string>

namespace copse::detail {

taken_signal::taken_signal(int signal, handler handle, const char* who) : signal_(signal), handle_(handle) {
    struct sigaction ours {};
    ours.sa_sigaction = handle;
    ours.sa_flags = SA_SIGINFO | SA_ONSTACK | SA_RESTART;
    sigemptyset(&ours.sa_mask);
    if (::sigaction(signal, &ours, &before_) != 0)
        throw std::invalid_argument(std::string(who) + ": signal " + std::to_string(signal) + " cannot be handled");
}

taken_signal::~taken_signal() {
    struct sigaction now {};
    if (::sigaction(signal_, nullptr, &now) == 0 && (now.sa_flags & SA_SIGINFO) != 0 && now.sa_sigaction == handle_)
        ::sigaction(signal_, &before_, nullptr);
}

void pass_on(const struct sigaction& action, int signal, siginfo_t* info, void* context) noexcept {
    if ((action.sa_flags & SA_SIGINFO) != 0) {
        action.sa_sigaction(signal, info, context);
    } else if (action.sa_handler != SIG_DFL && action.sa_handler != SIG_IGN) {
        action.sa_handler(signal);
    }
}

}  // namespace copse::detail
