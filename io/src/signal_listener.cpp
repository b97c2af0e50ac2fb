#include <copse/io/signal_listener.hpp>

#include <copse/error.hpp>

#include "signal_bell.hpp"

namespace copse::io {

signal_listener::signal_listener(std::span<const int> signals)
    : bell_(std::make_unique<detail::signal_bell>(signals)) {}
signal_listener::signal_listener(signal_listener&& other) noexcept = default;
signal_listener& signal_listener::operator=(signal_listener&& other) noexcept = default;
signal_listener::~signal_listener() = default;

detail::signal_bell& signal_listener::use() const {
    if (bell_ == nullptr) throw empty_handle("signal_listener: it was moved from");
    bell_->must_be_here();
    return *bell_;
}

std::optional<int> signal_listener::wait_by(detail::limit within) { return use().wait(within); }

std::optional<int> signal_listener::try_wait() { return use().take(); }

}  // namespace copse::io
