// Connecting to a name: its addresses race, each with a head start (RFC 8305, "Happy Eyeballs").
#include <algorithm>
#include <cerrno>
#include <chrono>
#include <exception>
#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <copse/detail/wait.hpp>
#include <copse/event.hpp>
#include <copse/fiber.hpp>
#include <copse/io/socket.hpp>

#include "by_deadline.hpp"
#include "failure.hpp"
#include "name_lookup.hpp"

namespace copse::io {

namespace {

constexpr std::chrono::milliseconds head_start(250);

/// The families take turns, beginning with the first address's; within a family the order stays.
std::vector<endpoint> interleaved(std::vector<endpoint> all) {
    const int first = all.front().family();
    const auto others =
        std::stable_partition(all.begin(), all.end(), [first](const endpoint& e) { return e.family() == first; });
    std::vector<endpoint> mixed;
    auto a = all.begin();
    auto b = others;
    while (a != others || b != all.end()) {
        if (a != others) mixed.push_back(*a++);
        if (b != all.end()) mixed.push_back(*b++);
    }
    return mixed;
}

void keep_allowed(std::vector<endpoint>& all, const std::function<bool(const endpoint&)>& allowed,
                  std::string_view name) {
    std::string refused;
    std::erase_if(all, [&](const endpoint& e) {
        if (allowed(e)) return false;
        refused.append(refused.empty() ? "" : ", ").append(to_string(e));
        return true;
    });
    if (all.empty())
        detail::fail(EACCES, "connect to " + std::string(name) + ", whose addresses are not allowed: " + refused);
}

/// Attempts are fibers that end before this does: it is on its caller's stack.
class race {
public:
    explicit race(detail::limit within) noexcept : within_(within) {}
    race(const race&) = delete;
    race& operator=(const race&) = delete;
    ~race() {
        for (const auto& one : attempts_) one.request_kill();
        const shield kept_back;
        for (const auto& one : attempts_) one.join();
    }

    void start(const endpoint& there) {
        attempts_.reserve(attempts_.size() + 1);
        newest_failed_ = false;
        ++running_;
        try {
            attempts_.push_back(spawn(spawn_options{.name = "connect"},
                                      [this, there, number = attempts_.size()] { attempt(there, number); }));
        } catch (...) {
            --running_;
            throw;
        }
    }

    /// Waits until there is a winner, or the newest attempt has failed, or its head start is over.
    void wait_a_while() {
        const auto end = clock::now() + head_start;
        while (!winner_ && !newest_failed_ && news_.wait_until(end)) news_.clear();
    }
    void wait() {
        while (!decided()) {
            news_.wait();
            news_.clear();
        }
    }

    bool has_winner() const noexcept { return winner_.has_value(); }

    socket result() {
        if (!winner_) std::rethrow_exception(error_);
        return *std::move(winner_);
    }

private:
    bool decided() const noexcept { return winner_ || running_ == 0; }

    void attempt(const endpoint& there, std::size_t number) {
        try {
            socket connected = detail::connect_by(there, within_);
            if (!winner_) winner_ = std::move(connected);
        } catch (const std::exception&) {
            error_ = std::current_exception();
            if (number + 1 == attempts_.size()) newest_failed_ = true;
        }
        --running_;
        news_.set();
    }

    const detail::limit within_;  // its end is fixed: it is one for all
    std::vector<fiber<void>> attempts_;
    std::size_t running_ = 0;
    bool newest_failed_ = false;
    event news_;
    std::optional<socket> winner_;
    std::exception_ptr error_;
};

}  // namespace

socket detail::connect_by(std::string_view there, limit within) { return connect_by(there, connect_options(), within); }

socket detail::connect_by(std::string_view there, const connect_options& with, limit within) {
    copse::detail::attend();  // where nobody can wait, nobody could wait for the end of attempts either
    within.deadline();        // one for the lookup and the connection
    std::vector<endpoint> all = find_endpoints(there, within);
    if (with.allow_address) {
        by_deadline(clock::time_point(std::chrono::nanoseconds(within.deadline())), "connect_options::allow_address",
                    [&] { keep_allowed(all, with.allow_address, there); });
    }
    return connect_to_one_of(std::move(all), within);
}

socket detail::connect_to_one_of(std::vector<endpoint> all, limit within) {
    all = interleaved(std::move(all));
    if (all.size() == 1) return connect_by(all.front(), within);
    race addresses(within);
    for (const endpoint& one : all) {
        addresses.start(one);
        if (&one != &all.back()) addresses.wait_a_while();
        if (addresses.has_winner()) break;
    }
    addresses.wait();
    return addresses.result();
}

}  // namespace copse::io
