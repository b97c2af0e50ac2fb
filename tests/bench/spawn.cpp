/// What it costs to start a fiber, run it to its end and know that it ended. Nanoseconds per fiber.

#include <boost/context/detail/fcontext.hpp>
#ifdef COPSE_HAVE_BOOST_FIBER
#include <boost/fiber/all.hpp>
#endif

#include <copse/fiber.hpp>

#include <chrono>
#include <vector>

#include "bench.hpp"
#include "limit.hpp"

namespace {

namespace raw = boost::context::detail;

constexpr std::size_t batch = 100'000;
constexpr std::size_t in_sequence = 50'000;

std::size_t ran = 0;

/// Time per fiber of `spawn_and_wait`, which starts `batch` fibers that count themselves, on stacks never used before
/// and on those that the runs before have used.
void report_batch(const bench::sink& out, const std::string& name, void (*spawn_and_wait)()) {
    constexpr int warm_runs = 5;
    auto per_fiber = [&] {
        ran = 0;
        const double each = bench::elapsed_ns(spawn_and_wait) / static_cast<double>(batch);
        bench::require(ran == batch, "every fiber of the batch ran");
        return each;
    };
    out(name + ", cold", per_fiber());
    std::vector<double> warm;
    for (int i = 0; i < warm_runs; ++i) warm.push_back(per_fiber());
    out(name + ", warm", bench::median(std::move(warm)));
}

void add_batch(bench::suite& suite, const std::string& name, void (*spawn_and_wait)()) {
    suite.add_all(name, [=](const bench::sink& out) { report_batch(out, name, spawn_and_wait); });
}

double sequence(void (*spawn_and_join)()) {
    ran = 0;
    const double each = bench::ns_per_op(in_sequence, [&] {
        for (std::size_t i = 0; i < in_sequence; ++i) spawn_and_join();
    });
    bench::require(ran > 0 && ran % in_sequence == 0, "every fiber of the sequence ran");
    return each;
}

// ---- floor

double make_enter_leave() {
    static std::byte stack[16 * 1024];
    std::size_t entered = 0;
    const double each = bench::ns_per_op(in_sequence, [&] {
        for (std::size_t i = 0; i < in_sequence; ++i) {
            void* context = raw::make_fcontext(std::end(stack), sizeof stack, [](raw::transfer_t from) {
                ++*static_cast<std::size_t*>(from.data);
                raw::jump_fcontext(from.fctx, nullptr);
            });
            raw::jump_fcontext(context, &entered);
        }
    });
    bench::require(entered % in_sequence == 0, "every context was entered");
    return each;
}

/// A stack slot's first use: the page fault, and the guard where the kernel has guards.
double first_touch() {
    constexpr std::size_t slots = 20'000;
    limit::stack_pool pool;
    return bench::elapsed_ns([&] {
               for (std::size_t i = 0; i < slots; ++i) static_cast<volatile char*>(pool.acquire())[-1] = 1;
           }) /
           static_cast<double>(slots);
}

// ---- copse

void copse_count() { ++ran; }

void copse_count_after_yield() {
    copse::yield();
    ++ran;
}

void copse_count_after_sleep() {
    copse::sleep(std::chrono::nanoseconds(1));
    ++ran;
}

/// Nobody keeps a handle; all have run once the spawning one's turn comes again.
void copse_batch() {
    for (std::size_t i = 0; i < batch; ++i) copse::spawn(copse_count);
    copse::yield();
}

void copse_batch_yielding() {
    for (std::size_t i = 0; i < batch; ++i) copse::spawn(copse_count_after_yield);
    copse::yield();
    copse::yield();
}

void copse_run_all(void (*f)()) {
    std::vector<copse::fiber<void>> all;
    all.reserve(batch);
    for (std::size_t i = 0; i < batch; ++i) all.push_back(copse::spawn(f));
    for (const auto& one : all) one.join();
}

// ---- limit

void limit_count(void*) { ++ran; }

void limit_count_after_yield(void*) {
    limit::yield();
    ++ran;
}

void limit_batch() {
    for (std::size_t i = 0; i < batch; ++i) limit::spawn(limit_count, nullptr, true);
    limit::yield();
}

void limit_batch_yielding() {
    for (std::size_t i = 0; i < batch; ++i) limit::spawn(limit_count_after_yield, nullptr, true);
    limit::yield();
    limit::yield();
}

// ---- Boost.Fiber

#ifdef COPSE_HAVE_BOOST_FIBER
namespace peer = boost::fibers;

auto& pooled_stacks() {
    static peer::pooled_fixedsize_stack stacks(64 * 1024);
    return stacks;
}

peer::fiber boost_spawn(void (*f)()) { return peer::fiber(std::allocator_arg, pooled_stacks(), f); }

void boost_count() { ++ran; }

void boost_count_after_yield() {
    boost::this_fiber::yield();
    ++ran;
}

void boost_run_all(void (*f)()) {
    std::vector<peer::fiber> all;
    all.reserve(batch);
    for (std::size_t i = 0; i < batch; ++i) all.push_back(boost_spawn(f));
    for (auto& one : all) one.join();
}
#endif

}  // namespace

int main(int argc, char** argv) {
    bench::suite suite("spawn, run, join; x base: make_fcontext + enter + leave", argc, argv);
    suite.base("make_fcontext + enter + leave");
    suite.add("make_fcontext + enter + leave", make_enter_leave);
    suite.add("first touch of a stack and its guard", first_touch);
    suite.add("copse spawn + join", [] { return sequence([] { copse::spawn(copse_count).join(); }); });
    add_batch(suite, "copse batch of 1e5, never parking", copse_batch);
    add_batch(suite, "copse batch of 1e5, never parking, kept and joined", [] { copse_run_all(copse_count); });
    add_batch(suite, "copse batch of 1e5, each yields once", copse_batch_yielding);
    add_batch(suite, "copse batch of 1e5, each sleeps 1 ns, kept and joined",
              [] { copse_run_all(copse_count_after_sleep); });
    suite.add("limit spawn + join", [] { return sequence([] { limit::join(limit::spawn(limit_count, nullptr)); }); });
    add_batch(suite, "limit batch of 1e5, never parking", limit_batch);
    add_batch(suite, "limit batch of 1e5, each yields once", limit_batch_yielding);
#ifdef COPSE_HAVE_BOOST_FIBER
    suite.add("Boost.Fiber spawn + join", [] { return sequence([] { boost_spawn(boost_count).join(); }); });
    add_batch(suite, "Boost.Fiber batch of 1e5, never parking", [] { boost_run_all(boost_count); });
    add_batch(suite, "Boost.Fiber batch of 1e5, each yields once", [] { boost_run_all(boost_count_after_yield); });
#endif
    return suite.run();
}
