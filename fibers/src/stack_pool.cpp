// Stacks: carved from slabs, guarded, reused last in first out, and given back to the kernel only where they were seen deep.
//
// Invariants: a pool's counters change only after everything that may fail has succeeded. No code here writes at or above
// the caller's frame, and none below it gives away a page within `frame_margin`, so `give` may be called on the very stack
// that is given.

#include "stack_pool.hpp"

#include "slab_table.hpp"

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <bit>
#include <cerrno>
#include <cstring>
#include <new>
#include <stdexcept>
#include <string>
#include <string_view>
#include <system_error>

#if __has_include(<valgrind/valgrind.h>)
#include <valgrind/valgrind.h>
#else
#define VALGRIND_STACK_REGISTER(low, high) 0U
#define VALGRIND_STACK_DEREGISTER(id) static_cast<void>(id)
#endif

#ifndef MADV_GUARD_INSTALL
#define MADV_GUARD_INSTALL 102  // Linux 6.13, include/uapi/asm-generic/mman-common.h
#endif

// Weak, so that this library, built without AddressSanitizer, still serves a program built with it.
extern "C" {
[[gnu::weak]] void __asan_poison_memory_region(const volatile void*, std::size_t);
[[gnu::weak]] void __asan_unpoison_memory_region(const volatile void*, std::size_t);
}

namespace copse::detail {

constinit stack_syscalls stack_calls{::mmap, ::munmap, ::madvise, ::mprotect, ::mincore};

namespace {

constexpr std::size_t kib = 1024;
constexpr std::size_t small_guard = 16 * kib;
constexpr std::size_t large_guard = 64 * kib;  // a frame of 200 kB was measured to step over a guard of 4 KiB
constexpr std::size_t shallow = 16 * kib;      // what a free stack keeps resident
constexpr std::size_t frame_margin = 8 * kib;  // below the caller's frame: what it may still call before it jumps away
constexpr std::size_t colours = 8;
constexpr std::size_t colour_step = 256;
constexpr std::uint32_t first_slab_slots = 16;
constexpr std::uint32_t largest_slab_slots = 1024;
constexpr std::size_t largest_slab_bytes = std::size_t{1} << 30;  // unless a single stack needs more
constexpr std::uint16_t rarest_look = 1024;  // a look costs half a microsecond: rare enough not to be seen

std::size_t page_size() noexcept {
    static const auto size = static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
    return size;
}

constexpr std::size_t round_up(std::size_t bytes, std::size_t unit) noexcept {
    return (bytes + unit - 1) / unit * unit;
}

std::byte* page_below(std::byte* address) noexcept {
    return address - reinterpret_cast<std::uintptr_t>(address) % page_size();
}

// ---- sizes: four classes to a doubling, from 16 KiB = 2^14 on

constexpr std::size_t class_index(std::size_t usable) noexcept {
    if (usable <= minimum_stack_size) return 0;
    const auto doubling =
        static_cast<std::size_t>(std::bit_width(usable - 1)) - 1;  // 2^doubling < usable <= 2^(doubling+1)
    const std::size_t quarter = (usable - 1 - (std::size_t{1} << doubling)) >> (doubling - 2);
    return (doubling - 14) * 4 + quarter + 1;
}

constexpr std::size_t class_size(std::size_t index) noexcept {
    if (index == 0) return minimum_stack_size;
    const std::size_t doubling = (index - 1) / 4 + 14;
    return (std::size_t{1} << doubling) + ((index - 1) % 4 + 1) * (std::size_t{1} << (doubling - 2));
}

static_assert(class_size(class_index(48 * kib)) == 48 * kib && class_size(class_index(48 * kib + 1)) == 56 * kib);
static_assert(class_size(class_index(default_stack_size)) == default_stack_size);
static_assert(class_size(class_index(maximum_stack_size)) == maximum_stack_size &&
              class_index(maximum_stack_size) == 64);

// ---- guards

std::atomic<guard_kind> chosen_guard{guard_kind::install};
std::atomic<bool> said_unguarded{false};

void say_unguarded() noexcept {
    if (said_unguarded.exchange(true)) return;
    constexpr std::string_view text = "copse: the kernel refuses guard zones (is vm.max_map_count reached?): "
                                      "overflow of stacks made from now on goes unnoticed\n";
    static_cast<void>(!::write(STDERR_FILENO, text.data(), text.size()));
}

/// Steps down for the whole process on the first refusal; never up again.
bool install_guard(std::byte* zone, std::size_t bytes) noexcept {
    if (chosen_guard.load(std::memory_order_relaxed) == guard_kind::install) {
        if (stack_calls.madvise(zone, bytes, MADV_GUARD_INSTALL) == 0) return true;
        chosen_guard.store(guard_kind::mprotect, std::memory_order_relaxed);
    }
    if (chosen_guard.load(std::memory_order_relaxed) == guard_kind::mprotect) {
        if (stack_calls.mprotect(zone, bytes, PROT_NONE) == 0) return true;
        chosen_guard.store(guard_kind::none, std::memory_order_relaxed);
        say_unguarded();
    }
    return false;
}

// ---- parts of slabs and slots

stack_slot* slots_of(stack_slab& slab) noexcept { return reinterpret_cast<stack_slot*>(&slab + 1); }
const stack_slot* slots_of(const stack_slab& slab) noexcept { return reinterpret_cast<const stack_slot*>(&slab + 1); }

std::byte* end_of(const stack_slot& slot) noexcept { return slot.limit + slot.slab->usable; }

/// Where this function's caller stands. Never inlined away: it is the caller's frame, or one just below it.
[[gnu::noinline]] std::byte* frame_here() noexcept { return static_cast<std::byte*>(__builtin_frame_address(0)); }

bool contains(const stack_slot& slot, const std::byte* address) noexcept {
    return slot.limit <= address && address < end_of(slot);
}

bool stand_on(const stack_slot& slot) noexcept { return contains(slot, frame_here()); }

bool stand_in(const stack_slab& slab) noexcept {
    const std::byte* here = frame_here();
    return slab.stacks <= here && here < reinterpret_cast<const std::byte*>(&slab) + slab.bytes;
}

/// The lowest address that must stay when the top `kept` bytes of the stack shall, and the caller's frames if on it.
std::byte* lowest_kept(const stack_slot& slot, std::size_t kept) noexcept {
    std::byte* bound = end_of(slot) - std::min(kept, slot.slab->usable);
    std::byte* here = frame_here();
    if (contains(slot, here))
        bound = std::min(bound, here - std::min(frame_margin, static_cast<std::size_t>(here - slot.limit)));
    return std::max(page_below(bound), slot.limit);
}

bool drop_pages(std::byte* from, std::byte* to) noexcept {
    return from == to || stack_calls.madvise(from, static_cast<std::size_t>(to - from), MADV_DONTNEED) == 0;
}

constexpr std::size_t window = 256;  // pages asked about at once: the answer must fit a small stack

/// The lowest resident page in [from, to), else `to`; also `to` when the kernel does not say.
/// For private anonymous memory mincore answers from the page table: 0 for a page never touched, 1 for one touched, be it
/// only read (measured on Linux 6.18); one that is swapped out counts as never touched.
std::byte* first_resident(std::byte* from, std::byte* to) noexcept {
    while (from < to) {
        std::array<unsigned char, window> pages;
        const std::size_t bytes = std::min(window * page_size(), static_cast<std::size_t>(to - from));
        if (stack_calls.mincore(from, bytes, pages.data()) != 0) return to;
        unsigned char* const end = pages.data() + bytes / page_size();
        unsigned char* const found =
            std::find_if(pages.data(), end, [](unsigned char page) { return (page & 1U) != 0; });
        from += static_cast<std::size_t>(found - pages.data()) * page_size();
        if (found != end) return from;
    }
    return to;
}

/// Looks at no more than one window below what is kept: a frame that skips a MiB of stack untouched is let go unseen.
void drop_if_deep(stack_slot& slot) noexcept {
    std::byte* const kept = lowest_kept(slot, shallow);
    const std::size_t below = static_cast<std::size_t>(kept - slot.limit);
    std::byte* const seen = kept - std::min(below, window * page_size());
    if (first_resident(seen, kept) != kept) drop_pages(slot.limit, kept);
}

// ---- poison and wiping

bool poisons() noexcept { return __asan_poison_memory_region != nullptr && __asan_unpoison_memory_region != nullptr; }

void poison(const stack_slot& slot) noexcept {
    if (poisons()) __asan_poison_memory_region(slot.limit, slot.slab->usable);
}

void unpoison(const void* from, std::size_t bytes) noexcept {
    if (poisons()) __asan_unpoison_memory_region(from, bytes);
}

void wipe(const stack_slot& slot) noexcept {
    std::byte* const kept = lowest_kept(slot, 0);
    if (drop_pages(slot.limit, kept)) return;
    unpoison(slot.limit, slot.slab->usable);  // locked memory is not dropped; frames long gone may have left red zones
    std::memset(slot.limit, 0, static_cast<std::size_t>(kept - slot.limit));
}

// ---- making slabs

[[noreturn]] void refuse_size(std::size_t usable) {
    throw std::invalid_argument("copse: a stack of " + std::to_string(usable) +
                                " bytes was asked for; the maximum is " + std::to_string(maximum_stack_size));
}

[[noreturn]] void throw_no_memory(int error, const char* operation, std::size_t bytes, std::size_t usable) {
    throw std::system_error(error, std::generic_category(),
                            std::string("copse: ") + operation + " of " + std::to_string(bytes) +
                                " bytes for a stack of " + std::to_string(usable) + " bytes");
}

std::size_t head_bytes(std::size_t slots) noexcept {
    return round_up(sizeof(stack_slab) + slots * sizeof(stack_slot), page_size());
}

struct slab_plan {
    std::uint32_t slots;
    std::size_t guard;
    std::size_t usable;

    std::size_t bytes() const noexcept { return head_bytes(slots) + slots * (guard + usable); }
};

slab_plan plan_slab(std::uint32_t growth, std::size_t usable) noexcept {
    const std::size_t guard = round_up(usable < large_guard ? small_guard : large_guard, page_size());
    slab_plan plan{std::min(first_slab_slots << std::min(growth, 16U), largest_slab_slots), guard,
                   round_up(usable, page_size())};
    while (plan.slots > 1 && plan.bytes() > largest_slab_bytes) plan.slots /= 2;
    return plan;
}

/// Settles for fewer slots where address space is short. Null, with errno, when there is not even room for one.
void* map_slab(slab_plan& plan) noexcept {
    constexpr int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_STACK;
    for (;; plan.slots /= 2) {
        void* memory = stack_calls.mmap(nullptr, plan.bytes(), PROT_READ | PROT_WRITE, flags, -1, 0);
        if (memory != MAP_FAILED) return memory;
        if (plan.slots == 1) return nullptr;
    }
}

void unmap_slab(stack_slab& slab) noexcept {
    withdraw(*slab.entry);
    for (std::uint32_t i = 0; i < slab.carved; ++i) VALGRIND_STACK_DEREGISTER(slots_of(slab)[i].valgrind_id);
    unpoison(&slab, slab.bytes);
    stack_calls.munmap(&slab, slab.bytes);
}

bool unused(const stack_slab& slab) noexcept { return slab.idle == slab.carved && !stand_in(slab); }

}  // namespace

guard_kind current_guard_kind() noexcept { return chosen_guard.load(std::memory_order_relaxed); }

void reset_guard_kind() noexcept {
    chosen_guard.store(guard_kind::install, std::memory_order_relaxed);
    said_unguarded.store(false);
}

const stack_slot* find_guard(const void* address) noexcept {
    const auto* byte = static_cast<const std::byte*>(address);
    const stack_slab* slab = find_slab(byte);
    if (slab == nullptr || byte < slab->stacks) return nullptr;
    const auto offset = static_cast<std::size_t>(byte - slab->stacks);
    const std::size_t index = offset / (slab->guard + slab->usable);
    if (index >= slab->carved || offset % (slab->guard + slab->usable) >= slab->guard) return nullptr;
    const stack_slot& slot = slots_of(*slab)[index];
    return slot.owner != nullptr ? &slot : nullptr;
}

stack_pool::~stack_pool() {
    given_ = nullptr;
    count_idle();
    for (stack_class& home : classes_) unmap_idle_slabs(home);
}

stack_slot* stack_pool::take_slow(std::size_t usable) {
    if (usable > maximum_stack_size) refuse_size(usable);
    const std::size_t index = class_index(usable == 0 ? default_stack_size : usable);
    stack_class& home = classes_[index];
    after_care_ = wiping_ || poisons();
    if (home.free == nullptr) {
        stack_slab* slab = home.slabs;
        if (slab == nullptr || slab->carved == slab->slots) slab = make_slab(home, class_size(index));
        carve(*slab);
    }
    last_request_ = usable;
    last_class_ = &home;
    return take_free(home);
}

stack_slab* stack_pool::make_slab(stack_class& home, std::size_t usable) {
    slab_plan plan = plan_slab(home.growth, usable);
    void* memory = map_slab(plan);
    if (memory == nullptr) throw_no_memory(errno, "mmap", plan.bytes(), usable);
    slab_entry* entry = claim_slab_entry();
    if (entry == nullptr) {
        stack_calls.munmap(memory, plan.bytes());
        throw_no_memory(ENOMEM, "mmap of the table of slabs beside one", plan.bytes(), usable);
    }
    stack_calls.madvise(memory, plan.bytes(), MADV_NOHUGEPAGE);  // refused only by kernels that have no huge pages
    auto* stacks = static_cast<std::byte*>(memory) + head_bytes(plan.slots);
    auto* slab = new (memory) stack_slab{.home = &home,
                                         .next = home.slabs,
                                         .entry = entry,
                                         .stacks = stacks,
                                         .bytes = plan.bytes(),
                                         .guard = plan.guard,
                                         .usable = plan.usable,
                                         .slots = plan.slots};
    publish(*entry, *slab);
    home.slabs = slab;
    ++home.growth;
    ++slabs_;
    reserved_bytes_ += slab->bytes;
    return slab;
}

/// Makes the slab's next slot and puts it on the free list.
void stack_pool::carve(stack_slab& slab) noexcept {
    const std::uint32_t index = slab.carved;
    std::byte* const zone = slab.stacks + index * (slab.guard + slab.usable);
    if (!install_guard(zone, slab.guard)) {
        ++slab.unguarded;
        ++unguarded_;
    }
    std::byte* const limit = zone + slab.guard;
    std::byte* const end = limit + slab.usable;
    stack_class& home = *slab.home;
    auto* slot = new (slots_of(slab) + index)
        stack_slot{.top = end - index % colours * colour_step, .limit = limit, .next = home.free, .slab = &slab};
    slot->valgrind_id = VALGRIND_STACK_REGISTER(limit, end);
    home.free = slot;
    slab.carved = index + 1;
    ++carved_;
}

void stack_pool::abandon(stack_slot* slot) noexcept {
    slot->owner = nullptr;
    --live_;
    ++abandoned_;
}

void stack_pool::look_at(stack_slot& slot) noexcept {
    slot.uses_until_look = slot.uses_per_look;
    slot.uses_per_look = std::min<std::uint16_t>(static_cast<std::uint16_t>(slot.uses_per_look * 2), rarest_look);
    drop_if_deep(slot);
}

void stack_pool::note_given(stack_slot* slot) noexcept {
    settle();
    if (given_ != nullptr) {  // we stand on a stack given earlier, hence not on this one
        if (wiping_) wipe(*slot);
        poison(*slot);
    } else {
        given_ = slot;
        settle();
    }
}

void stack_pool::note_taken(stack_slot* slot) noexcept {
    if (slot == given_) {
        given_ = nullptr;
        if (wiping_) wipe(*slot);
    }
    settle();
    unpoison(slot->limit, slot->slab->usable);
}

void stack_pool::settle_given() noexcept {
    if (stand_on(*given_)) return;
    if (wiping_) wipe(*given_);
    poison(*given_);
    given_ = nullptr;
}

void stack_pool::set_wiping(bool on) noexcept {
    wiping_ = on;
    after_care_ = wiping_ || poisons();
}

void stack_pool::trim() noexcept {
    settle();
    count_idle();
    for (stack_class& home : classes_) {
        unmap_idle_slabs(home);
        for (stack_slot* slot = home.free; slot != nullptr; slot = slot->next)
            drop_pages(slot->limit, lowest_kept(*slot, 0));
    }
}

void stack_pool::count_idle() noexcept {
    for (stack_class& home : classes_) {
        for (stack_slab* slab = home.slabs; slab != nullptr; slab = slab->next) slab->idle = 0;
        for (stack_slot* slot = home.free; slot != nullptr; slot = slot->next) ++slot->slab->idle;
    }
}

void stack_pool::drop_idle_slots(stack_class& home) noexcept {
    stack_slot** link = &home.free;
    while (stack_slot* slot = *link) {
        if (unused(*slot->slab)) *link = slot->next;
        else link = &slot->next;
    }
}

/// Needs fresh counts of `count_idle`.
void stack_pool::unmap_idle_slabs(stack_class& home) noexcept {
    drop_idle_slots(home);
    stack_slab** link = &home.slabs;
    while (stack_slab* slab = *link) {
        if (!unused(*slab)) {
            link = &slab->next;
            continue;
        }
        *link = slab->next;
        carved_ -= slab->carved;
        unguarded_ -= slab->unguarded;
        --slabs_;
        reserved_bytes_ -= slab->bytes;
        unmap_slab(*slab);
    }
}

std::size_t stack_pool::high_water(const stack_slot& slot) noexcept {
    std::byte* const deepest = first_resident(slot.limit, end_of(slot));
    return deepest < slot.top ? static_cast<std::size_t>(slot.top - deepest) : 0;
}

stack_stats stack_pool::statistics() const noexcept {
    return {.live = live_,
            .free = carved_ - live_ - abandoned_,
            .peak = peak_,
            .abandoned = abandoned_,
            .unguarded = unguarded_,
            .slabs = slabs_,
            .reserved_bytes = reserved_bytes_,
            .guard = current_guard_kind()};
}

}  // namespace copse::detail
