// value: what it holds, how it moves, what it refuses. Rules 11 to 16 and 84, faults SW16 and SW17.

#include <copse/error.hpp>
#include <copse/value.hpp>

#include <gtest/gtest.h>

#include <any>
#include <array>
#include <cstddef>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <tuple>
#include <type_traits>
#include <typeinfo>
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

}  // namespace
