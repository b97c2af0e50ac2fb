// The control block of a greenlet. Handles point at it; it exists before its stack does and outlives it.
//
// Invariants:
//   - `gate` is the owner thread's while the greenlet can be entered by hand: suspended in switch_to or raise. It is
//     gate_of_nobody while unstarted, current, parked in the hub, or dead.
//   - `frame` is null until a stack is bound, and meaningful only while suspended or parked.
//   - `refs` counts handles, children (but not those of main and hub, which live as long as any block of their thread), and
//     for a fiber the hub until it has finished.
//   - Everything but `refs`, `weak`, `gate` (read) and `life` (read) belongs to the owner thread.
#include <copse/greenlet.hpp>  // first, and outside the guard: it needs the class, and includes this at its end

#ifndef COPSE_DETAIL_GREENLET_CORE
#define COPSE_DETAIL_GREENLET_CORE

#include <atomic>
#include <cstddef>
#include <cstdint>

#include <copse/detail/thread_block.hpp>

namespace copse::detail {

struct stack_slot;
struct greenlet_data;
struct interrupt;
struct time_limit;
class wait;

enum class life : std::uint8_t { unstarted, started, dead };

/// Reasons to look closer on entry to a wait, and on resume from one that acquired nothing.
enum attention : std::uint8_t {
    attend_interrupt = 1,  // a kill or timeout is pending
    attend_hub = 2,        // hub greenlet: nothing may block here
    attend_thread = 4,     // no thread state yet: the block's current greenlet before the first use
};

enum trait : std::uint8_t {
    trait_fiber = 1,         // a fiber_core
    trait_eternal = 2,       // main or hub: lives inside its thread's state, not counted as a parent
    trait_lost = 4,          // survived the end of its thread: its stack is abandoned
    trait_kept = 8,          // survived the drop of its last handle: holds a reference to itself until it ends
    trait_left_behind = 16,  // the parent of this process has it: it is never resumed here
    trait_stays = 32,        // while fork decides
};

/// What a ready queue holds: a greenlet, or (with a null frame and no stack to come) a callback for the hub.
struct ready_node {
    ready_node* next_ready = nullptr;
    void* frame = nullptr;
};

struct core_ops {
    value (*run)(core&, value&& first);             // calls the callable with the payload of the first switch
    void (*drop_callable)(core&) noexcept;          // destroys it: once, by the death of the greenlet
    void (*destroy)(core&) noexcept;                // ends the block, the callable being gone
    std::size_t size;                               // of the whole block
    void (*drop_result)(core&) noexcept = nullptr;  // of a fiber: ends what it has returned, if anything
};

struct core : ready_node {
    std::atomic<std::uintptr_t> gate{gate_of_nobody};
    exception_state exceptions;  // its own, while it is left: see jump_with_exceptions
    std::uint8_t attention = 0;
    std::uint8_t traits = 0;
    std::atomic<detail::life> life{life::unstarted};
    std::uint8_t shields = 0;
    std::uint32_t stack_request = 0;  // in units of 4 KiB; 0: the default
    detail::wait* waiting = nullptr;  // the open or completed wait that it is parked in
    interrupt* interrupts = nullptr;  // kills and timeouts not yet thrown
    time_limit* limits = nullptr;     // timeout scopes that name it, which end with it if they live longer

    thread_state* owner = nullptr;
    const core_ops* ops = nullptr;
    std::atomic<std::uint32_t> refs{1};
    std::atomic<std::uint32_t> weak{1};  // weak handles, plus one for all of `refs`
    union {
        greenlet parent;  // counted by hand: see `refs`
    };
    core* newer = nullptr;  // registry of the thread's unfinished greenlets
    core* older = nullptr;
    stack_slot* stack = nullptr;
    std::uint64_t id = 0;
    char* label = nullptr;          // the name, NUL-terminated, owned; null: unnamed
    void* checker = nullptr;        // what a sanitizer was told about this stack
    greenlet_data* data = nullptr;  // its local and context values, owned; null: none so far
    union {
        greenlet self;  // a view of this block that is not counted: what current() refers to
    };

    constexpr core() noexcept : parent(), self() {}
    constexpr explicit core(std::uint8_t attends) noexcept : attention(attends), parent(), self() {}
    core(const core&) = delete;
    core& operator=(const core&) = delete;
    ~core() {}  // NOLINT(modernize-use-equals-default): the unions must not be destroyed

    bool is(trait t) const noexcept { return (traits & t) != 0; }
    bool has_started() const noexcept { return life.load(std::memory_order_relaxed) != life::unstarted; }
    bool is_dead() const noexcept { return life.load(std::memory_order_relaxed) == life::dead; }
    bool is_active() const noexcept { return life.load(std::memory_order_relaxed) == life::started; }
};

/// What an empty handle points at, and what is current on a thread that has not used copse yet. Its gate opens for no
/// thread and it always draws attention, so that neither the inlined switch nor a wait needs a null test.
extern constinit core nobody;

}  // namespace copse::detail

#endif
