#include "disk_call.hpp"

#include <cerrno>
#include <cstring>
#include <utility>

#include "disk_ring.hpp"
#include "system_calls.hpp"

namespace copse::io::detail {

disk_call::disk_call(std::shared_ptr<open_file> from, std::uint64_t at, std::size_t n)
    : what(kind::read),
      file(std::move(from)),
      offset(at),
      size(n),
      bytes(std::make_unique_for_overwrite<std::byte[]>(n)) {}

disk_call::disk_call(std::shared_ptr<open_file> to, std::uint64_t at, std::span<const std::byte> from)
    : what(kind::write),
      file(std::move(to)),
      offset(at),
      size(from.size()),
      bytes(std::make_unique_for_overwrite<std::byte[]>(from.size())) {
    if (!from.empty()) std::memcpy(bytes.get(), from.data(), from.size());
}

disk_call::disk_call(std::shared_ptr<open_file> of) noexcept : what(kind::sync), file(std::move(of)) {}

void disk_call::run() noexcept {
    if (what == kind::sync) {
        done.error = sys.fsync(file->fd) == 0 ? 0 : errno;
        return;
    }
    const auto move_there = [this] {
        std::byte* const rest = bytes.get() + done.bytes;
        const std::size_t left = size - done.bytes;
        return what == kind::read ? read_there(file->fd, offset + done.bytes, rest, left)
                                  : write_there(file->fd, offset + done.bytes, rest, left);
    };
    const moved now = move_there();
    done = {done.bytes + now.bytes, now.error};
}

void carry_out(const std::shared_ptr<disk_call>& call, limit& within, const char* operation, std::size_t before) {
    if (disk_ring_does(call, within, operation, before)) return;
    on_disk(within, operation, call->file->name, before, [call] { call->run(); });
}

}  // namespace copse::io::detail
