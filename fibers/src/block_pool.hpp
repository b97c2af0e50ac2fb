// Memory for control blocks: one pool a thread, size classes of 64 bytes, last in first out.
//
// Invariants: a block's memory goes back to the pool that it came from, on that pool's thread; what another thread frees
// waits in the thread's mailbox (thread_state). Chunks are only given back together with the pool.
#pragma once

#include <array>
#include <cstddef>
#include <memory>
#include <vector>

namespace copse::detail {

class block_pool {
public:
    block_pool() = default;
    block_pool(const block_pool&) = delete;
    block_pool& operator=(const block_pool&) = delete;

    [[gnu::always_inline]] void* take(std::size_t size) {
        ++live_;
        const std::size_t index = class_of(size);
        if (index >= free_.size()) [[unlikely]]
            return take_large(size);
        free_block* block = free_[index];
        if (block == nullptr) [[unlikely]]
            return carve(index);
        free_[index] = block->next;
        return block;
    }

    [[gnu::always_inline]] void give(void* memory, std::size_t size) noexcept {
        --live_;
        const std::size_t index = class_of(size);
        if (index >= free_.size()) [[unlikely]]
            return give_large(memory);
        auto* block = ::new (memory) free_block{free_[index]};
        free_[index] = block;
    }

    std::size_t live() const noexcept { return live_; }

private:
    struct free_block {
        free_block* next;
    };
    static constexpr std::size_t granule = 64;
    static constexpr std::size_t chunk_bytes = std::size_t{64} * 1024;

    static std::size_t class_of(std::size_t size) noexcept { return (size - 1) / granule; }

    void* carve(std::size_t index);
    void* take_large(std::size_t size);
    static void give_large(void* memory) noexcept;

    std::array<free_block*, 16> free_{};
    std::byte* fresh_ = nullptr;  // the rest of the newest chunk
    std::byte* fresh_end_ = nullptr;
    std::size_t live_ = 0;
    struct chunk_deleter {
        void operator()(std::byte* chunk) const noexcept { ::operator delete (chunk, std::align_val_t{granule}); }
    };
    std::vector<std::unique_ptr<std::byte, chunk_deleter>> chunks_;
};

}  // namespace copse::detail
