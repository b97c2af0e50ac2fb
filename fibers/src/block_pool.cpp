#include "block_pool.hpp"

#include <new>

namespace copse::detail {

void* block_pool::carve(std::size_t index) {
    const std::size_t bytes = (index + 1) * granule;
    if (static_cast<std::size_t>(fresh_end_ - fresh_) < bytes) {
        try {
            chunks_.reserve(chunks_.size() + 1);
            chunks_.emplace_back(static_cast<std::byte*>(::operator new (chunk_bytes, std::align_val_t{granule})));
        } catch (...) {
            --live_;
            throw;
        }
        fresh_ = chunks_.back().get();
        fresh_end_ = fresh_ + chunk_bytes;
    }
    std::byte* block = fresh_;
    fresh_ += bytes;
    return block;
}

void* block_pool::take_large(std::size_t size) {
    try {
        return ::operator new (size, std::align_val_t{granule});
    } catch (...) {
        --live_;
        throw;
    }
}

void block_pool::give_large(void* memory) noexcept { ::operator delete (memory, std::align_val_t{granule}); }

}  // namespace copse::detail
