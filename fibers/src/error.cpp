// The key functions of the exception types, so that each has one vtable and one type_info, and the text of
// timeout_expired.

#include <copse/error.hpp>

#include <algorithm>
#include <charconv>
#include <string_view>

namespace copse {

error::~error() = default;
wrong_thread::~wrong_thread() = default;
parent_cycle::~parent_cycle() = default;
parent_of_main::~parent_of_main() = default;
bad_value_cast::~bad_value_cast() = default;
empty_handle::~empty_handle() = default;
null_callable::~null_callable() = default;
thread_exited::~thread_exited() = default;
concurrent_use::~concurrent_use() = default;
blocking_in_hub::~blocking_in_hub() = default;
not_switchable::~not_switchable() = default;
already_started::~already_started() = default;
left_in_parent::~left_in_parent() = default;
fiber_killed::~fiber_killed() = default;
stop_requested::~stop_requested() = default;
value_taken::~value_taken() = default;
not_owner::~not_owner() = default;
self_deadlock::~self_deadlock() = default;
already_set::~already_set() = default;
queue_closed::~queue_closed() = default;
task_done_too_often::~task_done_too_often() = default;
nursery_closed::~nursery_closed() = default;
would_block_forever::~would_block_forever() = default;
not_deterministic::~not_deterministic() = default;
did_not_switch::~did_not_switch() = default;
invalid_duration::~invalid_duration() = default;
timeout_expired::~timeout_expired() = default;
greenlet_exit::~greenlet_exit() = default;

const char* greenlet_exit::what() const noexcept { return "greenlet_exit"; }

namespace {

struct unit {
    std::int64_t nanoseconds;  // a power of ten
    std::string_view name;
};

constexpr unit second{1'000'000'000, "s"};
constexpr unit smaller_units[] = {{1'000'000, "ms"}, {1'000, "us"}, {1, "ns"}};

// The largest unit of which there is at least one.
unit unit_for(std::int64_t ns) {
    if (ns == 0 || ns >= second.nanoseconds) return second;
    return *std::find_if(std::begin(smaller_units), std::end(smaller_units),
                         [ns](const unit& u) { return ns >= u.nanoseconds; });
}

char* put(char* to, std::string_view text) { return std::copy(text.begin(), text.end(), to); }

// The decimals of `rest / scale`, rest < scale, with the point and without trailing zeros; nothing if rest is 0.
char* put_fraction(char* to, std::int64_t rest, std::int64_t scale) {
    if (rest != 0) *to++ = '.';
    while (rest != 0) {
        rest *= 10;
        *to++ = static_cast<char>('0' + rest / scale);
        rest %= scale;
    }
    return to;
}

// Exact: "1.5 s", "10 ms", "1.000001 ms". At most 10 digits, a point, 9 decimals, a space and a unit.
char* put_duration(char* to, char* end, std::int64_t ns) {
    const unit u = unit_for(ns);
    to = std::to_chars(to, end, ns / u.nanoseconds).ptr;
    to = put_fraction(to, ns % u.nanoseconds, u.nanoseconds);
    *to++ = ' ';
    return put(to, u.name);
}

}  // namespace

timeout_expired::timeout_expired(std::uint64_t serial, std::chrono::nanoseconds length) noexcept
    : serial_(serial), text_{} {
    char* to = put(text_.data(), "timeout of ");
    to = put_duration(to, text_.data() + text_.size(), std::max<std::int64_t>(length.count(), 0));
    put(to, " expired");  // 11 + 23 + 8 characters at most; the rest is zero
}

const char* stop_requested::what() const noexcept { return "a stop was requested"; }

const char* timeout_expired::what() const noexcept { return text_.data(); }

}  // namespace copse
