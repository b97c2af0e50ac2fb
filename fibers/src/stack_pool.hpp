#pragma once

/// Where stacks come from: a thread's own pool of guarded, reused, lazily touched stacks.
///
/// Memory of one slab, low addresses first:
///
///     | stack_slab, its stack_slots | guard | usable … top | guard | usable … top | …
///
/// Invariants: a slot is exactly one of uncarved, free, taken, abandoned. `owner` is null unless taken. A slab is unmapped
/// only when every slot carved from it is free. What is process-wide (the guard's kind, the table of slabs that the
/// overflow report reads) is lock-free; all the rest belongs to the pool's thread.

#include <copse/stack.hpp>

#include <array>
#include <cstddef>
#include <cstdint>

namespace copse::detail {

struct stack_class;
struct stack_slab;
struct slab_entry;

/// One stack. Lives beside the stacks, not in them; its address is stable until it has been given back.
struct stack_slot {
    std::byte* top{};     ///< where the first frame starts: one past the highest usable byte, 16-byte aligned
    std::byte* limit{};   ///< the lowest usable byte, just above the guard zone
    const void* owner{};  ///< set by the taker: whom an overflow is reported for; `give` and `abandon` clear it
    stack_slot* next{};   ///< the pool's: next free slot of its class
    stack_slab* slab{};   ///< the pool's
    std::uint32_t valgrind_id{};
    std::uint16_t uses_until_look{1};  ///< the pool's: at 0 `give` looks how deep the stack went
    std::uint16_t uses_per_look{1};    ///< 1, 1, 2, 4 … 1024: looks at uses 1, 2, 4 … 1024, 2048, 3072 …
};
static_assert(sizeof(stack_slot) <= 48, "a million of them count");

/// All stacks of one size in one pool.
struct stack_class {
    stack_slot* free{};      ///< last in, first out
    stack_slab* slabs{};     ///< newest first; only the newest may have uncarved slots
    std::uint32_t growth{};  ///< slabs made so far: each holds twice as many slots as the one before, up to a limit
};

/// The head of one mapping; the slots follow it.
struct stack_slab {
    stack_class* home{};
    stack_slab* next{};
    slab_entry* entry{};   ///< its line in the process-wide table
    std::byte* stacks{};   ///< where the first slot's guard zone begins
    std::size_t bytes{};   ///< of the whole mapping
    std::size_t guard{};   ///< bytes of each guard zone
    std::size_t usable{};  ///< bytes above each guard zone, the unused top included
    std::uint32_t slots{};
    std::uint32_t carved{};     ///< slots [0, carved) exist
    std::uint32_t unguarded{};  ///< of those, the ones without a guard
    std::uint32_t idle{};       ///< scratch of `trim` and the destructor: how many of them are free
};

/// The system calls of this floor: the seam at which tests refuse them.
struct stack_syscalls {
    void* (*mmap)(void*, std::size_t, int, int, int, long);
    int (*munmap)(void*, std::size_t);
    int (*madvise)(void*, std::size_t, int);
    int (*mprotect)(void*, std::size_t, int);
    int (*mincore)(void*, std::size_t, unsigned char*);
};

/// The table in use. To be written only while no other thread takes or gives stacks.
extern constinit stack_syscalls stack_calls;

/// How the next slot will be guarded, as far as is known; `install` until it was refused.
guard_kind current_guard_kind() noexcept;

/// Tries everything again, and may say again that stacks go unguarded. For tests that refuse system calls.
void reset_guard_kind() noexcept;

/// The taken slot in whose guard zone `address` lies, else null. Reads every thread's slabs; async-signal-safe.
const stack_slot* find_guard(const void* address) noexcept;

/// A thread's stacks.
///
/// Owns their memory. Used by one thread only, from construction to destruction; neither copied nor moved.
///
///     stack_pool pool;
///     stack_slot* slot = pool.take(0);
///     slot->owner = &control_block;
///     fcontext_t context = make_fcontext(slot->top, std::size_t(slot->top - slot->limit), entry);
///     …                      // run it; as its last act, still on the stack:
///     pool.give(slot);       // and then jump away. What arrives elsewhere calls
///     pool.settle();
///
/// Cost: `take` and `give` are a few nanoseconds while the size asked for stays the same and a stack of it is free; a stack
/// never used before costs its guard (0.6 µs) and a page fault.
class stack_pool {
public:
    constexpr stack_pool() noexcept = default;
    stack_pool(const stack_pool&) = delete;
    stack_pool& operator=(const stack_pool&) = delete;

    /// Unmaps every slab whose stacks are all free; the others (stacks abandoned, or never given back) stay mapped for ever.
    /// Must not run on a stack of this pool.
    ~stack_pool();

    /// A stack of at least `usable` bytes (0: the default size), less the colour of its top.
    /// Its content is unspecified. `owner` is null.
    /// Throws:  std::invalid_argument beyond maximum_stack_size; std::system_error when the kernel refuses the memory, the
    ///          sizes in its text. The pool is unchanged then.
    [[gnu::always_inline]] stack_slot* take(std::size_t usable) {
        if (usable != last_request_ || last_class_->free == nullptr) [[unlikely]]
            return take_slow(usable);
        return take_free(*last_class_);
    }

    /// Takes a stack back. The caller may still stand on it until it jumps away: nothing at or above its frame is touched.
    /// What it takes meanwhile is that same stack, to be started only by cutting off the frames it stands on.
    [[gnu::always_inline]] void give(stack_slot* slot) noexcept {
        stack_class& home = *slot->slab->home;
        slot->owner = nullptr;
        slot->next = home.free;
        home.free = slot;
        --live_;
        if (--slot->uses_until_look == 0) [[unlikely]]
            look_at(*slot);
        if (after_care_) [[unlikely]]
            note_given(slot);
    }

    /// Gives up a taken stack whose greenlet survived its kill: never reused, never unmapped.
    void abandon(stack_slot* slot) noexcept;

    /// Finishes, once off it, what `give` could not do to a stack in use: poisons it under AddressSanitizer, wipes it if
    /// asked to. The next `take` or `give` does it too; calling it on arrival only makes use-after-return visible earlier.
    /// Cost:    one test when there is nothing of the kind to do.
    [[gnu::always_inline]] void settle() noexcept {
        if (given_ != nullptr) [[unlikely]]
            settle_given();
    }

    /// Gives the pages of free stacks back to the kernel, and whole slabs that have nothing but free stacks (never the one
    /// that the caller stands on).
    void trim() noexcept;

    /// From now on a stack given back is zeroed before anybody else gets it (`settle` says when). A greenlet that is started
    /// on the very stack its predecessor still stands on gets it as it is, except for whole pages well below that frame.
    void set_wiping(bool on) noexcept;

    /// Bytes from `top` down to the deepest page touched since the stack was last trimmed, whoever touched it; a multiple
    /// of the page size but for the colour. Pages swapped out do not count. Async-signal-safe.
    static std::size_t high_water(const stack_slot& slot) noexcept;

    /// The bytes between guard zone and the end of the slot: the size asked for, rounded up.
    static std::size_t size(const stack_slot& slot) noexcept { return slot.slab->usable; }

    stack_stats statistics() const noexcept;

private:
    [[gnu::always_inline]] stack_slot* take_free(stack_class& from) noexcept {
        stack_slot* slot = from.free;
        from.free = slot->next;
        if (++live_ > peak_) peak_ = live_;
        if (after_care_) [[unlikely]]
            note_taken(slot);
        return slot;
    }

    stack_slot* take_slow(std::size_t usable);
    stack_slab* make_slab(stack_class& home, std::size_t usable);
    void carve(stack_slab& slab) noexcept;
    void look_at(stack_slot& slot) noexcept;
    void note_taken(stack_slot* slot) noexcept;
    void note_given(stack_slot* slot) noexcept;
    void settle_given() noexcept;
    void count_idle() noexcept;
    void drop_idle_slots(stack_class& home) noexcept;
    void unmap_idle_slabs(stack_class& home) noexcept;

    static constexpr std::size_t class_count = 65;  // 16 KiB to 1 GiB, four to a doubling

    static inline constinit stack_class empty_class_{};  // where a pool never used looks first; never written

    std::array<stack_class, class_count> classes_{};
    std::size_t last_request_ = SIZE_MAX;      // as asked for, granted; SIZE_MAX never is
    stack_class* last_class_ = &empty_class_;  // of that request
    std::size_t live_ = 0;
    std::size_t peak_ = 0;
    stack_slot* given_ = nullptr;  // given back, not yet settled
    bool after_care_ = false;      // stacks are poisoned or wiped
    bool wiping_ = false;
    std::size_t abandoned_ = 0;
    std::size_t carved_ = 0;
    std::size_t unguarded_ = 0;
    std::size_t slabs_ = 0;
    std::size_t reserved_bytes_ = 0;
};

}  // namespace copse::detail
