/// A selector, as Python's module `selectors` has it: which of many descriptors are ready, again and again.
#pragma once

#include <any>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

#include <copse/io/descriptor_number.hpp>
#include <copse/io/detail/limit.hpp>

namespace copse::io {

namespace detail {
class selector_state;
}  // namespace detail

/// What a descriptor can be ready for, of which there may be both: `readiness::read | readiness::write`.
enum class readiness : std::uint8_t { none = 0, read = 1, write = 2, both = 3 };

constexpr readiness operator|(readiness a, readiness b) noexcept {
    return static_cast<readiness>(static_cast<unsigned>(a) | static_cast<unsigned>(b));
}
constexpr readiness operator&(readiness a, readiness b) noexcept {
    return static_cast<readiness>(static_cast<unsigned>(a) & static_cast<unsigned>(b));
}
/// Whether `all` has something of `some`.
constexpr bool has(readiness all, readiness some) noexcept { return (all & some) != readiness::none; }

/// What is known of a registered descriptor. Never changes: `modify` makes another one.
struct selector_key {
    int fd;
    readiness events;  ///< that are asked for
    std::any data;     ///< the caller's: `std::any_cast<session*>(key->data)`
};

/// A descriptor that is ready.
struct selected {
    std::shared_ptr<const selector_key> key;  ///< stays, also if it is unregistered meanwhile
    readiness events;                         ///< what it is ready for, of what was asked; at least one
};

/// Keeps a set of descriptors, and tells which are ready.
///
///     io::selector ready;
///     ready.register_fd(listener, io::readiness::read);
///     for (;;) {
///         for (const auto& [key, events] : ready.select()) serve(*key, events);
///     }
///
/// Level-correct: what is ready is reported by every `select` until it is dealt with, whoever does that. An error or
/// hang-up counts as ready for all that was asked. Regular files and whatever else never blocks are always ready. A
/// descriptor may be in several selectors, and waited for otherwise too; in one selector it is once.
///
/// It is well to unregister a descriptor before it is closed. One that is closed first (by socket::close, descriptor::close
/// or notify_closing) is reported as ready for all that was asked, so that somebody finds out, until it is unregistered or
/// its number registered again. What another thread closes without a word is not reported any more.
///
/// Any fiber may change the set while another one waits in `select`: the wait is for the new set from then on.
///
/// Owner thread only, also its end. Cost: one descriptor; a `select` asks about all with one call, whatever their number.
class selector {
public:
    /// Empty.
    /// Throws:  std::system_error if no descriptor is free.
    selector();
    selector(selector&&) noexcept = default;
    /// Closes what was there before.
    selector& operator=(selector&& other) noexcept {
        selector(std::move(other)).swap(*this);
        return *this;
    }
    /// As close().
    ~selector();

    void swap(selector& other) noexcept { state_.swap(other.state_); }

    /// Adds a descriptor.
    /// Parks:   no.
    /// Throws:  std::invalid_argument for a negative number, for events that are none or unknown, and if it is registered
    ///          already; std::system_error: EBADF if it is no descriptor or the selector is closed, EINVAL and ELOOP for
    ///          selectors and epolls in a circle, ENOMEM, ENOSPC. The set is as it was then.
    std::shared_ptr<const selector_key> register_fd(descriptor_number fd, readiness events, std::any data = {});

    /// Changes what is asked, and the data. Without data: keeps it.
    /// Parks:   no.
    /// Returns: the new key.
    /// Throws:  std::out_of_range if it is not registered; else as register_fd.
    std::shared_ptr<const selector_key> modify(descriptor_number fd, readiness events, std::any data);
    std::shared_ptr<const selector_key> modify(descriptor_number fd, readiness events);

    /// Takes it out; it may be closed already, if its number is still known.
    /// Parks:   no.
    /// Returns: its key.
    /// Throws:  std::out_of_range if it is not registered; std::system_error(EBADF) if the selector is closed.
    std::shared_ptr<const selector_key> unregister(descriptor_number fd);

    /// Throws:  as unregister.
    std::shared_ptr<const selector_key> get_key(descriptor_number fd) const;
    bool contains(descriptor_number fd) const noexcept;
    /// All keys, in no order.
    std::vector<std::shared_ptr<const selector_key>> keys() const;
    std::size_t size() const noexcept;
    bool empty() const noexcept { return size() == 0; }

    /// Waits until a registered descriptor is ready. The others have a turn first, also if one is.
    /// Parks:   until there is one; while none is registered until another fiber registers one, or until killed.
    /// Returns: all that are ready, at most 1024 at a time; the rest comes next time. At least one.
    /// Throws:  concurrent_use if another fiber waits in this selector; std::system_error: EBADF if it is closed, also
    ///          meanwhile; whatever a kill or a timeout scope throws.
    /// After:   a kill: nothing was taken, what is ready is reported next time.
    std::vector<selected> select() { return select_by({}); }
    /// Returns: also none, when `length` is over. 0: the others have one turn, then the answer.
    template <class Rep, class Period>
    std::vector<selected> select_for(std::chrono::duration<Rep, Period> length) {
        return select_by(detail::limit::within(length));
    }
    template <class Clock, class Duration>
    std::vector<selected> select_until(std::chrono::time_point<Clock, Duration> when) {
        return select_by(detail::limit::until(when));
    }

    /// Forgets all, and wakes who waits in `select` with EBADF. The descriptors stay open. A closed one stays closed.
    /// Parks:   no.
    void close() noexcept;
    bool is_open() const noexcept;

private:
    detail::selector_state& use(const char* operation) const;
    std::vector<selected> select_by(detail::limit within);

    std::shared_ptr<detail::selector_state> state_;  // shared with the fiber that waits
};

}  // namespace copse::io
