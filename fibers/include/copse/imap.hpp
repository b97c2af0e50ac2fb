/// What `pool::imap` and `pool::imap_unordered` give.
#pragma once

#include <cstddef>
#include <exception>
#include <iterator>
#include <memory>
#include <optional>
#include <ranges>
#include <type_traits>
#include <utility>
#include <variant>

#include <copse/detail/task_batch.hpp>
#include <copse/detail/task_line.hpp>
#include <copse/fiber.hpp>

namespace copse {

/// How far ahead of its consumer an imap works.
struct imap_options {
    /// How many elements may be started, or finished and not yet taken; the pool's capacity unless given.
    std::optional<std::size_t> bound{};
};

/// Results of an imap, taken one after the other while the tasks go on. Can be moved; used by one fiber at a time.
///
/// A task that failed stands at its place: taking its value throws (the failure, or fiber_killed), and iteration can go on
/// (rule 106):
///
///     auto pages = downloads.imap(urls, fetch);
///     for (auto p = pages.begin(); p != pages.end(); ++p) {
///         try { print(*p); } catch (const std::system_error& e) { print(e.what()); }
///     }
///
/// If the range throws, that is the last one. A task without a result gives a std::monostate.
///
/// Ended half-way it kills what runs and what reads the range, and waits for their end, shielded: what they refer to may be the
/// caller's.
template <class Pool, class Range, class F>
class imap_results {
    using result = detail::element_result<Range, F>;
    class work;

public:
    using value_type = std::conditional_t<std::is_void_v<result>, std::monostate, detail::kept_result<result>>;

    /// Takes the next result.
    /// Parks:   until it is there.
    /// Returns: empty when there is none any more.
    /// Throws:  its failure; would_block_forever (in main); what is raised into the caller: then nothing was taken.
    std::optional<value_type> next() {
        if (!work_->advance()) return std::nullopt;
        return std::move(work_->value());
    }

    /// `++` parks until the next result is there, `*` throws its failure.
    class iterator {
    public:
        using value_type = typename imap_results::value_type;
        using difference_type = std::ptrdiff_t;

        explicit iterator(work& from) : from_(&from) { ++*this; }
        value_type& operator*() const { return from_->value(); }
        value_type* operator->() const { return &from_->value(); }
        iterator& operator++() {
            from_->advance();
            return *this;
        }
        void operator++(int) { ++*this; }
        friend bool operator==(const iterator& i, std::default_sentinel_t /*end*/) noexcept {
            return !i.from_->has_item();
        }

    private:
        work* from_;
    };

    /// Takes the next result: a second loop goes on where the first one was left.
    iterator begin() { return iterator(*work_); }
    std::default_sentinel_t end() const noexcept { return {}; }

private:
    friend Pool;

    template <class R>
    imap_results(detail::result_order order, Pool& in, std::size_t bound, R&& range, F f)
        : work_(std::make_unique<work>(order, in, bound, std::forward<R>(range), std::move(f))) {}

    // Stays where it is: tasks and reader refer to it.
    class work {
    public:
        template <class R>
        work(detail::result_order order, Pool& in, std::size_t bound, R&& range, F f)
            : pool_(in), range_(std::forward<R>(range)), f_(std::move(f)), line_(order, bound) {}
        work(const work&) = delete;
        work& operator=(const work&) = delete;
        ~work() { line_.abandon(); }

        bool has_item() const noexcept { return value_.has_value() || failure_ != nullptr; }

        value_type& value() {
            if (failure_ != nullptr) std::rethrow_exception(failure_);
            return *value_;
        }

        bool advance() {
            if (!line_.begun()) line_.begin(spawn([this] { read(); }));
            const any_fiber finished = line_.next();
            value_.reset();
            failure_ = nullptr;
            if (finished.empty()) {
                failure_ = line_.take_failure();
            } else {
                take_result(detail::fiber_access::adopt<result>(finished.underlying()));
            }
            return has_item();
        }

    private:
        void take_result(const fiber<result>& finished) {
            try {
                if constexpr (std::is_void_v<result>) {
                    finished.get();
                    value_.emplace();
                } else {
                    value_.emplace(finished.get());
                }
            } catch (...) {
                failure_ = std::current_exception();
            }
        }

        void read() {
            std::exception_ptr failure;
            try {
                start_all();
            } catch (const greenlet_exit&) {
                line_.end(nullptr);
                throw;
            } catch (...) {
                failure = std::current_exception();
            }
            line_.end(std::move(failure));
        }

        // An element is not asked for before there is room for it: asking may be costly, or park.
        void start_all() {
            line_.await_room();
            auto at = std::ranges::begin(range_);
            const auto last = std::ranges::end(range_);
            while (at != last) {
                auto place = line_.make_task();
                line_.add(std::move(place), pool_.spawn_call(detail::call_with_element<Range>(f_, *at)));
                line_.await_room();
                ++at;
            }
        }

        Pool& pool_;
        Range range_;  // a reference, if it was given as one
        F f_;
        detail::task_line line_;
        std::optional<value_type> value_;
        std::exception_ptr failure_;
    };

    std::unique_ptr<work> work_;
};

}  // namespace copse
