#pragma once
/// What the machine allows: the smallest fiber scheduler that uses every trick known to pay, and nothing that a library
/// also owes its users (no cancellation, timeouts, locals, tracing, other threads). The benchmarks print it beside the
/// library as the limit.
///
/// Invariants: one thread. `current` runs. A fiber is in at most one list. `context` is null until the first run;
/// a stack is bound then, and goes back to the pool just before its last jump.

#include <sys/mman.h>

#include <boost/context/detail/fcontext.hpp>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "bench.hpp"

namespace limit {

namespace raw = boost::context::detail;

/// jump_fcontext entered so that the CPU's return-address stack stays level. It leaves by JMP; entered by CALL it would
/// make every return after it mispredict. The red zone is stepped over because the compiler sees no call here.
[[gnu::always_inline]] inline raw::transfer_t level_jump(void* to, void* data) {
#if defined(__x86_64__) && !defined(__CET__)
    raw::transfer_t from{};
    asm volatile("leaq -128(%%rsp), %%rsp\n\t"
                 "leaq 1f(%%rip), %%rax\n\t"
                 "pushq %%rax\n\t"
                 "jmp jump_fcontext@PLT\n"
                 "1:\n\t"
                 "leaq 128(%%rsp), %%rsp"
                 : "=&a"(from.fctx), "=&d"(from.data), "+D"(to), "+S"(data)
                 :
                 : "rcx", "r8", "r9", "r10", "r11", "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7",
                   "xmm8", "xmm9", "xmm10", "xmm11", "xmm12", "xmm13", "xmm14", "xmm15", "cc", "memory");
    return from;
#else
    return raw::jump_fcontext(to, data);
#endif
}

// ---- stacks

constexpr std::size_t slot_size = 64 * 1024;
constexpr std::size_t page_size = 4096;

/// Slots of one reserved mapping, a guard at the bottom of each, used again last-in first-out.
class stack_pool {
public:
    void* acquire() {
        if (free_.empty()) return fresh();
        void* top = free_.back();
        free_.pop_back();
        return top;
    }

    void release(void* top) { free_.push_back(top); }

private:
    static constexpr std::size_t slab_slots = std::size_t{1} << 17;
    static constexpr int madv_guard_install = 102;  // Linux 6.13; older kernels refuse and the slot stays unguarded

    void* fresh() {
        if (used_ % slab_slots == 0) slab_ = reserve();
        std::byte* slot = slab_ + (used_ % slab_slots) * slot_size;
        madvise(slot, page_size, madv_guard_install);
        // Tops at the same page offset would all fall into the same cache sets.
        return slot + slot_size - 256 * (used_++ % 12);
    }

    static std::byte* reserve() {
        constexpr std::size_t bytes = slab_slots * slot_size;
        void* at = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        bench::require(at != MAP_FAILED, "mmap of a stack slab");
        madvise(at, bytes, MADV_NOHUGEPAGE);
        return static_cast<std::byte*>(at);
    }

    std::byte* slab_ = nullptr;
    std::size_t used_ = 0;
    std::vector<void*> free_;
};

// ---- fibers

struct exception_state {
    void* caught = nullptr;
    unsigned uncaught = 0;
};

extern "C" void* copse_bench_exception_globals() asm("__cxa_get_globals");

struct fiber {
    void* context = nullptr;
    fiber* next = nullptr;
    void (*run)(void*) = nullptr;
    void* argument = nullptr;
    void* stack = nullptr;
    fiber* joiner = nullptr;
    exception_state exceptions;
    bool detached = false;
    bool done = false;
};

class fiber_list {
public:
    bool empty() const { return !first_; }

    void push(fiber* f) {
        f->next = nullptr;
        (first_ ? last_->next : first_) = f;
        last_ = f;
    }

    fiber* pop() {
        fiber* f = first_;
        first_ = f->next;
        return f;
    }

    fiber* front() const { return first_; }

private:
    fiber* first_ = nullptr;
    fiber* last_ = nullptr;
};

/// The state of the one scheduler. `idle` must make something ready when it is called.
struct state {
    fiber main;
    fiber* current = &main;
    fiber_list ready;
    fiber_list blocks;  ///< control blocks to use again
    stack_pool stacks;
    exception_state* exceptions = static_cast<exception_state*>(copse_bench_exception_globals());
    void (*idle)() = [] { bench::require(false, "a ready fiber"); };
};

inline state self;

inline void arrive(raw::transfer_t from) { static_cast<fiber*>(from.data)->context = from.fctx; }

/// Brings in what the next two dispatches will touch.
[[gnu::always_inline]] inline fiber* take_ready() {
    while (self.ready.empty()) self.idle();
    fiber* next = self.ready.pop();
    if (fiber* after = self.ready.front()) {
        __builtin_prefetch(after->context);
        __builtin_prefetch(after->next);
    }
    return next;
}

inline fiber* new_block() { return self.blocks.empty() ? new fiber : self.blocks.pop(); }

inline void finish(fiber* f) {
    f->done = true;
    if (f->joiner) self.ready.push(f->joiner);
    if (f->detached) self.blocks.push(f);
}

/// The bottom frame of every stack. A finished fiber runs the next unstarted one right here.
[[noreturn]] inline void stack_main(raw::transfer_t from) {
    arrive(from);
    *self.exceptions = {};
    fiber ended;
    for (;;) {
        fiber* me = self.current;
        me->run(me->argument);
        void* stack = me->stack;
        finish(me);
        fiber* next = take_ready();
        self.current = next;
        if (!next->context) {
            next->stack = stack;
            next->context = stack;  // any non-null: it is overwritten when the fiber is first left
            continue;
        }
        self.stacks.release(stack);
        level_jump(next->context, &ended);
        __builtin_unreachable();
    }
}

[[gnu::always_inline]] inline void switch_to(fiber* next) {
    fiber* me = self.current;
    if (next == me) return;
    if (!next->context) [[unlikely]] {
        next->stack = self.stacks.acquire();
        next->context = raw::make_fcontext(next->stack, slot_size / 2, stack_main);
    }
    self.current = next;
    me->exceptions = *self.exceptions;
    arrive(level_jump(next->context, me));
    *self.exceptions = me->exceptions;
}

[[gnu::noinline]] inline void park() { switch_to(take_ready()); }

[[gnu::noinline]] inline void yield() {
    self.ready.push(self.current);
    switch_to(take_ready());
}

inline fiber* spawn(void (*run)(void*), void* argument, bool detached = false) {
    fiber* f = new_block();
    *f = fiber{};
    f->run = run;
    f->argument = argument;
    f->detached = detached;
    self.ready.push(f);
    return f;
}

inline void join(fiber* f) {
    if (!f->done) {
        f->joiner = self.current;
        park();
    }
    self.blocks.push(f);
}

// ---- synchronisation: permits and items are handed to the longest waiter

class semaphore {
public:
    explicit semaphore(std::size_t permits) : permits_(permits) {}

    [[gnu::noinline]] void acquire() {
        if (permits_ > 0) {
            --permits_;
            return;
        }
        waiters_.push(self.current);
        park();
    }

    [[gnu::noinline]] void release() {
        if (waiters_.empty()) ++permits_;
        else self.ready.push(waiters_.pop());
    }

private:
    std::size_t permits_;
    fiber_list waiters_;
};

/// A bounded queue; `Capacity` is a power of two.
template <class T, std::size_t Capacity>
class queue {
public:
    [[gnu::noinline]] void put(T item) {
        while (put_ - got_ == Capacity) wait(putters_);
        items_[put_++ % Capacity] = item;
        if (!getters_.empty()) self.ready.push(getters_.pop());
    }

    [[gnu::noinline]] T get() {
        while (put_ == got_) wait(getters_);
        T item = items_[got_++ % Capacity];
        if (!putters_.empty()) self.ready.push(putters_.pop());
        return item;
    }

private:
    static void wait(fiber_list& waiters) {
        waiters.push(self.current);
        park();
    }

    T items_[Capacity]{};
    std::size_t put_ = 0;
    std::size_t got_ = 0;
    fiber_list putters_;
    fiber_list getters_;
};

}  // namespace limit
