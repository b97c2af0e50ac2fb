#include <copse/stop_token.hpp>

#include <utility>

#include <copse/fiber.hpp>

#include "fork.hpp"
#include "greenlet_data.hpp"
#include "hub_core.hpp"
#include "time_limit.hpp"

namespace copse {

namespace detail {

struct stop_watch::relay final : fork_watcher {
    relay(std::function<void()> f, bool may_be_stopped)
        : told(std::move(f)),
          at(this_thread.hub),
          may_come(may_be_stopped),
          home(may_come ? at->handle() : hub_handle()) {}

    void in_child() noexcept override {
        if (may_come && at == this_thread.hub) home = at->handle();  // the door that it knew is the parent's
    }

    std::function<void()> told;  // its thread's alone; empty once nobody wants to be told any more
    hub_core* const at;
    const bool may_come;  // else it keeps nobody from being dead-locked
    hub_handle home;
    fork_registration at_forks{*this};
};

stop_watch::stop_watch(std::stop_token token, std::function<void()> told)
    : relay_((hub_core::here(), std::make_shared<relay>(std::move(told), token.stop_possible()))),
      asks_(std::move(token), caller{relay_}) {}

stop_watch::~stop_watch() { relay_->told = nullptr; }

void stop_watch::caller::operator()() const noexcept {
    if (this_thread.hub == to->at) {
        if (to->told != nullptr) to->told();
        return;
    }
    try {
        to->home.post([relay = to] {
            if (relay->told != nullptr) relay->told();
        });
    } catch (const thread_exited&) {  // nobody waits there any more
    }
}

}  // namespace detail

stop_scope::stop_scope(std::stop_token token) {
    detail::attend();
    detail::hang_on_current(*this);
    try {
        watch_.emplace(std::move(token), [this] { stop(); });
    } catch (...) {
        detail::take_off(*this);
        throw;
    }
}

stop_scope::~stop_scope() {
    watch_.reset();
    detail::take_off(*this);
}

void stop_scope::stop() noexcept {
    stopped_ = true;
    if (of == nullptr) return;
    error = std::make_exception_ptr(stop_requested());
    detail::deliver(*of, *this);
}

std::stop_token this_fiber::stop_token() {
    detail::thread_state::here();
    const detail::core* at = detail::this_thread.current;
    while (!at->is(detail::trait_fiber)) {
        if (at->is(detail::trait_eternal)) return {};
        at = &detail::handle_access::of(at->parent);
    }
    auto& f = const_cast<detail::core&>(*at);
    if (f.data == nullptr) f.data = new detail::greenlet_data;
    if (f.data->stop == nullptr) f.data->stop = std::make_unique<std::stop_source>();
    return f.data->stop->get_token();
}

}  // namespace copse
