#pragma once

/// A program whose allocations are refused when it says so. This replaces operator new of the whole program, and a replacement
/// must not be inline: include it in one source of a program alone.

#include <cstddef>
#include <cstdlib>
#include <new>

namespace copse_test {

/// Whether the allocation that is being made is refused: the program defines it. Must not allocate.
bool is_refused();

inline void* allocate(std::size_t size, std::size_t alignment) {
    if (is_refused()) throw std::bad_alloc();
    const std::size_t rounded = (size + alignment - 1) / alignment * alignment;
    void* memory = alignment > alignof(std::max_align_t) ? std::aligned_alloc(alignment, rounded) : std::malloc(size);
    if (memory == nullptr) throw std::bad_alloc();
    return memory;
}

}  // namespace copse_test

void* operator new(std::size_t size) { return copse_test::allocate(size, alignof(std::max_align_t)); }
void* operator new(std::size_t size, std::align_val_t alignment) {
    return copse_test::allocate(size, static_cast<std::size_t>(alignment));
}
void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, std::size_t /*size*/) noexcept { std::free(memory); }
void operator delete(void* memory, std::align_val_t /*alignment*/) noexcept { std::free(memory); }
void operator delete(void* memory, std::size_t /*size*/, std::align_val_t /*alignment*/) noexcept { std::free(memory); }
