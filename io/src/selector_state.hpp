// The set behind a selector: an epoll of its own, level-triggered, that the reactor waits for as for any other descriptor.
//
// Invariants:
//   - A membership that is `in_epoll` is known to our epoll, unless its descriptor was closed without a word. Its tag is
//     number and serial: an event of an earlier membership of the number is told from one of this.
//   - Every membership but a `closed` one watches the entry of its number, and so hears of its end while the number is
//     still the old one's. That is when epoll is told: later it could not be, if a duplicate lives (FD03).
//   - What epoll cannot report, always_ready and closed, is counted in loose_, and makes that nobody waits.
#pragma once

#include <sys/epoll.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <unordered_map>
#include <vector>

#include <copse/io/descriptor.hpp>
#include <copse/io/selector.hpp>

#include "reactor.hpp"

namespace copse::io::detail {

struct interest;

/// How it becomes known that a registered descriptor is ready.
enum class reported : std::uint8_t { in_epoll, always_ready, closed };

/// A registered descriptor.
struct membership : watch {
    membership(selector_state& in, std::shared_ptr<const selector_key> k, std::uint32_t number) noexcept;
    ~membership() { unlink(); }
    membership(const membership&) = delete;
    membership& operator=(const membership&) = delete;

    selector_state& of;
    std::shared_ptr<const selector_key> key;
    const std::uint32_t serial;
    reported how = reported::in_epoll;
};

class selector_state {
public:
    using key_pointer = std::shared_ptr<const selector_key>;

    selector_state();
    ~selector_state();
    selector_state(const selector_state&) = delete;
    selector_state& operator=(const selector_state&) = delete;

    key_pointer add(key_pointer key);
    key_pointer change(key_pointer key);
    key_pointer remove(int fd);
    key_pointer key_of(int fd, const char* operation) const;
    bool knows(int fd) const noexcept { return known_.find(fd) != known_.end(); }
    std::vector<key_pointer> keys() const;
    std::size_t size() const noexcept { return known_.size(); }
    std::vector<selected> select(limit within);
    void close() noexcept;
    bool is_open() const noexcept { return open_; }
    std::uint64_t home() const noexcept { return reactor_->serial(); }

    /// The number of `m` is about to change hands.
    void ended(membership& m) noexcept;

private:
    membership& find(int fd, const char* operation);
    void enter(membership& m);
    void renew();
    void lose_epoll();
    bool is_intact() noexcept;
    void refresh();
    void tell_epoll_gone(int fd) noexcept;
    void set(membership& m, reported how) noexcept;
    void nudge() noexcept;
    int look() noexcept;
    std::vector<selected> harvest();
    bool take_events(int n, std::vector<selected>& found);
    bool wait(limit& within);

    const std::shared_ptr<reactor> reactor_;
    bool open_ = true;
    descriptor epoll_;  // none for a moment, if somebody closed its number and no other was free
    unsigned forks_;    // when epoll_ was made
    std::unordered_map<int, membership> known_;
    std::size_t loose_ = 0;
    std::uint32_t last_serial_ = 0;
    std::vector<epoll_event> events_;
    interest* waiting_ = nullptr;  // of the fiber that is parked here
    bool selecting_ = false;
};

}  // namespace copse::io::detail
