/// Context switches: the raw jump, what can be built on it, copse's two levels, and peers. One way, nanoseconds.

#include <boost/context/detail/fcontext.hpp>
#include <boost/context/fiber.hpp>
#include <boost/context/protected_fixedsize_stack.hpp>
#ifdef COPSE_HAVE_BOOST_FIBER
#include <boost/fiber/all.hpp>
#endif

#include <string>
#include <utility>
#include <vector>

#include <copse/fiber.hpp>
#include <copse/greenlet.hpp>

#include "bench.hpp"
#include "frames.hpp"
#include "limit.hpp"

namespace {

namespace raw = boost::context::detail;

constexpr std::size_t round_trips = 100'000;

// ---- raw

struct by_call {
    static raw::transfer_t jump(void* to) { return raw::jump_fcontext(to, nullptr); }
};

struct by_level_jump {
    [[gnu::always_inline]] static raw::transfer_t jump(void* to) { return limit::level_jump(to, nullptr); }
};

template <class Way>
void answer_for_ever(raw::transfer_t from) {
    for (;;) from = Way::jump(from.fctx);
}

template <class Way>
double raw_jump() {
    boost::context::protected_fixedsize_stack stacks(64 * 1024);
    const auto stack = stacks.allocate();
    void* other = raw::make_fcontext(stack.sp, stack.size, answer_for_ever<Way>);
    return bench::ns_per_op(2 * round_trips, [&] {
        for (std::size_t i = 0; i < round_trips; ++i) other = Way::jump(other).fctx;
    });
}

double context_fiber_resume() {
    bool stop = false;
    boost::context::fiber other([&stop](boost::context::fiber&& from) {
        while (!stop) from = std::move(from).resume();
        return std::move(from);
    });
    const double result = bench::ns_per_op(2 * round_trips, [&] {
        for (std::size_t i = 0; i < round_trips; ++i) other = std::move(other).resume();
    });
    stop = true;
    other = std::move(other).resume();
    return result;
}

// ---- limit

std::size_t yields_of_others = 0;

template <class Yield>
void yield_for_ever() {
    bench::yield_laps<Yield>(bench::for_ever, yields_of_others);
}

struct limit_yield {
    static void run() { limit::yield(); }
};

double limit_yields(std::size_t fibers) {
    for (std::size_t i = 1; i < fibers; ++i) limit::spawn([](void*) { yield_for_ever<limit_yield>(); }, nullptr);
    return bench::ns_per_yield<limit_yield>(fibers, yields_of_others);
}

// ---- Boost.Fiber

#ifdef COPSE_HAVE_BOOST_FIBER
struct boost_yield {
    static void run() { boost::this_fiber::yield(); }
};

double boost_yields(std::size_t fibers) {
    boost::fibers::fixedsize_stack stacks(64 * 1024);
    for (std::size_t i = 1; i < fibers; ++i)
        boost::fibers::fiber(std::allocator_arg, stacks, yield_for_ever<boost_yield>).detach();
    return bench::ns_per_yield<boost_yield>(fibers, yields_of_others);
}
#endif

// ---- copse

double greenlet_switch() {
    const copse::greenlet main = copse::greenlet::current();
    const copse::greenlet other([main] {
        for (;;) main.switch_to();
    });
    return bench::ns_per_op(2 * round_trips, [&] {
        for (std::size_t i = 0; i < round_trips; ++i) other.switch_to();
    });
}

/// An int there, its successor back: the way home is the parent.
double greenlet_switch_with_int() {
    const copse::greenlet other([](int first) {
        for (int asked = first;;) asked = copse::greenlet::current().parent().switch_to(asked + 1).as<int>();
    });
    int number = 0;
    const double each = bench::ns_per_op(2 * round_trips, [&] {
        number = 0;
        for (std::size_t i = 0; i < round_trips; ++i) number = other.switch_to(number).as<int>();
    });
    bench::require(number == static_cast<int>(round_trips), "every number came back increased");
    return each;
}

struct copse_yield {
    static void run() { copse::yield(); }
};

double copse_yields(std::size_t fibers) {
    for (std::size_t i = 1; i < fibers; ++i) copse::spawn(yield_for_ever<copse_yield>);
    return bench::ns_per_yield<copse_yield>(fibers, yields_of_others);
}

void add_yields(bench::suite& suite, const std::string& whose, double (*measure)(std::size_t),
                std::initializer_list<std::size_t> counts) {
    for (const std::size_t fibers : counts)
        suite.add(whose + ", " + std::to_string(fibers) + " fibers", [=] { return measure(fibers); });
}

}  // namespace

int main(int argc, char** argv) {
    bench::suite suite("switch, one way; x base: raw jump_fcontext of the same round", argc, argv);
    suite.base("raw jump_fcontext");
    suite.add("raw jump_fcontext", raw_jump<by_call>);
    suite.add("raw jump_fcontext, entered by jump (limit)", raw_jump<by_level_jump>);
    suite.add("raw boost::context::fiber::resume", context_fiber_resume);
    suite.add("copse greenlet::switch_to()", greenlet_switch);
    suite.add("copse greenlet::switch_to(int), there and back by the parent", greenlet_switch_with_int);
    add_yields(suite, "copse yield", copse_yields, {2, 100, 10'000, 100'000});
    add_yields(suite, "limit yield", limit_yields, {2, 100, 10'000, 100'000});
#ifdef COPSE_HAVE_BOOST_FIBER
    add_yields(suite, "Boost.Fiber yield", boost_yields, {2, 100, 10'000});
#endif
    return suite.run();
}
