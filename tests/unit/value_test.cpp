// value: what it holds, how it moves, what it refuses. Rules 11 to 16 and 84, faults SW16 and SW17.

#include <copse/error.hpp>
#include <copse/value.hpp>

#include <gtest/gtest.h>

#include <any>
#include <array>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

using copse::value;
using namespace std::string_literals;

namespace {

static_assert(!std::is_copy_constructible_v<value> && !std::is_copy_assignable_v<value>);
static_assert(std::is_nothrow_move_constructible_v<value> && std::is_nothrow_move_assignable_v<value>);
static_assert(std::is_nothrow_default_constructible_v<value> && std::is_nothrow_swappable_v<value>);
static_assert(std::is_convertible_v<int, value> && !std::is_convertible_v<value, bool>);
static_assert(sizeof(value) == 32);

constinit value made_before_main;

// Counts its live objects and the constructors that ran; throws from the construction that `fuse` names.
struct counted {
    static inline int live = 0;
    static inline int copies = 0;
    static inline int moves = 0;
    static inline int fuse = 0;  // 0: never; 1: the next copy or move throws; …

    explicit counted(int n = 0) : number(n) { ++live; }
    counted(const counted& other) : number(other.number) {
        burn();
        ++copies;
        ++live;
    }
    counted(counted&& other) noexcept(false) : number(std::exchange(other.number, -1)) {
        burn();
        ++moves;
        ++live;
    }
    counted& operator=(const counted&) = delete;
    ~counted() { --live; }

    int number;

private:
    static void burn() {
        if (fuse > 0 && --fuse == 0) throw std::runtime_error("no copy today");
    }
};

class ValueCounted : public testing::Test {
protected:
    void SetUp() override { counted::live = counted::copies = counted::moves = counted::fuse = 0; }
    void TearDown() override { EXPECT_EQ(counted::live, 0); }
};

struct alignas(64) wide_aligned {
    explicit wide_aligned(int n) : number(n) {}
    int number;
};

struct three_words {
    std::array<std::uint64_t, 3> words;
};

struct nothing {};

struct aggregate {
    int a;
    std::string b;
};

std::string refusal(const std::function<void()>& cast) {
    try {
        cast();
    } catch (const copse::bad_value_cast& e) {
        return e.what();
    }
    return "not refused";
}

TEST(Value, IsEmptyByDefault) {
    const value v;
    EXPECT_FALSE(v.has_value());
    EXPECT_FALSE(static_cast<bool>(v));
    EXPECT_TRUE(v.type() == typeid(void));
    EXPECT_FALSE(v.holds<int>());
    EXPECT_EQ(v.get_if<int>(), nullptr);
    EXPECT_FALSE(made_before_main.has_value());
}

TEST(Value, HoldsExactlyTheTypeItWasMadeFrom) {
    const value v = 42;
    EXPECT_TRUE(v.has_value());
    EXPECT_TRUE(v.type() == typeid(int));
    EXPECT_TRUE(v.holds<int>());
    EXPECT_FALSE(v.holds<long>());
    EXPECT_FALSE(v.holds<unsigned>());
    EXPECT_EQ(v.as<int>(), 42);
    EXPECT_EQ(*v.get_if<int>(), 42);
}

TEST(Value, FalseIsAValue) {
    const value v = false;
    EXPECT_TRUE(static_cast<bool>(v));
    EXPECT_FALSE(v.as<bool>());
}

TEST(Value, TextBecomesAString) {
    const char* pointer = "pointer";
    std::array<char, 8> buffer{"buffer"};
    char* writable = buffer.data();
    EXPECT_EQ(value("literal").as<std::string>(), "literal");
    EXPECT_EQ(value(pointer).as<std::string>(), "pointer");
    EXPECT_EQ(value(writable).as<std::string>(), "buffer");
    EXPECT_EQ(value("string"s).as<std::string>(), "string");
    EXPECT_TRUE(value(std::string_view("view")).holds<std::string_view>());
}

TEST(Value, DecaysFunctionsAndArrays) {
    const std::array<int, 2> array{1, 2};
    EXPECT_EQ((value(array).as<std::array<int, 2>>()), array);
    int plain[] = {7, 8};
    EXPECT_EQ(value(plain).as<int*>()[1], 8);
    EXPECT_TRUE(value(refusal).holds<std::string (*)(const std::function<void()>&)>());
    EXPECT_TRUE(value(nullptr).holds<std::nullptr_t>());
}

TEST(Value, RoundTripsEverySize) {
    EXPECT_EQ(value('c').as<char>(), 'c');
    EXPECT_EQ(value(std::int16_t{-2}).as<std::int16_t>(), -2);
    EXPECT_EQ(value(std::uint64_t{UINT64_MAX}).as<std::uint64_t>(), UINT64_MAX);
    EXPECT_EQ(value(2.5).as<double>(), 2.5);
    EXPECT_EQ((value(std::pair(1, 2)).as<std::pair<int, int>>()), std::pair(1, 2));
    EXPECT_TRUE(value(nothing{}).holds<nothing>());
    EXPECT_EQ(value(std::vector{1, 2, 3}).as<std::vector<int>>().size(), 3U);
    EXPECT_EQ(value(1.25L).as<long double>(), 1.25L);

    value v = three_words{{1, 2, 3}};
    value w = std::move(v);
    EXPECT_EQ(w.as<three_words>().words[2], 3U);

    std::array<std::uint64_t, 4096> big{};
    big[4095] = 5;
    value b = big;
    v = std::move(b);
    EXPECT_EQ(v.as<decltype(big)&>()[4095], 5U);
}

TEST(Value, KeepsSmallPlainThingsInside) {
    EXPECT_TRUE(copse::detail::value_fits_inside<int>);
    EXPECT_TRUE(copse::detail::value_fits_inside<std::string_view>);
    EXPECT_TRUE(copse::detail::value_fits_inside<three_words>);
    EXPECT_TRUE((copse::detail::value_fits_inside<std::pair<int, double>>));
    EXPECT_TRUE((copse::detail::value_fits_inside<std::tuple<int, std::string_view>>));
    EXPECT_FALSE(copse::detail::value_fits_inside<std::string>);
    EXPECT_FALSE((copse::detail::value_fits_inside<std::tuple<int, std::string>>));
    EXPECT_FALSE(copse::detail::value_fits_inside<std::unique_ptr<int>>);
    EXPECT_FALSE(copse::detail::value_fits_inside<wide_aligned>);
    EXPECT_FALSE(copse::detail::value_fits_inside<counted>);
}

TEST(Value, RespectsOverAlignment) {
    value v = wide_aligned(9);
    value w = std::move(v);
    auto& held = w.as<wide_aligned&>();
    EXPECT_EQ(held.number, 9);
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(&held) % alignof(wide_aligned), 0U);
}

TEST(Value, MakesInPlaceWhatCannotMove) {
    value v(std::in_place_type<std::mutex>);
    auto* before = &v.as<std::mutex&>();
    const value w = std::move(v);
    EXPECT_EQ(w.get_if<std::mutex>(), before);

    const value a(std::in_place_type<aggregate>, 1, "b");
    EXPECT_EQ(a.as<const aggregate&>().b, "b");
    EXPECT_EQ(value(std::in_place_type<std::string>, std::size_t{3}, 'x').as<std::string>(), "xxx");
}

TEST(Value, CarriesMoveOnlyThings) {
    value v = std::make_unique<int>(3);
    value w = std::move(v);
    EXPECT_EQ(*w.as<std::unique_ptr<int>&>(), 3);
    const auto p = std::move(w).as<std::unique_ptr<int>>();
    EXPECT_EQ(*p, 3);
    EXPECT_FALSE(w.has_value());
}

TEST(Value, LvalueIsCopiedRvalueIsMoved) {
    value v = "a string that is too long for the small one"s;
    EXPECT_EQ(v.as<std::string>(), v.as<std::string&>());
    EXPECT_TRUE(v.has_value());
    const auto* text = v.as<std::string&>().data();
    const std::string moved = std::move(v).as<std::string>();
    EXPECT_EQ(moved.data(), text);
    EXPECT_FALSE(v.has_value());
}

TEST(Value, GivesReferences) {
    value v = 1;
    v.as<int&>() = 2;
    EXPECT_EQ(v.as<const int&>(), 2);
    EXPECT_EQ(std::as_const(v).as<const int&>(), 2);
}

TEST(Value, SeesThroughReferenceWrappers) {
    std::string outside = "outside";
    value v = std::ref(outside);
    v.as<std::string&>() += "!";
    EXPECT_EQ(outside, "outside!");
    EXPECT_EQ(&std::as_const(v).as<const std::string&>(), &outside);
    v = std::cref(outside);
    EXPECT_EQ(&v.as<const std::string&>(), &outside);
    EXPECT_THROW(v.as<std::string&>(), copse::bad_value_cast);
}

TEST(Value, MayHoldThingsThatHoldValues) {
    std::vector<value> several;
    several.emplace_back(1);
    several.emplace_back("two");
    value v = std::move(several);
    EXPECT_EQ(v.as<std::vector<value>&>()[1].as<std::string>(), "two");
    v = std::tuple<value>(3);
    EXPECT_EQ(std::get<0>(v.as<std::tuple<value>&>()).as<int>(), 3);
    v = std::optional<value>(4);
    EXPECT_EQ(v.as<std::optional<value>&>()->as<int>(), 4);
    v = std::any(5);
    EXPECT_TRUE(v.holds<std::any>());
}

TEST(Value, RefusalNamesBothTypes) {
    EXPECT_EQ(refusal([] { value().as<int>(); }), "value is empty, asked for int");
    EXPECT_EQ(refusal([] { value("x").as<int>(); }), "value holds std::string, asked for int");
    EXPECT_EQ(refusal([] { value(1).as<std::string_view>(); }), "value holds int, asked for std::string_view");
    EXPECT_EQ(refusal([] { value::pack(1, "x").as<std::vector<std::string>>(); }),
              "value holds std::tuple<int, std::string>, asked for std::vector<std::string>");
    EXPECT_EQ(refusal([] {
                  value v = std::map<int, std::unique_ptr<copse::error>>{};
                  v.as<std::string&>();
              }),
              "value holds std::map<int, std::unique_ptr<copse::error>, std::less<int>>, asked for std::string");
}

TEST(Value, RefusalChangesNothing) {
    value v = "kept";
    EXPECT_THROW(std::move(v).as<int>(), copse::bad_value_cast);
    EXPECT_EQ(v.as<std::string>(), "kept");
}

TEST(Value, MovesLeaveTheSourceEmpty) {
    value a = 1;
    value b = std::move(a);
    EXPECT_FALSE(a.has_value());
    EXPECT_EQ(b.as<int>(), 1);
    a = "text";
    b = std::move(a);
    EXPECT_FALSE(a.has_value());
    EXPECT_EQ(b.as<std::string>(), "text");
    b = value();
    EXPECT_FALSE(b.has_value());
}

TEST(Value, SelfMoveAndSelfSwapChangeNothing) {
    for (const bool boxed : {false, true}) {
        value v = boxed ? value("text") : value(std::pair(1L, 2L));
        auto& same = v;
        v = std::move(same);
        v.swap(same);
        EXPECT_TRUE(boxed ? v.as<std::string&>() == "text" : (v.as<std::pair<long, long>&>().second == 2L));
    }
    value empty;
    auto& same = empty;
    empty = std::move(same);
    EXPECT_FALSE(empty.has_value());
}

TEST(Value, Swaps) {
    value a = 1;
    value b = "two";
    swap(a, b);
    EXPECT_EQ(a.as<std::string>(), "two");
    EXPECT_EQ(b.as<int>(), 1);
    value empty;
    std::swap(a, empty);
    EXPECT_FALSE(a.has_value());
    EXPECT_EQ(empty.as<std::string>(), "two");
}

TEST(ValuePack, NoneIsEmpty) { EXPECT_FALSE(value::pack().has_value()); }

TEST(ValuePack, OneIsItself) {
    EXPECT_EQ(value::pack(1).as<int>(), 1);
    EXPECT_EQ(value::pack("x").as<std::string>(), "x");
    EXPECT_TRUE(value::pack(std::tuple<>()).holds<std::tuple<>>());
    EXPECT_TRUE(value::pack(std::tuple(1)).holds<std::tuple<int>>());
    EXPECT_EQ(value::pack(value(7)).as<int>(), 7);
    EXPECT_FALSE(value::pack(value()).has_value());
}

TEST(ValuePack, SeveralAreATuple) {
    int lvalue = 2;
    const value v = value::pack(1, lvalue, "three");
    EXPECT_EQ((v.as<const std::tuple<int, int, std::string>&>()), std::tuple(1, 2, "three"s));
    const value same = value::pack(std::tuple(1, 2, "three"s));
    EXPECT_TRUE(same.type() == v.type());
    EXPECT_EQ((value::pack(1, 2).as<std::tuple<int, int>>()), std::tuple(1, 2));
}

TEST(ValuePack, SeveralMayBeMoveOnly) {
    value inner = "inner";
    value v = value::pack(std::make_unique<int>(1), std::move(inner));
    auto [p, w] = std::move(v).as<std::tuple<std::unique_ptr<int>, value>>();
    EXPECT_EQ(*p, 1);
    EXPECT_EQ(w.as<std::string>(), "inner");
}

TEST_F(ValueCounted, DestroysExactlyOnce) {
    {
        value v = counted(1);
        EXPECT_EQ(counted::live, 1);
        v = counted(2);
        EXPECT_EQ(counted::live, 1);
        value w = std::move(v);
        v = 5;
        EXPECT_EQ(counted::live, 1);
        w.reset();
        EXPECT_EQ(counted::live, 0);
        w.reset();
        w = counted(3);
        EXPECT_EQ(std::move(w).as<counted>().number, 3);
        EXPECT_EQ(counted::live, 0);
        w = value::pack(counted(1), counted(2));
        EXPECT_EQ(counted::live, 2);
    }
    EXPECT_EQ(counted::live, 0);
}

TEST_F(ValueCounted, MovingRunsNoCodeOfThePayload) {
    value v = counted(1);
    const auto* address = v.get_if<counted>();
    const int before = counted::moves;
    value w = std::move(v);
    v = std::move(w);
    value x;
    x.swap(v);
    value y = value::pack(std::move(x));
    EXPECT_EQ(counted::moves, before);
    EXPECT_EQ(counted::copies, 0);
    EXPECT_EQ(y.get_if<counted>(), address);
}

TEST_F(ValueCounted, LvaluesAreCopiedOnceRvaluesMovedOnce) {
    counted c(1);
    const value copied = c;
    EXPECT_EQ(counted::copies, 1);
    EXPECT_EQ(counted::moves, 0);
    const value moved = std::move(c);
    EXPECT_EQ(counted::copies, 1);
    EXPECT_EQ(counted::moves, 1);
}

TEST_F(ValueCounted, ThrowingMoveReachesTheSender) {
    counted c(1);
    counted::fuse = 1;
    EXPECT_THROW(value(std::move(c)), std::runtime_error);
    counted::fuse = 1;
    EXPECT_THROW(static_cast<void>(value::pack(c)), std::runtime_error);
    EXPECT_EQ(counted::live, 1);
}

TEST_F(ValueCounted, ThrowingMoveInTheMiddleOfAPackLeaksNothing) {
    for (int at = 1; at <= 3; ++at) {
        counted a(1);
        counted b(2);
        counted c(3);
        counted::fuse = at;
        EXPECT_THROW(static_cast<void>(value::pack(std::move(a), b, std::move(c))), std::runtime_error);
        EXPECT_EQ(counted::live, 3);
    }
}

TEST_F(ValueCounted, FailedAssignmentKeepsTheOldPayload) {
    value v = "old";
    counted c(1);
    counted::fuse = 1;
    EXPECT_THROW(v = c, std::runtime_error);
    EXPECT_EQ(v.as<std::string>(), "old");
}

TEST_F(ValueCounted, ThrowingOnTheWayOutLeaksNothing) {
    value v = counted(1);
    counted::fuse = 1;
    EXPECT_THROW(v.as<counted>(), std::runtime_error);
    EXPECT_TRUE(v.holds<counted>());
    counted::fuse = 1;
    EXPECT_THROW(std::move(v).as<counted>(), std::runtime_error);
    EXPECT_FALSE(v.has_value());
    EXPECT_EQ(counted::live, 0);
}

// A payload's destructor is user code: it may look at, or refill, the very value that is letting go of it.
struct meddler {
    explicit meddler(value& home) : home_(&home) {}
    meddler(meddler&& other) noexcept : home_(std::exchange(other.home_, nullptr)) {}
    meddler& operator=(meddler&&) = delete;
    ~meddler() {
        if (home_ == nullptr) return;
        seen_empty = !home_->has_value();
        *home_ = "refilled";
    }

    static inline bool seen_empty = false;

private:
    value* home_;
};

TEST(Value, IsAlreadyEmptyWhenThePayloadsDestructorRuns) {
    value v;
    v = meddler(v);
    meddler::seen_empty = false;
    v.reset();
    EXPECT_TRUE(meddler::seen_empty);
    EXPECT_EQ(v.as<std::string>(), "refilled");
}

TEST(Value, AssignmentDestroysTheOldPayloadLast) {
    value v;
    v = meddler(v);
    meddler::seen_empty = true;
    v = 5;
    EXPECT_FALSE(meddler::seen_empty);
    EXPECT_EQ(v.as<std::string>(), "refilled");
}

struct own_allocation {
    explicit own_allocation(std::string t) : text(std::move(t)) {}
    static void* operator new(std::size_t) = delete;
    own_allocation* operator&() = delete;
    std::string text;
};

TEST(Value, PaysNoHeedToOverloadedNewAndAddressOf) {
    value v = own_allocation("x");
    EXPECT_EQ(v.as<own_allocation&>().text, "x");
    EXPECT_EQ(std::move(v).as<own_allocation>().text, "x");
}

}  // namespace
