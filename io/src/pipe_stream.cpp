#include <copse/io/pipe_stream.hpp>

#include <vector>

namespace copse::io {

void pipe_stream::shutdown(shut how) noexcept {
    if (how != shut::write) reader_.close();
    if (how != shut::read) writer_.close();
}

void pipe_stream::send_all_by(std::span<const const_buffer> pieces, detail::limit within) {
    std::vector<std::byte> room;
    const std::span<const std::byte> bytes = detail::as_one(pieces, room);
    const auto until = within.point();
    until ? writer_.write_all_until(bytes, *until) : writer_.write_all(bytes);
}

}  // namespace copse::io
