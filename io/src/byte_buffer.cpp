#include <copse/io/detail/byte_buffer.hpp>

#include <algorithm>
#include <cstring>

namespace copse::io::detail {

std::span<std::byte> byte_buffer::room(std::size_t n) {
    const std::size_t kept = size();
    if (kept == 0) begin_ = end_ = 0;
    if (capacity_ - end_ < n) {
        // Moved to the front only if that frees at least as much as is moved: else a long line would be moved again and again.
        if (capacity_ - kept >= n && begin_ >= kept) {
            std::memmove(data_.get(), data_.get() + begin_, kept);
        } else {
            const std::size_t wanted = std::max(kept + n, 2 * capacity_);
            auto bigger = std::make_unique_for_overwrite<std::byte[]>(wanted);
            if (kept != 0) std::memcpy(bigger.get(), data_.get() + begin_, kept);
            data_ = std::move(bigger);
            capacity_ = wanted;
        }
        begin_ = 0;
        end_ = kept;
    }
    return {data_.get() + end_, capacity_ - end_};
}

void byte_buffer::append(std::span<const std::byte> bytes) {
    if (bytes.empty()) return;
    std::memcpy(room(bytes.size()).data(), bytes.data(), bytes.size());
    commit(bytes.size());
}

}  // namespace copse::io::detail
