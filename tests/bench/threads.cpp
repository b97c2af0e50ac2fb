// What passes between threads: posts, semaphores, queues. By the steady clock, since it is the waiting that counts; every
// round trip is two wake-ups of a sleeping thread, and what two threads do with an eventfd is the limit.

#include <copse/event.hpp>
#include <copse/fiber.hpp>
#include <copse/hub.hpp>
#include <copse/shared.hpp>
#include <copse/workers.hpp>

#ifdef COPSE_HAVE_BOOST_FIBER
#include <boost/fiber/buffered_channel.hpp>
#endif

#include <sys/eventfd.h>
#include <unistd.h>

#include <atomic>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <mutex>
#include <thread>

#include "bench.hpp"

namespace {

constexpr std::size_t trips = 200;
constexpr std::size_t items = 20'000;
constexpr std::size_t calls = 10'000;
constexpr std::size_t room = 1024;

template <class F>
double each(std::size_t operations, F&& f) {
    return bench::ns_per_op(operations, [&] {
        for (std::size_t i = 0; i < operations; ++i) f();
    });
}

/// The measured thread asks, another answers. A job's threads go with its process.
template <class Way>
double round_trip() {
    static Way way;
    std::thread([] {
        for (;;) way.answer();
    }).detach();
    return each(trips, [] { way.ask(); });
}

/// Another thread puts as fast as it can.
template <class Queue>
double stream() {
    static Queue queue;
    std::thread([] {
        for (std::size_t i = 0;; ++i) queue.put(i);
    }).detach();
    std::size_t next = 0;
    bool in_order = true;
    const double item = each(items, [&] { in_order &= queue.get() == next++; });
    bench::require(in_order, "items came in order");
    return item;
}

// ---- copse

struct copse_semaphores {
    copse::shared::semaphore asked{0}, answered{0};
    void ask() { asked.release(), answered.acquire(); }
    void answer() { asked.acquire(), answered.release(); }
};

struct copse_channel {
    copse::shared::channel<int> there, back;
    void ask() { there.put(1), back.get(); }
    void answer() { back.put(there.get()); }
};

double posts_there_and_back() {
    static copse::event arrived;
    static copse::shared::event stay;
    static copse::workers other(1, [](std::size_t) { stay.wait(); });
    const copse::hub_handle there = other.hub(0);
    const copse::hub_handle back = copse::hub::current().handle();
    return each(trips, [&] {
        there.post([&] { back.post([] { arrived.set(); }); });
        arrived.wait();
        arrived.clear();
    });
}

double posts_to_a_busy_hub() {
    static std::atomic<std::size_t> ran{0};
    static copse::workers other(1, [](std::size_t) {
        for (;;) copse::yield();
    });
    const copse::hub_handle there = other.hub(0);
    std::size_t posted = 0;
    return bench::ns_per_op(calls, [&] {
        for (std::size_t i = 0; i < calls; ++i) there.post([] { ++ran; });
        posted += calls;
        while (ran != posted) std::this_thread::yield();
    });
}

struct copse_queue {
    copse::shared::queue<std::size_t> line{room};
    void put(std::size_t item) { line.put(item); }
    std::size_t get() { return line.get(); }
};

double copse_put_and_get() {
    static copse::shared::queue<std::size_t> line(room);
    return each(calls, [i = std::size_t{0}]() mutable {
        line.put(i++);
        bench::keep(line.get());
    });
}

template <class Mutex>
double uncontended() {
    static Mutex mutex;
    return each(calls, [count = std::size_t{0}]() mutable {
        const std::lock_guard held(mutex);
        bench::keep(++count);
    });
}

// ---- the limit: threads alone

struct eventfds {
    int asked = eventfd(0, 0), answered = eventfd(0, 0);
    static void signal(int fd) {
        const std::uint64_t one = 1;
        bench::require(write(fd, &one, sizeof one) == sizeof one, "eventfd, write");
    }
    static void await(int fd) {
        std::uint64_t count = 0;
        bench::require(read(fd, &count, sizeof count) == sizeof count, "eventfd, read");
    }
    void ask() const { signal(asked), await(answered); }
    void answer() const { await(asked), signal(answered); }
};

struct conditions {
    std::mutex mutex;
    std::condition_variable changed;
    bool asked = false;
    void pass_on(bool to) {
        std::unique_lock held(mutex);
        changed.wait(held, [&] { return asked != to; });
        asked = to;
        changed.notify_one();
        if (to) changed.wait(held, [&] { return !asked; });
    }
    void ask() { pass_on(true); }
    void answer() { pass_on(false); }
};

struct locked_deque {
    std::mutex mutex;
    std::condition_variable has_room, has_item;
    std::deque<std::size_t> line;
    void put(std::size_t item) {
        std::unique_lock held(mutex);
        has_room.wait(held, [&] { return line.size() < room; });
        line.push_back(item);
        has_item.notify_one();
    }
    std::size_t get() {
        std::unique_lock held(mutex);
        has_item.wait(held, [&] { return !line.empty(); });
        const std::size_t item = line.front();
        line.pop_front();
        has_room.notify_one();
        return item;
    }
};

#ifdef COPSE_HAVE_BOOST_FIBER
struct boost_queue {
    boost::fibers::buffered_channel<std::size_t> line{room};
    void put(std::size_t item) { line.push(item); }
    std::size_t get() { return line.value_pop(); }
};

struct boost_channels {
    boost::fibers::buffered_channel<int> there{2}, back{2};
    void ask() { there.push(1), back.value_pop(); }
    void answer() { back.push(there.value_pop()); }
};
#endif

void add_round_trips(bench::suite& suite) {
    suite.base("limit round trip, two threads and eventfds");
    suite.add("limit round trip, two threads and eventfds", round_trip<eventfds>);
    suite.add("threads round trip, condition variable", round_trip<conditions>);
    suite.add("copse round trip between hubs, two posts", posts_there_and_back);
    suite.add("copse round trip between hubs, shared semaphores", round_trip<copse_semaphores>);
    suite.add("copse round trip between hubs, shared channels", round_trip<copse_channel>);
#ifdef COPSE_HAVE_BOOST_FIBER
    suite.add("Boost.Fiber round trip between threads, two buffered channels", round_trip<boost_channels>);
#endif
}

void add_queues(bench::suite& suite) {
    suite.base("limit stream of 1024 between threads, locked deque, per item");
    suite.add("limit stream of 1024 between threads, locked deque, per item", stream<locked_deque>);
    suite.add("copse shared queue, stream of 1024 between hubs, per item", stream<copse_queue>);
#ifdef COPSE_HAVE_BOOST_FIBER
    suite.add("Boost.Fiber queue, stream of 1024 between threads, per item", stream<boost_queue>);
#endif
    suite.add("copse post to a busy hub, posted and run, each", posts_to_a_busy_hub);
}

void add_uncontended(bench::suite& suite) {
    suite.base("std::mutex, uncontended");
    suite.add("std::mutex, uncontended", uncontended<std::mutex>);
    suite.add("copse shared mutex, uncontended", uncontended<copse::shared::mutex>);
    suite.add("copse shared queue put + get, one thread", copse_put_and_get);
}

}  // namespace

int main(int argc, char** argv) {
    bench::settings().wall = true;
    bench::suite suite("between threads, by the steady clock", argc, argv);
    add_round_trips(suite);
    add_queues(suite);
    add_uncontended(suite);
    return suite.run();
}
