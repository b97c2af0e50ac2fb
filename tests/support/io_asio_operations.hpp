#pragma once

/// Operations as Asio has them, for tests of what waits for them. Without Asio nothing includes this.

#include <copse/io/asio_token.hpp>

#include <boost/asio.hpp>

#include <functional>
#include <memory>
#include <thread>
#include <utility>

namespace copse_test {

namespace asio = boost::asio;
using boost::system::error_code;

/// Starts an operation of this signature, which is `start(handler)`.
template <class Signature, class Start>
auto operation(Start start, const copse::io::use_fiber_t& token = copse::io::use_fiber) {
    return asio::async_initiate<const copse::io::use_fiber_t, Signature>(std::move(start), token);
}

/// One that has ended when it is started.
template <class Signature, class... Values>
auto at_once(const copse::io::use_fiber_t& token, Values... values) {
    return operation<Signature>([&](auto handler) { std::move(handler)(std::move(values)...); }, token);
}

inline const error_code refused = asio::error::connection_refused;

/// An operation that the test ends, and that may be cancelled.
struct by_hand {
    /// `result` is what `end` hands over.
    int start(const copse::io::use_fiber_t& token = copse::io::use_fiber) {
        return operation<void(error_code, int)>([this](auto handler) { take(std::move(handler)); }, token);
    }
#if BOOST_VERSION >= 107700
    /// Cancelled on `threads`.
    int start_on(asio::any_io_executor threads) {
        return asio::async_initiate<const copse::io::use_fiber_t, void(error_code, int)>(initiation{*this, threads},
                                                                                         copse::io::use_fiber);
    }
#endif
    void end(error_code code, int value) { std::exchange(end_, nullptr)(code, value); }
    void drop() { end_ = nullptr; }
    bool started() const { return end_ != nullptr; }

    int cancelled = 0;
    std::function<void()> on_cancel;

private:
    struct initiation {
        by_hand& of;
        asio::any_io_executor runs_on;

        asio::any_io_executor get_executor() const noexcept { return runs_on; }
        template <class Handler>
        void operator()(Handler handler) const {
            of.take(std::move(handler));
        }
    };

    template <class Handler>
    void take(Handler handler) {
#if BOOST_VERSION >= 107700
        if (auto slot = asio::get_associated_cancellation_slot(handler); slot.is_connected()) {
            slot.assign([this](asio::cancellation_type) {
                ++cancelled;
                if (on_cancel) on_cancel();
            });
        }
#endif
        auto kept = std::make_shared<Handler>(std::move(handler));
        end_ = [kept](error_code code, int value) { std::move (*kept)(code, value); };
    }

    std::function<void(error_code, int)> end_;
};

/// A thread that runs an io_context.
class running {
public:
    running() : thread_([this] { context.run(); }) {}
    running(const running&) = delete;
    running& operator=(const running&) = delete;
    ~running() {
        guard_.reset();
        thread_.join();
    }

    asio::io_context context;

private:
    asio::executor_work_guard<asio::io_context::executor_type> guard_ = asio::make_work_guard(context);
    std::thread thread_;
};

}  // namespace copse_test
