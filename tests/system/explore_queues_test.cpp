// Queues of every kind, channels and select in every order of small scenarios: QU01 to QU16, P5; decision 3.

#include <copse/fibers.hpp>

#include "at_end.hpp"
#include "exploring.hpp"

#include <algorithm>
#include <chrono>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

using copse::exploration;
using copse::spawn;
using copse::yield;
using copse_test::make_queue;
using copse_test::stock;
using parcel = stock::item;
using namespace std::chrono_literals;

namespace {

class ExploreQueues : public copse_test::exploring {
protected:
    // Two put and two get, by every kind of call; then it is closed, and what is left is got.
    template <class Queue>
    static copse::scenario traffic(std::size_t capacity) {
        return [capacity](exploration& run) {
            const auto q = make_queue<Queue>(capacity);
            stock items(run);
            const auto a = spawn([&] {
                for (int i = 10; i < 13; ++i) items.put(i, [&](parcel&& x) { q->put(std::move(x)); });
            });
            const auto b = spawn([&] {
                items.put(20, [&](parcel&& x) { return q->put_for(std::move(x), 1ms); });
                items.put(21, [&](parcel&& x) { return q->try_put(std::move(x)); });
                items.put(22, [&](parcel&& x) { return q->put_for(std::move(x), 0ms); });
            });
            const auto c = spawn([&] {
                items.got(q->get());
                items.got(q->get_for(1ms));
            });
            const auto d = spawn([&] {
                items.got(q->get_for(0ms));
                items.got(q->try_get());
                items.got(q->get());
            });
            const auto rest = spawn([&] {
                copse::sleep(10ms);
                for (parcel& x : *q) items.got(std::move(x));
            });
            copse::join_all(copse::join_options{.timeout = 20ms}, a, b, c, d);
            q->close();
            const auto closed = [](const auto& f) {
                try {
                    f.get();
                } catch (const copse::queue_closed&) {
                    return true;
                } catch (...) {}
                return false;
            };
            for (const auto& f : {a, b, c, d, rest}) {
                f.join();
                closed(f);
            }
            if constexpr (requires { q->size(); }) {
                while (q->size() != 0) items.got(q->get());
            }
            items.settle();
        };
    }
};

TEST_F(ExploreQueues, ItemsOfAQueue) { explore_all("queue", traffic<copse::queue<parcel>>(1)); }

TEST_F(ExploreQueues, ItemsOfARoomyQueue) { explore_all("queue2", traffic<copse::queue<parcel>>(2)); }

TEST_F(ExploreQueues, ItemsOfALifoQueue) { explore_all("lifo_queue", traffic<copse::lifo_queue<parcel>>(1)); }

TEST_F(ExploreQueues, ItemsOfAPriorityQueue) {
    explore_all("priority_queue", traffic<copse::priority_queue<parcel>>(1));
}

TEST_F(ExploreQueues, ItemsOfAJoinableQueue) {
    explore_all("joinable_queue", traffic<copse::joinable_queue<parcel>>(1));
}

TEST_F(ExploreQueues, ItemsOfAChannel) { explore_all("channel", traffic<copse::channel<parcel>>(0)); }

template <class Queue>
copse::scenario in_order(std::size_t capacity) {
    return [capacity](exploration& run) {
        const auto q = make_queue<Queue>(capacity);
        std::vector<int> got;
        const auto put = [&](int first) {
            for (int i = first; i < first + 2; ++i) q->put(i);
        };
        const auto a = spawn(put, 10);
        const auto b = spawn(put, 20);
        const auto reader = spawn([&] {
            for (const int n : *q) got.push_back(n);
        });
        copse::join_all(copse::join_options{.timeout = 1s}, a, b);  // the reader may have been killed
        q->close();
        copse::join_all(a, b, reader);
        (void)a.exception();
        (void)b.exception();
        while (auto n = q->try_get()) got.push_back(*n);
        const auto follows = [&](int first) {
            const auto at = std::find(got.begin(), got.end(), first);
            return std::find(got.begin(), at, first + 1) == at;
        };
        run.check(follows(10) && follows(20), "what one puts comes in its order");
        run.check(got.size() == 4 || run.interfered(), "all come");
    };
}

TEST_F(ExploreQueues, OrderOfAQueue) {
    explore_all("queue_order", in_order<copse::queue<int>>(1), {.deadlines = false});
}
TEST_F(ExploreQueues, OrderOfAChannel) {
    explore_all("channel_order", in_order<copse::channel<int>>(0), {.deadlines = false});
}

TEST_F(ExploreQueues, WhoLooksAndWhoTakes) {
    explore_all("queue_peek", [](exploration& run) {
        copse::queue<int> q(1);
        int seen = 0;
        std::vector<int> got;
        const auto a = spawn([&] {
            if (const auto n = q.peek_for(5ms)) seen += *n;
        });
        const auto b = spawn([&] {
            if (const auto n = q.get_for(5ms)) got.push_back(*n);
        });
        const auto c = spawn([&] {
            if (const auto n = q.peek_for(0ms)) seen += *n;
            if (const auto n = q.get_for(5ms)) got.push_back(*n);
        });
        yield();
        int put = 0;
        for (int i = 1; i < 3; ++i) put += q.put_for(i, 1ms) ? 1 : 0;
        copse::join_all(a, b, c);
        run.check(got.size() + q.size() == static_cast<std::size_t>(put), "looking takes nothing");
    });
}

TEST_F(ExploreQueues, JoinersOfWork) {
    explore_all("joinable_queue_join", [](exploration& run) {
        copse::joinable_queue<int> q(1);
        int done = 0;
        const auto work = [&] {
            for (int n : q) {
                const copse_test::at_end report([&] { q.task_done(); });
                (void)n;
                yield();
                ++done;
            }
        };
        const auto a = spawn(work);
        const auto b = spawn(work);
        const auto joiner = spawn([&] {
            yield();
            q.join();
            run.check(q.unfinished() == 0 || done < 3, "nothing is left when a joiner goes on");
        });
        for (int i = 0; i < 3; ++i) q.put_for(i, 1s);  // both workers may have been killed
        q.join_for(1s);
        q.close_and_drop();
        copse::join_all(a, b, joiner);
        run.check(q.unfinished() == 0, "all that was got has been reported");
        run.check(done == 3 || run.interfered(), "all has been done");
    });
}

TEST_F(ExploreQueues, CloseInTheMiddle) {
    explore_all("queue_close", [](exploration& run) {
        copse::queue<parcel> q(1);
        stock items(run);
        const auto put = [&](int n) {
            try {
                for (int i = n; i < n + 2; ++i) items.put(i, [&](parcel&& x) { q.put(std::move(x)); });
            } catch (const copse::queue_closed&) {}
        };
        const auto get = [&] {
            for (parcel& x : q) items.got(std::move(x));
        };
        const auto a = spawn(put, 10);
        const auto b = spawn(put, 20);
        const auto c = spawn(get);
        const auto d = spawn([&] {
            yield();
            q.close();
        });
        copse::join_all(d);
        q.close();
        copse::join_all(a, b, c);
        while (auto x = q.try_get()) items.got(std::move(*x));
        items.settle();
    });
}

// ---- select

TEST_F(ExploreQueues, SelectTakesOne) {
    explore_all("select_get", [](exploration& run) {
        copse::channel<parcel> left;
        copse::queue<parcel> right(1);
        stock items(run);
        const auto get = [&] {
            for (int i = 0; i < 2; ++i) {
                copse::select_for(1ms, copse::on_get(left, [&](parcel x) { items.got(std::move(x)); }),
                                  copse::on_get(right, [&](parcel x) { items.got(std::move(x)); }));
            }
        };
        const auto a = spawn(get);
        const auto b = spawn(get);
        const auto c = spawn([&] { items.put(1, [&](parcel&& x) { return left.put_for(std::move(x), 1ms); }); });
        const auto d = spawn([&] {
            items.put(2, [&](parcel&& x) { return right.put_for(std::move(x), 1ms); });
            items.put(3, [&](parcel&& x) { return right.put_for(std::move(x), 0ms); });
        });
        copse::join_all(a, b, c, d);
        while (auto x = right.try_get()) items.got(std::move(*x));
        items.settle();
    });
}

// Both sides select; each parcel is in its case, or has been got.
TEST_F(ExploreQueues, SelectMeetsSelect) {
    explore_all("select_select", [](exploration& run) {
        copse::channel<parcel> one;
        copse::channel<parcel> other;
        yield();
        int put = 0;
        int got = 0;
        const auto give = [&](int n) {
            auto first = copse::on_put(one, std::make_unique<int>(n), [&] { ++put; });
            auto second = copse::on_put(other, std::make_unique<int>(n + 1), [&] { ++put; });
            const auto whole = [&] {
                const auto there = [](const std::optional<parcel>& x) { return x.has_value() && *x != nullptr; };
                return (there(first.item()) ? 1 : 0) + (there(second.item()) ? 1 : 0);
            };
            bool happened = false;
            try {
                happened = copse::select_for(1ms, first, second).has_value();
            } catch (...) {
                run.check(whole() == 2, "who is killed keeps its items");
                throw;
            }
            run.check(whole() == (happened ? 1 : 2), "one is gone, if it happened");
        };
        const auto take = [&] {
            copse::select_for(1ms, copse::on_get(one, [&](parcel x) { got += x != nullptr ? 1 : 0; }),
                              copse::on_get(other, [&](parcel x) { got += x != nullptr ? 1 : 0; }));
        };
        const auto a = spawn(give, 10);
        const auto b = spawn(give, 20);
        const auto c = spawn(take);
        const auto d = spawn(take);
        copse::join_all(a, b, c, d);
        run.check(put == got, "what is put is got");
    });
}

TEST_F(ExploreQueues, SelectAndClose) {
    explore_all("select_close", [](exploration& run) {
        copse::queue<int> q(1);
        copse::channel<int> stop;
        int got = 0;
        int stopped = 0;
        const auto listen = [&] {
            for (bool over = false; !over;) {
                copse::select(copse::on_get(q, [&](int) { ++got; }), copse::on_get(stop, [&](std::optional<int> n) {
                                  run.check(!n, "nothing is put there");
                                  over = true;
                                  ++stopped;
                              }));
            }
        };
        const auto a = spawn(listen);
        const auto b = spawn(listen);
        const auto c = spawn([&] {
            q.put(1);
            q.put(2);
        });
        yield();
        const bool mine = q.put_for(3, 1ms);
        stop.close();
        copse::join_all(a, b);
        q.close();
        c.join();
        (void)c.exception();
        run.check(stopped == 2 || run.interfered(), "both hear of the end");
        run.check(got + static_cast<int>(q.size()) <= 2 + (mine ? 1 : 0), "nothing comes twice");
    });
}

}  // namespace
