// What one send is to encrypt: pieces of memory, handed out in runs that are worth a record.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <span>

#include <copse/io/buffer.hpp>
#include <copse/io/buffer_view.hpp>

namespace copse::io::detail {

class plain_text {
public:
    explicit plain_text(std::span<const const_buffer> pieces) noexcept : pieces_(pieces) { skip_empty(); }

    /// The next bytes, at most `most`: of the piece itself if it is long or the last, else several pieces copied together
    /// into one record. Empty at the end. Valid until let_go().
    std::span<const std::byte> take(std::size_t most) {
        if (pieces_.empty()) return {};
        return rest().size() >= record || pieces_.size() == 1 ? take_piece(most) : gather();
    }

    void let_go() noexcept { together_ = {}; }

private:
    static constexpr std::size_t record = 16 * 1024;
    static_assert(record <= pooled_buffer::capacity);

    std::span<const std::byte> rest() const noexcept { return pieces_.front().bytes().subspan(done_); }

    void skip_empty() noexcept {
        while (!pieces_.empty() && rest().empty()) {
            pieces_ = pieces_.subspan(1);
            done_ = 0;
        }
    }

    std::span<const std::byte> take_piece(std::size_t most) noexcept {
        const auto taken = rest().first(std::min(most, rest().size()));
        done_ += taken.size();
        skip_empty();
        return taken;
    }

    std::span<const std::byte> gather() {
        together_ = pooled_buffer::take();
        std::size_t size = 0;
        while (size != record && !pieces_.empty()) {
            const auto part = take_piece(record - size);
            std::memcpy(together_.data() + size, part.data(), part.size());
            size += part.size();
        }
        return {together_.data(), size};
    }

    std::span<const const_buffer> pieces_;
    std::size_t done_ = 0;  // of the first piece
    pooled_buffer together_;
};

}  // namespace copse::io::detail
