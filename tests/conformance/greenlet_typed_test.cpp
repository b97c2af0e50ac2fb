// typed_greenlet: the types of both directions are fixed.

#include <copse/typed_greenlet.hpp>

#include "exceptions.hpp"
#include "leak_check.hpp"

#include <cstddef>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <type_traits>

using copse::typed_greenlet;

namespace {

class TypedGreenlet : public copse_test::leak_check {};

template <class G, class... Args>
concept can_be_sent = requires(const G& g, Args... args) {
    g.switch_to(args...);
};

static_assert(can_be_sent<typed_greenlet<int(int)>, int>);
static_assert(!can_be_sent<typed_greenlet<int(int)>, std::string>);
static_assert(!can_be_sent<typed_greenlet<int(int)>>);
static_assert(!can_be_sent<typed_greenlet<int()>, int>);
static_assert(std::is_same_v<decltype(typed_greenlet<std::string(int)>().switch_to(1)), std::string>);

// rules 11, 12
TEST_F(TypedGreenlet, SendsAndReturnsItsTypes) {
    typed_greenlet<int(int)> doubler([](auto send, int n) {
        for (int round = 0; round < 2; ++round) n = send(2 * n);
        return -1;
    });
    EXPECT_EQ(doubler.switch_to(4), 8);
    EXPECT_EQ(doubler.switch_to(5), 10);
    EXPECT_EQ(doubler.switch_to(6), -1);
    EXPECT_TRUE(doubler.dead());
}

TEST_F(TypedGreenlet, TakesSeveralAndSendsText) {
    typed_greenlet<std::string(int, std::string)> g([](auto send, int n, const std::string& text) {
        auto [m, more] = send(text + std::to_string(n));
        return more + std::to_string(m);
    });
    EXPECT_EQ(g.switch_to(1, "a"), "a1");
    EXPECT_EQ(g.switch_to(2, "b"), "b2");
}

TEST_F(TypedGreenlet, MaySendNothingAndTakeNothing) {
    typed_greenlet<void()> g([&](auto send) {
        log("first");
        send();
        log("second");
    });
    g.switch_to();
    EXPECT_TRUE(g.active());
    g.switch_to();
    EXPECT_TRUE(g.dead());
    EXPECT_EQ(log.text(), "first second");
}

TEST_F(TypedGreenlet, CarriesWhatOnlyMoves) {
    typed_greenlet<std::unique_ptr<int>(std::unique_ptr<int>)> g(
        [](auto, std::unique_ptr<int> p) { return std::make_unique<int>(*p + 1); });
    EXPECT_EQ(*g.switch_to(std::make_unique<int>(1)), 2);
}

TEST_F(TypedGreenlet, RaisesLikeAnyOther) {
    typed_greenlet<int(int)> g([](auto send, int n) {
        try {
            return send(n);
        } catch (const std::runtime_error&) {
            return 99;
        }
    });
    EXPECT_EQ(g.switch_to(1), 1);
    EXPECT_EQ(g.raise(std::runtime_error("x")), 99);
    typed_greenlet<int(int)> failing([](auto, int) -> int { throw std::runtime_error("out"); });
    EXPECT_EQ(copse_test::what_is_thrown_by([&] { failing.switch_to(1); }), "out");
}

TEST_F(TypedGreenlet, RaiseWithoutAnArgumentEndsItQuietly) {
    typed_greenlet<int(int)> g([](auto send, int n) {
        for (;;) n = send(n);
        return 0;
    });
    EXPECT_EQ(g.switch_to(1), 1);
    EXPECT_EQ(g.raise(), std::nullopt);
    EXPECT_TRUE(g.dead());
}

// Where a dead greenlet would lead (rule 17) the types are others.
TEST_F(TypedGreenlet, ADeadOneIsNotEntered) {
    typed_greenlet<int(int)> g([](auto, int n) { return n; });
    EXPECT_EQ(g.switch_to(1), 1);
    EXPECT_THROW(g.switch_to(3), copse::error);
}

struct null_body {
    bool operator==(std::nullptr_t) const { return true; }
    template <class Send>
    int operator()(Send) const {
        return 1;
    }
};

TEST_F(TypedGreenlet, ANullBodyIsRefused) { EXPECT_THROW(typed_greenlet<int()>{null_body()}, copse::null_callable); }

TEST_F(TypedGreenlet, WrongTypeByHandIsRefused) {
    typed_greenlet<int(int)> g([](auto, int n) { return n; });
    EXPECT_THROW(g.underlying().switch_to("text"), copse::bad_value_cast);
}

}  // namespace
