// Generators: made by hand from parents and switches, and copse::generator. Rule 72, E18, E19.

#include <copse/event.hpp>
#include <copse/generator.hpp>
#include <copse/greenlet.hpp>

#include "at_end.hpp"
#include "exceptions.hpp"
#include "leak_check.hpp"

#include <algorithm>
#include <functional>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

using copse::generator;
using copse::greenlet;
using copse::value;
using copse_test::at_end;
using copse_test::to_parent;

namespace {

class GreenletGenlet : public copse_test::leak_check {};
class GreenletGenerator : public copse_test::leak_check {};

// A generator made by hand: who asks for the next item becomes the parent, so that the end comes to it as well.
class genlet {
public:
    template <class F>
    explicit genlet(F body) : state_(std::make_unique<state>(greenlet(std::move(body)))) {
        all.push_back(state_.get());
    }
    genlet(genlet&&) noexcept = default;
    genlet& operator=(genlet&&) = delete;
    ~genlet() { std::erase(all, state_.get()); }

    std::optional<int> next() {
        state_->inside.set_parent(greenlet::current());
        const greenlet into = state_->yielded.empty() ? state_->inside : std::exchange(state_->yielded, greenlet());
        const value item = into.switch_to();
        if (state_->inside.dead()) return std::nullopt;
        return item.as<int>();
    }

    // Yields to the consumer of the nearest genlet around, or (with more levels) to that one's consumer, and so on.
    static void yield(int item, int levels = 1) {
        const greenlet* at = &greenlet::current();
        for (;; at = &at->parent()) {
            if (at->is_main()) throw std::logic_error("yield outside a genlet");
            const auto found = std::find_if(all.begin(), all.end(), [&](const state* s) { return s->inside == *at; });
            if (found == all.end() || --levels > 0) continue;
            (*found)->yielded = greenlet::current();
            at->parent().switch_to(item);
            return;
        }
    }

private:
    struct state {
        explicit state(greenlet g) : inside(std::move(g)) {}
        greenlet inside;
        greenlet yielded;  // who is to continue when the next item is asked for; empty: `inside`
    };
    static inline std::vector<state*> all;

    std::unique_ptr<state> state_;
};

std::vector<int> all_of(genlet g) {
    std::vector<int> items;
    while (const auto item = g.next()) items.push_back(*item);
    return items;
}

template <class T>
std::vector<T> all_of(generator<T> g) {
    std::vector<T> items;
    for (T& item : g) items.push_back(std::move(item));
    return items;
}

// rule 72
TEST_F(GreenletGenlet, YieldsToItsConsumer) {
    EXPECT_EQ(all_of(genlet([] {
                  for (int i = 0; i < 3; ++i) genlet::yield(i);
              })),
              (std::vector{0, 1, 2}));
}

// rule 72
TEST_F(GreenletGenlet, YieldsToTheConsumersConsumer) {
    const auto numbers = [] {
        for (int i = 1; i < 5; ++i) genlet::yield(i * i);
    };
    genlet outer([&] {
        genlet inner(numbers);
        for (int n = 1; const auto square = inner.next(); ++n) {
            genlet::yield(n);
            genlet::yield(*square);
        }
    });
    EXPECT_EQ(all_of(std::move(outer)), (std::vector{1, 1, 2, 4, 3, 9, 4, 16}));

    // the inner one speaks past the outer one to main
    genlet layered([&] {
        genlet inner([] {
            for (int i = 1; i < 5; ++i) {
                genlet::yield(i, 2);
                genlet::yield(i * i);
            }
        });
        while (const auto square = inner.next()) genlet::yield(*square);
    });
    EXPECT_EQ(all_of(std::move(layered)), (std::vector{1, 1, 2, 4, 3, 9, 4, 16}));
}

// rule 72
TEST_F(GreenletGenlet, YieldOutsideIsAnError) {
    EXPECT_THROW(genlet::yield(1), std::logic_error);
    greenlet g([] { genlet::yield(1); });
    EXPECT_THROW(g.switch_to(), std::logic_error);
}

// rule 72
TEST_F(GreenletGenlet, RecursesThroughNestedOnes) {
    const std::function<void(int)> down = [&](int n) {
        if (n == 0) return;
        genlet inner([&down, n] { down(n - 1); });
        while (const auto item = inner.next()) genlet::yield(*item);
        genlet::yield(n);
    };
    EXPECT_EQ(all_of(genlet([&] { down(5); })), (std::vector{1, 2, 3, 4, 5}));
}

// rule 72
TEST_F(GreenletGenerator, YieldsInARangeFor) {
    generator<int> squares([](auto yield) {
        for (int i = 0;; ++i) yield(i * i);
    });
    for (const int s : squares) {
        if (s > 30) break;
        log(s);
    }
    EXPECT_EQ(log.text(), "0 1 4 9 16 25");
}

TEST_F(GreenletGenerator, EndsWithItsBody) {
    generator<std::string> g([](auto yield) {
        yield("a");
        yield(std::string("b"));
    });
    EXPECT_EQ(g.next(), "a");
    EXPECT_EQ(g.next(), "b");
    EXPECT_FALSE(g.exhausted());
    EXPECT_EQ(g.next(), std::nullopt);
    EXPECT_TRUE(g.exhausted());
    EXPECT_EQ(g.next(), std::nullopt);
    EXPECT_EQ(generator<int>().next(), std::nullopt);
}

TEST_F(GreenletGenerator, RunsNothingBeforeTheFirstItemIsAskedFor) {
    generator<int> g([&](auto yield) {
        log("body");
        yield(1);
    });
    log("made");
    g.next();
    EXPECT_EQ(log.text(), "made body");
}

struct tree {
    int label;
    std::vector<tree> children;

    template <class Yield>
    void walk(Yield yield) const {
        yield(label);
        for (const tree& child : children) child.walk(yield);
    }
};

// rule 72
TEST_F(GreenletGenerator, YieldsFromNestedCalls) {
    const tree root{1, {{2, {{3, {}}}}, {4, {}}}};
    EXPECT_EQ(all_of(generator<int>([&](auto yield) { root.walk(yield); })), (std::vector{1, 2, 3, 4}));
}

// rule 72: an inner one's body yields for the outer one
TEST_F(GreenletGenerator, InnerBodyYieldsForTheOuterOne) {
    generator<int> outer([](auto yield) {
        generator<int> inner([yield](auto inner_yield) {
            for (int i = 1; i < 5; ++i) {
                yield(i);
                inner_yield(i * i);
            }
        });
        for (const int square : inner) yield(square);
    });
    EXPECT_EQ(all_of(std::move(outer)), (std::vector{1, 1, 2, 4, 3, 9, 4, 16}));
}

generator<std::vector<int>> permutations(std::vector<int> of) {
    return generator<std::vector<int>>([of = std::move(of)](auto yield) {
        if (of.size() <= 1) {
            yield(of);
            return;
        }
        std::vector<int> rest(of.begin() + 1, of.end());
        generator<std::vector<int>> shorter = permutations(rest);
        for (const std::vector<int>& p : shorter) {
            for (std::size_t at = 0; at <= p.size(); ++at) {
                std::vector<int> longer = p;
                longer.insert(longer.begin() + static_cast<std::ptrdiff_t>(at), of.front());
                yield(longer);
            }
        }
    });
}

// rule 72
TEST_F(GreenletGenerator, MakesPermutationsByRecursion) {
    auto all = all_of(permutations({1, 2, 3, 4}));
    EXPECT_EQ(all.size(), 24U);
    EXPECT_EQ(all.front(), (std::vector{1, 2, 3, 4}));
    std::sort(all.begin(), all.end());
    EXPECT_EQ(std::unique(all.begin(), all.end()), all.end());
}

TEST_F(GreenletGenerator, TwoMayBeAskedInTurn) {
    auto numbers = permutations({1, 2, 3});
    auto others = permutations({4, 5, 6});
    int pairs = 0;
    for (;; ++pairs) {
        const auto a = numbers.next();
        const auto b = others.next();
        EXPECT_EQ(a.has_value(), b.has_value());
        if (!a || !b) break;
        EXPECT_EQ(a->size(), b->size());
    }
    EXPECT_EQ(pairs, 6);
}

// rule 72: the same items in the same order, whichever way they are made
TEST_F(GreenletGenerator, GivesTheOrderOfAGenletAndOfPlainCalls) {
    std::vector<int> plain;
    const auto nested = [](auto yield, int n, auto& self) -> void {
        if (n == 0) return;
        self(yield, n - 1, self);
        yield(n);
        self(yield, n - 1, self);
    };
    nested([&](int n) { plain.push_back(n); }, 4, nested);
    EXPECT_EQ(all_of(generator<int>([&](auto yield) { nested(yield, 4, nested); })), plain);
    EXPECT_EQ(all_of(genlet([&] { nested([](int n) { genlet::yield(n); }, 4, nested); })), plain);
}

TEST_F(GreenletGenerator, SendDeliversIntoYield) {
    generator<int, std::string> g([&](auto yield) {
        for (int i = 0; i < 3; ++i) log(yield(i));
    });
    EXPECT_THROW(g.send("too early"), copse::error);
    EXPECT_EQ(g.next(), 0);
    EXPECT_EQ(g.send("a"), 1);
    EXPECT_EQ(g.send("b"), 2);
    EXPECT_EQ(g.send("c"), std::nullopt);
    EXPECT_EQ(log.text(), "a b c");
}

TEST_F(GreenletGenerator, ExceptionOfTheBodyReachesWhoAsksOnce) {
    generator<int> g([](auto yield) {
        yield(1);
        throw std::runtime_error("broken");
    });
    EXPECT_EQ(g.next(), 1);
    EXPECT_EQ(copse_test::what_is_thrown_by([&] { g.next(); }), "broken");
    EXPECT_EQ(g.next(), std::nullopt);
}

TEST_F(GreenletGenerator, DroppingASuspendedOneRunsTheBodysDestructors) {
    {
        generator<int> g([&](auto yield) {
            const at_end last([&] { log("closed"); });
            for (;;) yield(1);
        });
        g.next();
        generator<int> moved = std::move(g);
        EXPECT_EQ(moved.next(), 1);
        log("drop");
    }
    EXPECT_EQ(log.text(), "drop closed");
}

TEST_F(GreenletGenerator, YieldWithoutAConsumerIsAnError) {
    std::function<void(int)> leaked;
    generator<int> g([&](auto yield) {
        leaked = [yield](int n) { yield(n); };
        yield(1);
    });
    g.next();
    EXPECT_THROW(leaked(2), copse::error);
    EXPECT_EQ(g.next(), std::nullopt);
}

TEST_F(GreenletGenerator, AskingFromInsideItselfIsAnError) {
    generator<int>* self = nullptr;
    generator<int> g([&](auto yield) {
        EXPECT_THROW(self->next(), copse::error);
        yield(1);
    });
    self = &g;
    EXPECT_EQ(g.next(), 1);
}

// rule 72: bodies may switch by hand
TEST_F(GreenletGenerator, BodyMaySwitchByHandBetweenItems) {
    greenlet other([&] {
        for (;;) {
            log("other");
            to_parent();
        }
    });
    generator<int> g([&](auto yield) {
        for (int i = 0; i < 2; ++i) {
            other.set_parent(greenlet::current());
            other.switch_to();
            yield(i);
        }
    });
    for (const int i : g) log(i);
    EXPECT_EQ(log.text(), "other 0 other 1");
    other.set_parent(greenlet::current());
}

// rule 41: a generator does not keep the greenlet that consumes it
TEST_F(GreenletGenerator, SuspendedConsumerCanBeDropped) {
    greenlet consumer([&] {
        const at_end last([&] { log("consumer"); });
        generator<int> g([&](auto yield) {
            const at_end last_inside([&] { log("generator"); });
            for (int i = 0;; ++i) yield(i);
        });
        for (const int i : g) to_parent(i);
    });
    EXPECT_EQ(consumer.switch_to().as<int>(), 0);
    EXPECT_EQ(consumer.switch_to().as<int>(), 1);
    consumer = greenlet();
    EXPECT_EQ(log.take(), "generator consumer");
}

// An exception comes into the consumer while the body waits in the hub: nobody will ask for what it yields then.
TEST_F(GreenletGenerator, WhatIsRaisedIntoTheConsumerEndsABodyThatWaits) {
    copse::event never;
    generator<int> g([&](auto yield) {
        const at_end told([&] { log("body over"); });
        never.wait();
        yield(1);
    });
    EXPECT_THROW(g.next(), copse::would_block_forever);
    EXPECT_EQ(log.text(), "body over");
    EXPECT_EQ(g.next(), std::nullopt);
}

TEST_F(GreenletGenerator, AConsumerThatIsEnteredByHandIsTold) {
    const greenlet consumer = greenlet::current();
    generator<int> g([&](auto) { consumer.switch_to(); });
    EXPECT_THROW(g.next(), copse::error);
    EXPECT_TRUE(g.exhausted());
}

TEST_F(GreenletGenerator, ANullBodyIsRefused) {
    using body = std::function<void(generator<int>::yielder)>;
    EXPECT_THROW(generator<int>{body()}, copse::null_callable);
}

}  // namespace
