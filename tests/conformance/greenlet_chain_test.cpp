// Long chains of parents are built, walked and dropped in loops. Rule 88 (U3).

#include <copse/greenlet.hpp>

#include "at_end.hpp"
#include "leak_check.hpp"
#include "sanitizer.hpp"

using copse::greenlet;
using copse_test::at_end;

namespace {

class GreenletChain : public copse_test::leak_check {};

// rule 88 (U3)
TEST_F(GreenletChain, OfUnstartedParentsIsBuiltAndDropped) {
    const int length = copse_test::up_to(300'000);
    greenlet last([] {});
    for (int i = 0; i < length; ++i) last = greenlet([] {}, last);
    last = greenlet();
}

// rules 17, 21, 88 (U3)
TEST_F(GreenletChain, OfDeadParentsIsWalkedAndDropped) {
    const int length = copse_test::up_to(300'000);
    greenlet last([] {});
    for (int i = 0; i < length; ++i) last = greenlet([] {}, last);
    EXPECT_THROW(last.raise(1), int);
    EXPECT_TRUE(last.parent().dead());
    EXPECT_EQ(last.switch_to(2).as<int>(), 2);
    last = greenlet();
}

// rules 42, 88 (U3)
TEST_F(GreenletChain, OfSuspendedParentsIsKilledFromItsYoungEnd) {
    const int length = copse_test::up_to(10'000);
    const greenlet main = greenlet::current();
    int next_to_die = length;
    bool in_order = true;
    greenlet last;
    for (int i = 1; i <= length; ++i) {
        last = greenlet(
            [&, i] {
                const at_end local([&, i] { in_order = in_order && next_to_die-- == i; });
                main.switch_to();
            },
            last);
        last.switch_to();
    }
    last = greenlet();
    EXPECT_EQ(next_to_die, 0);
    EXPECT_TRUE(in_order);
}

// rules 37, 88
TEST_F(GreenletChain, CycleCheckWalksALongOne) {
    const int length = copse_test::up_to(100'000);
    const greenlet first([] {});
    greenlet last = first;
    for (int i = 0; i < length; ++i) last = greenlet([] {}, last);
    EXPECT_THROW(first.set_parent(last), copse::parent_cycle);
    const greenlet other([] {});
    first.set_parent(other);
    EXPECT_EQ(first.parent(), other);
}

}  // namespace
