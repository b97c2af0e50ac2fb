#pragma once

/// A fixture for scenarios that are run in every order, and with everything that may come in between; and what they keep
/// account by.

#include "hub_test.hpp"
#include "sanitizer.hpp"

#include <copse/explore.hpp>

#include <gtest/gtest.h>

#include <algorithm>
#include <cstddef>
#include <cstdlib>
#include <deque>
#include <iostream>
#include <memory>
#include <optional>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

namespace copse_test {

/// How many executions this process has run so far; said at its end.
class executions : public testing::Environment {
public:
    static inline std::size_t count = 0;

    void TearDown() override {
        if (count != 0) std::cout << "explored " << count << " executions\n";
    }
};

inline testing::Environment* const told_at_the_end = testing::AddGlobalTestEnvironment(new executions);

/// Executions at most, of each kind of exploration. Sanitizers get a share; COPSE_EFFORT=20 in the environment makes it
/// that many times as many.
inline std::size_t effort(std::size_t wanted) {
    static const std::size_t times = [] {
        const char* const text = std::getenv("COPSE_EFFORT");  // NOLINT(concurrency-mt-unsafe): read only
        return text == nullptr ? 1 : std::max<std::size_t>(std::strtoul(text, nullptr, 10), 1);
    }();
    // ThreadSanitizer is slow, and has only one thread to look at here.
    const std::size_t share = thread_sanitized ? wanted / 100 : address_sanitized ? wanted / 20 : wanted;
    return times * std::max(share, std::min<std::size_t>(wanted, 50));
}

class exploring : public hub_test {
protected:
    struct bounds {
        std::size_t limit = 20'000;
        std::size_t seeds = 1'000;
        bool kills = true;
        bool timeouts = true;
        bool deadlines = true;  // not where main looks after those who wait in vain by one
    };

    /// In every order: by itself, with a kill, with a timeout, with a deadline that comes early; then by seeds with several
    /// of them.
    void explore_all(const std::string& name, const copse::scenario& scene, const bounds& b) {
        explore({.name = name, .limit = effort(b.limit)}, scene);
        if (b.deadlines) explore({.name = name + ".deadline", .deadlines = true, .limit = effort(b.limit)}, scene);
        if (b.kills) explore({.name = name + ".kill", .kills = true, .limit = effort(b.limit)}, scene);
        if (b.timeouts) explore({.name = name + ".timeout", .timeouts = true, .limit = effort(b.limit)}, scene);
        explore_seeds({.name = name,
                       .kills = b.kills,
                       .timeouts = b.timeouts,
                       .deadlines = b.deadlines,
                       .interferences = 3,
                       .seeds = effort(b.seeds)},
                      scene);
    }
    void explore_all(const std::string& name, const copse::scenario& scene) { explore_all(name, scene, bounds()); }

    void explore(const copse::explore_options& with, const copse::scenario& scene) {
        run([&] { return copse::explore(with, scene); });
    }
    void explore_seeds(const copse::explore_seeds_options& with, const copse::scenario& scene) {
        run([&] { return copse::explore_seeds(with, scene); });
    }

private:
    template <class F>
    static void run(F f) {
        try {
            const copse::explored e = f();
            executions::count += e.executions;
        } catch (const std::exception& e) {
            ADD_FAILURE() << e.what();
        }
    }
};

/// Hand-over in the order of arrival: whoever was overtaken may not get through any more.
class fair_line {
public:
    explicit fair_line(copse::exploration& run) : run_(run) {}

    /// Calls `wait`, which waits in line. What it throws passes.
    template <class F>
    void pass(F wait) {
        auto me = std::make_shared<bool>(false);
        line_.push_back(me);
        try {
            wait();
        } catch (...) {
            line_.erase(std::find(line_.begin(), line_.end(), me));
            throw;
        }
        run_.check(!*me, "it is handed over in the order of arrival");
        const auto at = std::find(line_.begin(), line_.end(), me);
        for (auto before = line_.begin(); before != at; ++before) **before = true;
        line_.erase(at);
    }

private:
    copse::exploration& run_;
    std::deque<std::shared_ptr<bool>> line_;  // whether each was overtaken
};

/// Items that change hands: each is at one place in the end.
class stock {
public:
    using item = std::unique_ptr<int>;

    explicit stock(copse::exploration& run) : run_(run) {}

    /// Calls `put(item&&)` with a new item. What it throws passes; who throws has kept the item. `put` may say no by false.
    template <class F>
    void put(int number, F put) {
        ++made_;
        item one = std::make_unique<int>(number);
        bool taken = true;
        try {
            if constexpr (std::is_same_v<decltype(put(std::move(one))), bool>) {
                taken = put(std::move(one));
            } else {
                put(std::move(one));
            }
        } catch (...) {
            run_.check(one != nullptr, "who throws still has the item");
            if (one) ++kept_;
            throw;
        }
        run_.check((one == nullptr) == taken, "an item that was put is gone, and any other is not");
        if (one) ++kept_;
    }

    void got(item one) {
        run_.check(one != nullptr, "an item is no husk");
        if (one) got_.push_back(*one);
    }
    void got(std::optional<item> one) {
        if (one) got(std::move(*one));
    }

    /// In the end: what is still inside has been got.
    void settle() {
        run_.check(got_.size() + kept_ == made_, "no item is lost or comes twice");
        std::vector<int> all = got_;
        std::sort(all.begin(), all.end());
        run_.check(std::adjacent_find(all.begin(), all.end()) == all.end(), "no item comes twice");
    }

    std::size_t made() const { return made_; }
    std::size_t kept() const { return kept_; }
    const std::vector<int>& all_got() const { return got_; }

private:
    copse::exploration& run_;
    std::size_t made_ = 0;
    std::size_t kept_ = 0;
    std::vector<int> got_;
};

/// A queue of a kind that has a capacity, or a channel, which has none.
template <class Queue>
std::unique_ptr<Queue> make_queue([[maybe_unused]] std::size_t capacity) {
    if constexpr (std::is_constructible_v<Queue, std::size_t>) {
        return std::make_unique<Queue>(capacity);
    } else {
        return std::make_unique<Queue>();
    }
}

/// So many are inside at a time, at most.
class room {
public:
    room(copse::exploration& run, int most) : run_(run), most_(most) {}

    class visit {
    public:
        explicit visit(room& in) : in_(in) {
            in_.run_.check(++in_.inside_ <= in_.most_, "no more are inside than may be");
        }
        visit(const visit&) = delete;
        visit& operator=(const visit&) = delete;
        ~visit() { --in_.inside_; }

    private:
        room& in_;
    };

    int inside() const { return inside_; }

private:
    copse::exploration& run_;
    int most_;
    int inside_ = 0;
};

}  // namespace copse_test
