/// Synchronisation between fibers of one thread. Nanoseconds.

#include <boost/context/detail/fcontext.hpp>
#ifdef COPSE_HAVE_BOOST_FIBER
#include <boost/fiber/all.hpp>
#endif

#include <copse/channel.hpp>
#include <copse/condition_variable.hpp>
#include <copse/event.hpp>
#include <copse/fiber.hpp>
#include <copse/mutex.hpp>
#include <copse/queue.hpp>
#include <copse/select.hpp>
#include <copse/semaphore.hpp>

#include <mutex>

#include "bench.hpp"
#include "limit.hpp"

namespace {

constexpr std::size_t operations = 50'000;
constexpr std::size_t room = 1024;

template <class F>
double per_operation(F&& f) {
    return bench::ns_per_op(operations, [&] {
        for (std::size_t i = 0; i < operations; ++i) f();
    });
}

/// Locks, unlocks, and looks at what the mutex protects, so that neither can be left out.
template <class Mutex>
double uncontended() {
    Mutex mutex;
    std::size_t protected_count = 0;
    return per_operation([&] {
        std::lock_guard lock(mutex);
        bench::keep(++protected_count);
    });
}

/// Two fibers lock, yield while they hold it, unlock, so that each finds it locked. `System` says whose fibers, and what
/// a fiber must do after unlocking to let the other one in: nothing where the mutex itself is handed over.
template <class System>
double handed_over() {
    static typename System::mutex mutex;
    static std::size_t holds;
    static constexpr auto hold = [] {
        mutex.lock();
        System::yield();
        ++holds;
        mutex.unlock();
        System::let_in();
    };
    System::start([] {
        for (;;) hold();
    });
    System::yield();
    holds = 0;
    std::size_t own = 0;
    const double each_pair = per_operation([&] {
        hold();
        ++own;
    });
    bench::require(holds + 2 >= 2 * own && holds <= 2 * own + 2, "the mutex goes to and fro");
    return each_pair / 2;
}

/// One fiber asks, another answers; `Way` is what they wait on.
template <class Way>
double round_trip() {
    static Way way;
    static std::size_t answers;
    Way::start([] {
        for (;;) {
            way.wait_for_question();
            ++answers;
            way.answer();
        }
    });
    std::size_t questions = 0;
    const double each = per_operation([&] {
        ++questions;
        way.ask();
        way.wait_for_answer();
    });
    bench::require(answers == questions, "every question was answered");
    return each;
}

template <class Queue>
double put_and_get() {
    static Queue queue;
    std::size_t sum = 0, expected = 0, i = 0;
    const double each = per_operation([&] {
        queue.put(i);
        sum += queue.get();
        expected += i++;
    });
    bench::require(sum == expected, "what was put came out");
    return each;
}

template <class Queue>
double stream() {
    static Queue queue;
    Queue::start([] {
        for (std::size_t i = 0;; ++i) queue.put(i);
    });
    std::size_t next = 0;
    bool in_order = true;
    const double each = per_operation([&] { in_order &= queue.get() == next++; });
    bench::require(in_order, "items came in order");
    return each;
}

// ---- jump_fcontext, what ratios are taken of

double raw_jump() {
    namespace raw = boost::context::detail;
    static std::byte stack[16 * 1024];
    void* other = raw::make_fcontext(std::end(stack), sizeof stack, [](raw::transfer_t from) {
        for (;;) from = raw::jump_fcontext(from.fctx, nullptr);
    });
    return per_operation([&] { other = raw::jump_fcontext(other, nullptr).fctx; }) / 2;
}

// ---- copse

struct copse_system {
    using mutex = copse::mutex;

    static void yield() { copse::yield(); }
    static void let_in() {}

    template <class F>
    static void start(F f) {
        copse::spawn(f);
    }
};

struct copse_semaphores : copse_system {
    copse::semaphore question{0}, reply{0};
    void ask() { question.release(); }
    void wait_for_question() { question.acquire(); }
    void answer() { reply.release(); }
    void wait_for_answer() { reply.acquire(); }
};

struct copse_events : copse_system {
    copse::event question, reply;
    void ask() { question.set(); }
    void wait_for_question() { await(question); }
    void answer() { reply.set(); }
    void wait_for_answer() { await(reply); }

    static void await(copse::event& e) {
        e.wait();
        e.clear();
    }
};

/// A flag under a mutex, flipped by one side and flipped back by the other.
template <class Mutex, class Condition>
struct flag_and_condition {
    Mutex mutex;
    Condition changed;
    bool asked = false;

    void ask() { set(true); }
    void wait_for_question() { await(true); }
    void answer() { set(false); }
    void wait_for_answer() { await(false); }

    void set(bool to) {
        const std::lock_guard lock(mutex);
        asked = to;
        changed.notify_one();
    }

    void await(bool state) {
        std::unique_lock lock(mutex);
        while (asked != state) changed.wait(lock);
    }
};

struct copse_condition : copse_system, flag_and_condition<copse::mutex, copse::condition_variable> {};

struct copse_rendezvous : copse_system {
    copse::channel<int> question, reply;
    void ask() { question.put(1); }
    void wait_for_question() { bench::keep(question.get()); }
    void answer() { reply.put(2); }
    void wait_for_answer() { bench::keep(reply.get()); }
};

struct copse_queues : copse_system {
    copse::queue<int> question{1}, reply{1};
    void ask() { question.put(1); }
    void wait_for_question() { bench::keep(question.get()); }
    void answer() { reply.put(2); }
    void wait_for_answer() { bench::keep(reply.get()); }
};

/// Every wait is for the first of two queues.
struct copse_selects : copse_queues {
    copse::queue<int> other{1};
    void wait_for_question() { either(question); }
    void wait_for_answer() { either(reply); }
    void either(copse::queue<int>& expected) {
        copse::select(copse::on_get(other, [](int) {}), copse::on_get(expected, [](int i) { bench::keep(i); }));
    }
};

struct copse_queue : copse_system, copse::queue<std::size_t> {
    copse_queue() : queue(room) {}
};

void add_copse(bench::suite& suite) {
    suite.add("copse mutex, uncontended", uncontended<copse::mutex>);
    suite.add("copse mutex, handed over while held across a yield", handed_over<copse_system>);
    suite.add("copse round trip, two semaphores", round_trip<copse_semaphores>);
    suite.add("copse round trip, two events", round_trip<copse_events>);
    suite.add("copse round trip, condition variable", round_trip<copse_condition>);
    suite.add("copse round trip, two channels", round_trip<copse_rendezvous>);
    suite.add("copse round trip, two queues", round_trip<copse_queues>);
    suite.add("copse round trip, two queues by select", round_trip<copse_selects>);
    suite.add("copse queue put + get, one fiber", put_and_get<copse_queue>);
    suite.add("copse queue stream of 1024, per item", stream<copse_queue>);
}

// ---- limit

struct limit_system {
    struct mutex {
        limit::semaphore one{1};
        void lock() { one.acquire(); }
        void unlock() { one.release(); }
    };

    static void yield() { limit::yield(); }
    static void let_in() {}

    template <class F>
    static void start(F) {
        limit::spawn([](void*) { F{}(); }, nullptr);
    }
};

struct limit_semaphores : limit_system {
    limit::semaphore question{0}, reply{0};
    void ask() { question.release(); }
    void wait_for_question() { question.acquire(); }
    void answer() { reply.release(); }
    void wait_for_answer() { reply.acquire(); }
};

struct limit_queue : limit_system, limit::queue<std::size_t, room> {};

void add_limit(bench::suite& suite) {
    suite.add("limit mutex, uncontended", uncontended<limit_system::mutex>);
    suite.add("limit mutex, handed over while held across a yield", handed_over<limit_system>);
    suite.add("limit round trip, two semaphores", round_trip<limit_semaphores>);
    suite.add("limit queue put + get, one fiber", put_and_get<limit_queue>);
    suite.add("limit queue stream of 1024, per item", stream<limit_queue>);
}

// ---- Boost.Fiber

#ifdef COPSE_HAVE_BOOST_FIBER
struct boost_system {
    using mutex = boost::fibers::mutex;

    static void yield() { boost::this_fiber::yield(); }
    static void let_in() { yield(); }

    template <class F>
    static void start(F f) {
        boost::fibers::fiber(f).detach();
    }
};

struct boost_rendezvous : boost_system {
    boost::fibers::unbuffered_channel<int> question, reply;
    void ask() { question.push(1); }
    void wait_for_question() { bench::keep(question.value_pop()); }
    void answer() { reply.push(2); }
    void wait_for_answer() { bench::keep(reply.value_pop()); }
};

/// Two places are the fewest that it can have.
struct boost_queues : boost_system {
    boost::fibers::buffered_channel<int> question{2}, reply{2};
    void ask() { question.push(1); }
    void wait_for_question() { bench::keep(question.value_pop()); }
    void answer() { reply.push(2); }
    void wait_for_answer() { bench::keep(reply.value_pop()); }
};

struct boost_condition : boost_system, flag_and_condition<boost::fibers::mutex, boost::fibers::condition_variable> {};

struct boost_queue : boost_system {
    boost::fibers::buffered_channel<std::size_t> channel{room};
    void put(std::size_t item) { channel.push(item); }
    std::size_t get() { return channel.value_pop(); }
};

void add_boost(bench::suite& suite) {
    suite.add("Boost.Fiber mutex, uncontended", uncontended<boost_system::mutex>);
    suite.add("Boost.Fiber mutex, handed over while held across a yield", handed_over<boost_system>);
    suite.add("Boost.Fiber round trip, two unbuffered channels", round_trip<boost_rendezvous>);
    suite.add("Boost.Fiber round trip, two buffered channels", round_trip<boost_queues>);
    suite.add("Boost.Fiber round trip, condition variable", round_trip<boost_condition>);
    suite.add("Boost.Fiber queue put + get, one fiber", put_and_get<boost_queue>);
    suite.add("Boost.Fiber queue stream of 1024, per item", stream<boost_queue>);
}
#endif

}  // namespace

int main(int argc, char** argv) {
    bench::suite suite("synchronisation, one thread; x base: raw jump_fcontext", argc, argv);
    suite.base("raw jump_fcontext");
    suite.add("raw jump_fcontext", raw_jump);
    add_copse(suite);
    add_limit(suite);
#ifdef COPSE_HAVE_BOOST_FIBER
    add_boost(suite);
#endif
    return suite.run();
}
