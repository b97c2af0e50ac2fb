// The table of slabs: a list of chunks that only grows; its lines are used again.
//
// A line's `begin`, which is the slab's own address, is null while it is free and `claim_mark` while it is being written. It is
// the last thing written, and the first and the last thing read: a line may change hands while it is read, and the end that
// was found may be another slab's.

#include "slab_table.hpp"

#include "stack_pool.hpp"

#include <sys/mman.h>

#include <array>
#include <atomic>
#include <new>

namespace copse::detail {

struct slab_entry {
    std::atomic<const std::byte*> begin{};
    std::atomic<const std::byte*> end{};
};

namespace {

struct entry_chunk {
    std::array<slab_entry, 160> entries{};
    std::atomic<entry_chunk*> next{};
};

constinit entry_chunk first_chunk;
constexpr std::byte claim_mark{};

slab_entry* claim_entry_in(entry_chunk& chunk) noexcept {
    for (slab_entry& entry : chunk.entries) {
        const std::byte* expected = nullptr;
        if (entry.begin.load(std::memory_order_relaxed) == nullptr &&
            entry.begin.compare_exchange_strong(expected, &claim_mark))
            return &entry;
    }
    return nullptr;
}

entry_chunk* next_chunk(entry_chunk& chunk) noexcept {
    if (entry_chunk* next = chunk.next.load(std::memory_order_acquire)) return next;
    constexpr int flags = MAP_PRIVATE | MAP_ANONYMOUS;
    void* memory = stack_calls.mmap(nullptr, sizeof(entry_chunk), PROT_READ | PROT_WRITE, flags, -1, 0);
    if (memory == MAP_FAILED) return nullptr;
    auto* made = new (memory) entry_chunk;
    entry_chunk* found = nullptr;
    if (chunk.next.compare_exchange_strong(found, made, std::memory_order_acq_rel)) return made;
    stack_calls.munmap(memory, sizeof(entry_chunk));
    return found;
}

const stack_slab* find_slab_in(const entry_chunk& chunk, const std::byte* address) noexcept {
    for (const slab_entry& entry : chunk.entries) {
        const std::byte* begin = entry.begin.load(std::memory_order_acquire);
        if (begin == nullptr || begin == &claim_mark) continue;
        if (address < begin || entry.end.load(std::memory_order_acquire) <= address) continue;
        if (entry.begin.load(std::memory_order_acquire) == begin) return reinterpret_cast<const stack_slab*>(begin);
    }
    return nullptr;
}

}  // namespace

slab_entry* claim_slab_entry() noexcept {
    for (entry_chunk* chunk = &first_chunk; chunk != nullptr; chunk = next_chunk(*chunk))
        if (slab_entry* entry = claim_entry_in(*chunk)) return entry;
    return nullptr;
}

void publish(slab_entry& entry, const stack_slab& slab) noexcept {
    const auto* begin = reinterpret_cast<const std::byte*>(&slab);
    entry.end.store(begin + slab.bytes, std::memory_order_release);
    entry.begin.store(begin, std::memory_order_release);
}

void withdraw(slab_entry& entry) noexcept { entry.begin.store(nullptr, std::memory_order_release); }

const stack_slab* find_slab(const std::byte* address) noexcept {
    for (const entry_chunk* chunk = &first_chunk; chunk != nullptr; chunk = chunk->next.load(std::memory_order_acquire))
        if (const stack_slab* slab = find_slab_in(*chunk, address)) return slab;
    return nullptr;
}

}  // namespace copse::detail
