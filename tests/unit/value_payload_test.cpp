// value: where the payload is kept, how often it is copied or moved, when it ends. Faults SW16 and SW17.

#include <copse/value.hpp>

#include <gtest/gtest.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <stdexcept>
#include <string>
#include <string_view>
#include <tuple>
#include <utility>
#include <vector>

using copse::value;

namespace {

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
