/// `use_fiber`: a completion token for every operation of Boost.Asio, which starts it and parks the fiber until it has
/// ended.
///
///     boost::asio::steady_timer timer(context, 1s);
///     timer.async_wait(io::use_fiber);                                    // throws boost::system::system_error
///     std::size_t n = socket.async_read_some(buffer, io::use_fiber);
///     boost::system::error_code ec;
///     n = socket.async_read_some(buffer, io::use_fiber[ec]);              // tells instead
///     auto [signal, count] = operation(io::use_fiber);                    // several values: a std::tuple
///
/// Who runs the operation does not matter: an asio_context (copse/io/asio_context.hpp), which needs no thread, an
/// io_context or thread_pool that other threads run, or the operation itself, at once. bind_executor and its like work
/// around the token.
///
/// Optional: needs the headers of Boost.Asio, 1.74 or newer, which are included here; the target is copse::asio. With
/// 1.77 or newer a fiber that is killed, or out of time, cancels its operation.
#pragma once

#include <exception>
#include <memory>
#include <optional>
#include <tuple>
#include <type_traits>
#include <utility>

#include <boost/asio/async_result.hpp>
#include <boost/asio/dispatch.hpp>
#include <boost/asio/system_executor.hpp>
#include <boost/system/system_error.hpp>
#include <boost/version.hpp>

#if BOOST_VERSION >= 107700
#include <boost/asio/cancellation_signal.hpp>
#endif

#include <copse/detail/wait.hpp>
#include <copse/error.hpp>
#include <copse/io/detail/foreign_operation.hpp>

namespace copse::io {

class use_fiber_t;

namespace detail {

/// What was asked for beside the operation.
struct token_wishes {
    boost::system::error_code* code = nullptr;  // set, and not thrown
    const void* canceller = nullptr;
    void (*cancel)(const void* canceller) = nullptr;  // null: by the cancellation slot
    if_interrupted then = if_interrupted::cancel;
};

token_wishes wishes_of(const use_fiber_t& token) noexcept;

}  // namespace detail

/// Thrown in a fiber whose operation will never end, because it was destroyed: with its io_context, say.
struct operation_dropped : error {
    using error::error;
};

/// The type of `use_fiber`. A call with this token
/// Parks:   until the operation has ended, unless it has ended when it was started.
/// Returns: nothing, the value, or a std::tuple of the values that the operation hands over after its error, moved.
/// Throws:  boost::system::system_error for an error code, unless one was given to be set; what a std::exception_ptr
///          holds; operation_dropped; what starting it throws; what was pending before it was started; blocking_in_hub in
///          handlers and posted functions.
/// After:   a kill or timeout that comes while it goes on asks it to end: by its cancellation slot, with all kinds of
///          cancellation, or as `cancelled_by` says. It is thrown when the operation has ended, so that nothing refers to
///          the fiber's buffers any more; before that the fiber does not leave, and what cannot be cancelled is waited
///          for. If it ended with success all the same, that is returned, and the kill is thrown at the next wait:
///          nothing is lost.
/// Thread:  cancellation is asked for on the executor of the operation, or in the hub if it has none. As always in Asio,
///          the object that the operation belongs to has to outlive it.
/// Cost:    one allocation, beside those of Asio.
class use_fiber_t {
public:
    constexpr use_fiber_t() noexcept = default;

    /// The error code of the operation is put there, success too, and not thrown. The values are returned as they are.
    constexpr use_fiber_t operator[](boost::system::error_code& to_set) const noexcept {
        use_fiber_t other = *this;
        other.wishes_.code = &to_set;
        return other;
    }

    /// A kill or timeout calls `f`, once, in the hub, in place of the operation's own cancellation. For operations that
    /// have none, and Boost before 1.77: `timer.async_wait(use_fiber.cancelled_by([&] { timer.cancel(); }))`. `f` must
    /// not block and has to live as long as the call: what is written in the call does.
    template <class F>
    constexpr use_fiber_t cancelled_by(const F& f) const noexcept {
        use_fiber_t other = *this;
        other.wishes_.canceller = &f;
        other.wishes_.cancel = [](const void* of) { (*static_cast<const F*>(of))(); };
        return other;
    }

    /// A kill or timeout leaves at once; the operation goes on by itself, and what it brings is dropped. Only for
    /// operations that refer to nothing of the caller's.
    constexpr use_fiber_t abandonable() const noexcept {
        use_fiber_t other = *this;
        other.wishes_.then = detail::if_interrupted::abandon;
        return other;
    }

    /// `use_fiber` as the default token: `as_default_on_t<tcp::socket>` has `async_read_some(buffer)` park the fiber.
    template <class Executor>
    struct executor_with_default : Executor {
        using default_completion_token_type = use_fiber_t;
        template <class Other>
            requires(!std::is_same_v<Other, executor_with_default> && std::is_convertible_v<const Other&, Executor>)
        executor_with_default(const Other& other)
        noexcept : Executor(other) {}
    };
    template <class T>
    using as_default_on_t =
        typename T::template rebind_executor<executor_with_default<typename T::executor_type>>::other;

private:
    friend detail::token_wishes detail::wishes_of(const use_fiber_t& token) noexcept;

    detail::token_wishes wishes_;
};

inline constexpr use_fiber_t use_fiber;

namespace detail {

inline token_wishes wishes_of(const use_fiber_t& token) noexcept { return token.wishes_; }

/// How one operation ended, and what that means for the call: its error is thrown or told, its values are returned.
template <class... Values>
struct outcome {
    static void check(foreign_operation& /*of*/, const token_wishes& wishes, const Values&... /*values*/) {
        if (wishes.code != nullptr) wishes.code->clear();
    }
    static auto give(std::tuple<Values...>& ended) {
        if constexpr (sizeof...(Values) == 1) {
            return std::get<0>(std::move(ended));
        } else if constexpr (sizeof...(Values) > 1) {
            return std::move(ended);
        }
    }
};

template <class... Values>
struct outcome_after_error {
    template <class Error>
    static auto give(std::tuple<Error, Values...>& ended) {
        if constexpr (sizeof...(Values) == 1) {
            return std::get<1>(std::move(ended));
        } else if constexpr (sizeof...(Values) > 1) {
            return std::apply([](Error&, Values&... each) { return std::tuple<Values...>(std::move(each)...); }, ended);
        }
    }
};

template <class... Values>
struct outcome<boost::system::error_code, Values...> : outcome_after_error<Values...> {
    static void check(foreign_operation& of, const token_wishes& wishes, const boost::system::error_code& code,
                      const Values&... /*values*/) {
        if (code && of.was_asked()) copse::detail::attend();  // it was cancelled: the kill that did it says more
        if (wishes.code != nullptr) {
            *wishes.code = code;
        } else if (code) {
            throw boost::system::system_error(code);
        }
    }
};

template <class... Values>
struct outcome<std::exception_ptr, Values...> : outcome_after_error<Values...> {
    static void check(foreign_operation& of, const token_wishes& wishes, const std::exception_ptr& error,
                      const Values&... /*values*/) {
        if (error != nullptr && of.was_asked()) copse::detail::attend();
        if (wishes.code != nullptr) wishes.code->clear();
        if (error != nullptr) std::rethrow_exception(error);
    }
};

/// What the handler fills in. `Values` are decayed.
template <class... Values>
class asio_result : public foreign_operation {
public:
    using handed_over = outcome<Values...>;

    asio_result() noexcept : foreign_operation("asio operation") {}

    /// By the handler, on its thread.
    template <class... Given>
    void fill(Given&&... given) noexcept {
        try {
            values_.emplace(std::forward<Given>(given)...);
        } catch (...) {
            failure_ = std::current_exception();  // of a copy
        }
        settle();
    }
    /// By a handler that is destroyed unused.
    void drop() noexcept { settle(); }

    /// By the fiber, once it has ended.
    auto give(const token_wishes& wishes) {
        if (failure_ != nullptr) std::rethrow_exception(failure_);
        if (!values_) {
            if (was_asked()) copse::detail::attend();
            throw operation_dropped("use_fiber: the operation was destroyed before it had ended");
        }
        std::apply([&](const Values&... each) { handed_over::check(*this, wishes, each...); }, *values_);
        return handed_over::give(*values_);
    }

#if BOOST_VERSION >= 107700
    boost::asio::cancellation_signal signal;
#endif

private:
    std::optional<std::tuple<Values...>> values_;
    std::exception_ptr failure_;
};

/// With what is needed to cancel it.
template <class Executor, class... Values>
class asio_operation final : public asio_result<Values...> {
public:
    asio_operation(const Executor& runs_on, const token_wishes& wishes) : executor_(runs_on), wishes_(wishes) {}

private:
    void cancel() override {
        if (wishes_.cancel != nullptr) return wishes_.cancel(wishes_.canceller);
#if BOOST_VERSION >= 107700
        // Where handlers run it cannot end meanwhile. A signal that nobody listens to any more does nothing.
        boost::asio::dispatch(executor_, [self = this->shared_from_this()] {
            static_cast<asio_operation&>(*self).signal.emit(boost::asio::cancellation_type::all);
        });
#endif
    }

    [[no_unique_address]] Executor executor_;
    token_wishes wishes_;
};

/// The completion handler.
template <class... Values>
class fiber_handler {
public:
    explicit fiber_handler(std::shared_ptr<asio_result<Values...>> of) noexcept : of_(std::move(of)) {}
    fiber_handler(fiber_handler&&) noexcept = default;
    fiber_handler& operator=(fiber_handler&&) = delete;
    ~fiber_handler() {
        if (of_ != nullptr) of_->drop();
    }

    template <class... Given>
    void operator()(Given&&... given) {
        const auto of = std::move(of_);
#if BOOST_VERSION >= 107700
        of->signal.slot().clear();
#endif
        of->fill(std::forward<Given>(given)...);
    }

#if BOOST_VERSION >= 107700
    using cancellation_slot_type = boost::asio::cancellation_slot;
    cancellation_slot_type get_cancellation_slot() const noexcept {
        return of_ != nullptr ? of_->signal.slot() : cancellation_slot_type();
    }
#endif

private:
    std::shared_ptr<asio_result<Values...>> of_;
};

/// Where its handlers run, as far as it tells. What is dispatched to the system's executor runs where that is done.
template <class Initiation>
auto executor_of(const Initiation& initiation) {
    if constexpr (requires { initiation.get_executor(); }) {
        return initiation.get_executor();
    } else {
        return boost::asio::system_executor();
    }
}

}  // namespace detail
}  // namespace copse::io

namespace boost::asio {

template <class Result, class... Args>
class async_result<copse::io::use_fiber_t, Result(Args...)> {
    using result = copse::io::detail::asio_result<std::decay_t<Args>...>;

public:
    using completion_handler_type = copse::io::detail::fiber_handler<std::decay_t<Args>...>;
    using return_type = decltype(std::declval<result&>().give(copse::io::detail::token_wishes()));

    template <class Initiation, class... InitArgs>
    static return_type initiate(Initiation&& initiation, const copse::io::use_fiber_t& token, InitArgs&&... args) {
        namespace detail = copse::io::detail;
        copse::detail::attend();
        const detail::token_wishes wishes = detail::wishes_of(token);
        auto executor = detail::executor_of(initiation);
        const auto operation =
            std::make_shared<detail::asio_operation<decltype(executor), std::decay_t<Args>...>>(executor, wishes);
        std::forward<Initiation>(initiation)(completion_handler_type(operation), std::forward<InitArgs>(args)...);
        operation->await(wishes.then);
        return operation->give(wishes);
    }
};

}  // namespace boost::asio
