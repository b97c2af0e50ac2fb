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

#include <atomic>
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
#include <boost/asio/execution/outstanding_work.hpp>
#include <boost/asio/prefer.hpp>
#include <boost/asio/strand.hpp>
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
/// Thread:  any number of threads may run the executor of the operation: its handlers, also those between the parts of a
///          composed one, and its cancellation take turns in a strand. Without an executor cancellation is asked for in
///          the hub. bind_executor puts its own in place of the strand: a composed operation on several threads, such as
///          async_read, then wants `cancelled_by`. So does a coroutine of co_spawn, unless it is given a strand of its own
///          (make_strand(pool)). An executor that is stopped (io_context::stop) tells nobody of an end that met a
///          cancellation: run it to its end. As always in Asio, the object that the operation belongs to has to outlive it.
/// Cost:    two allocations, beside those of Asio.
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

/// What a call returns of so many values. Asio asks for it of operations too that it does not start in the end.
template <class... Values>
struct returned {
    using type = std::tuple<Values...>;
};
template <class Value>
struct returned<Value> {
    using type = Value;
};
template <>
struct returned<> {
    using type = void;
};

/// How one operation ended, and what that means for the call: its error is thrown or told, its values are returned.
template <class... Values>
struct outcome : returned<Values...> {
    static void check(foreign_operation& /*of*/, const token_wishes& wishes, const Values&... /*values*/) {
        if (wishes.code != nullptr) wishes.code->clear();
    }
    static typename returned<Values...>::type give(std::tuple<Values...>& ended) {
        if constexpr (sizeof...(Values) == 1) {
            return std::get<0>(std::move(ended));
        } else if constexpr (sizeof...(Values) > 1) {
            return std::move(ended);
        }
    }
};

template <class... Values>
struct outcome_after_error : returned<Values...> {
    template <class Error>
    static typename returned<Values...>::type give(std::tuple<Error, Values...>& ended) {
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
///
/// The end may come on another thread while the operation is cancelled. Once the fiber goes on, the object that the
/// operation belongs to may end, and the context too: so the end that meets a cancellation is told by that one.
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
        finish();
    }
    /// By a handler that is destroyed unused.
    void drop() noexcept { finish(); }

    /// By the fiber, once it has ended.
    typename handed_over::type give(const token_wishes& wishes) {
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

protected:
    /// False if it has ended. Else cancelling_over has to follow.
    bool begin_cancelling() noexcept {
        stage now = stage::under_way;
        return stage_.compare_exchange_strong(now, stage::cancelling);
    }
    void cancelling_over() noexcept {
        stage now = stage::cancelling;
        if (!stage_.compare_exchange_strong(now, stage::under_way)) tell();
    }
    bool has_ended() const noexcept { return stage_ == stage::ended; }

    /// What is the context's must not be kept any longer.
    virtual void let_go() noexcept = 0;

private:
    enum class stage : unsigned char { under_way, cancelling, ended };

    void finish() noexcept {
        if (stage_.exchange(stage::ended) == stage::under_way) tell();
    }
    void tell() noexcept {
        let_go();
        settle();
    }

    std::atomic<stage> stage_{stage::under_way};
    std::optional<std::tuple<Values...>> values_;
    std::exception_ptr failure_;
};

/// With what is needed to cancel it.
template <class Executor, class... Values>
class asio_operation final : public asio_result<Values...> {
public:
    asio_operation(const Executor& runs_on, const token_wishes& wishes) : executor_(runs_on), wishes_(wishes) {
#if BOOST_VERSION >= 107700
        work_ = boost::asio::prefer(runs_on, boost::asio::execution::outstanding_work.tracked);
#endif
    }

private:
    void cancel() override {
        if (wishes_.cancel != nullptr) return wishes_.cancel(wishes_.canceller);
#if BOOST_VERSION >= 107700
        if (!this->begin_cancelling()) return;
        emission made(std::static_pointer_cast<asio_operation>(this->shared_from_this()));
        boost::asio::dispatch(*executor_, std::move(made));
#endif
    }
    void let_go() noexcept override {
        executor_.reset();
#if BOOST_VERSION >= 107700
        work_.reset();
#endif
    }

#if BOOST_VERSION >= 107700
    // Of the signal. Over when it has been called, or is dropped.
    struct emission {
        explicit emission(std::shared_ptr<asio_operation> to) noexcept : of(std::move(to)) {}
        emission(emission&&) noexcept = default;
        emission& operator=(emission&&) = delete;
        ~emission() {
            if (of != nullptr) of->cancelling_over();
        }
        void operator()() {
            if (!of->has_ended()) of->signal.emit(boost::asio::cancellation_type::all);
        }

        std::shared_ptr<asio_operation> of;
    };

    // An end that meets a cancellation is told by that: until then the context must not run out of work.
    std::optional<std::decay_t<decltype(boost::asio::prefer(std::declval<const Executor&>(),
                                                            boost::asio::execution::outstanding_work.tracked))>>
        work_;
#endif

    std::optional<Executor> executor_;  // until it has ended
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

#if BOOST_VERSION >= 107700
/// The same in a strand: where the signal is emitted nobody connects or disconnects its slot meanwhile.
template <class Strand, class... Values>
class stranded_handler : public fiber_handler<Values...> {
public:
    stranded_handler(std::shared_ptr<asio_result<Values...>> of, const Strand& in) noexcept
        : fiber_handler<Values...>(std::move(of)), strand_(in) {}

    using executor_type = Strand;
    executor_type get_executor() const noexcept { return strand_; }

private:
    Strand strand_;
};
#endif

/// Starts it with a handler of its own, and waits for its end. An operation tells where its handlers run if it can; what
/// is dispatched to the system's executor runs where that is done.
template <class... Values, class Initiation, class... Args>
auto carry_out(Initiation&& initiation, const token_wishes& wishes, Args&&... args) {
#if BOOST_VERSION >= 107700
    if constexpr (requires { initiation.get_executor(); }) {
        // The strand is not kept here: the context may end before the fiber goes on.
        const auto operation = [&] {
            const auto strand = boost::asio::make_strand(initiation.get_executor());
            using strand_type = std::remove_const_t<decltype(strand)>;
            auto made = std::make_shared<asio_operation<strand_type, Values...>>(strand, wishes);
            std::forward<Initiation>(initiation)(stranded_handler<strand_type, Values...>(made, strand),
                                                 std::forward<Args>(args)...);
            return made;
        }();
        operation->await(wishes.then);
        return operation->give(wishes);
    } else
#endif
    {
        const boost::asio::system_executor anywhere;
        const auto operation =
            std::make_shared<asio_operation<boost::asio::system_executor, Values...>>(anywhere, wishes);
        std::forward<Initiation>(initiation)(fiber_handler<Values...>(operation), std::forward<Args>(args)...);
        operation->await(wishes.then);
        return operation->give(wishes);
    }
}

}  // namespace detail
}  // namespace copse::io

namespace boost::asio {

template <class Result, class... Args>
class async_result<copse::io::use_fiber_t, Result(Args...)> {
public:
    using completion_handler_type = copse::io::detail::fiber_handler<std::decay_t<Args>...>;
    using return_type = typename copse::io::detail::outcome<std::decay_t<Args>...>::type;

    template <class Initiation, class... InitArgs>
    static return_type initiate(Initiation&& initiation, const copse::io::use_fiber_t& token, InitArgs&&... args) {
        copse::detail::attend();
        return copse::io::detail::carry_out<std::decay_t<Args>...>(
            std::forward<Initiation>(initiation), copse::io::detail::wishes_of(token), std::forward<InitArgs>(args)...);
    }
};

}  // namespace boost::asio
