// Receiving keeps what it has of a message in the state, not on the stack: whatever throws, the next call goes on from there.
#include <copse/io/frame_stream.hpp>

#include <algorithm>
#include <array>
#include <cerrno>
#include <limits>
#include <stdexcept>
#include <vector>

#include <copse/mutex.hpp>

#include <copse/io/buffered_stream.hpp>

#include "failure.hpp"
#include "turn_of.hpp"

namespace copse::io {

namespace detail {

namespace {

using prefix_bytes = std::array<std::byte, 8>;

/// How many bytes a message may have.
std::uint64_t limit_of(const frame_options& with) noexcept {
    const std::uint64_t sayable = std::numeric_limits<std::uint64_t>::max() >> (64 - 8 * with.prefix);
    return std::min<std::uint64_t>(with.max_size, sayable);
}

/// Where the byte of weight 256^i stands.
unsigned place_of(unsigned i, const frame_options& with) noexcept {
    return with.order == std::endian::little ? i : with.prefix - 1 - i;
}

prefix_bytes encode(std::uint64_t size, const frame_options& with) noexcept {
    prefix_bytes bytes{};
    for (unsigned i = 0; i < with.prefix; ++i) bytes[place_of(i, with)] = static_cast<std::byte>(size >> (8 * i));
    return bytes;
}

std::uint64_t decode(const prefix_bytes& bytes, const frame_options& with) noexcept {
    std::uint64_t size = 0;
    for (unsigned i = 0; i < with.prefix; ++i)
        size |= std::to_integer<std::uint64_t>(bytes[place_of(i, with)]) << (8 * i);
    return size;
}

const frame_options& checked(const frame_options& with) {
    if (!std::has_single_bit(with.prefix) || with.prefix > 8)
        throw std::invalid_argument("frame_stream: a prefix of " + std::to_string(with.prefix) +
                                    " bytes; it has 1, 2, 4 or 8");
    if (with.order != std::endian::big && with.order != std::endian::little)
        throw std::invalid_argument("frame_stream: an order of bytes that is neither big nor little");
    return with;
}

}  // namespace

class frame_state {
public:
    frame_state(any_stream under, const frame_options& with) : with_(checked(with)), stream_(std::move(under)) {}

    bool is_open() const noexcept { return stream_.is_open(); }
    void close() { stream_.close(); }

    void send(std::span<const const_buffer> pieces, limit within);
    std::optional<std::string> receive(limit within);
    void shutdown(shut how);

private:
    bool receive_length(limit& within);
    void receive_some(limit& within);

    const frame_options with_;
    buffered_stream stream_;  // for what comes; what goes passes it by
    outlet outlet_;
    copse::mutex sending_;
    lane receiving_;
    std::optional<std::uint64_t> announced_;  // of the message that is being received
    std::string message_;                     // what there is of it
};

void frame_state::send(std::span<const const_buffer> pieces, limit within) {
    std::uint64_t size = 0;
    for (const const_buffer& piece : pieces) size += piece.size();
    if (size > limit_of(with_))
        throw std::invalid_argument("frame_stream::send: a message of " + std::to_string(size) + " bytes, " +
                                    std::to_string(limit_of(with_)) + " are allowed");
    const prefix_bytes prefix = encode(size, with_);
    std::vector<const_buffer> all{const_buffer(std::span(prefix).first(with_.prefix))};
    all.insert(all.end(), pieces.begin(), pieces.end());
    const turn_of mine(sending_, within, "frame_stream::send");
    outlet_.send_all(stream_.below(), all, within.point(), "frame_stream::send");
}

// False if the stream ended in good order.
bool frame_state::receive_length(limit& within) {
    prefix_bytes prefix{};
    const std::span<std::byte> bytes = std::span(prefix).first(with_.prefix);
    const auto until = within.point();
    if ((until ? stream_.read_exactly_until(bytes, *until) : stream_.read_exactly(bytes)) == 0) return false;
    announced_ = decode(prefix, with_);
    return true;
}

// A part that doubles with what has come, and never more than is missing.
void frame_state::receive_some(limit& within) {
    constexpr std::size_t first_part = 64 * 1024;
    const std::size_t have = message_.size();
    const auto missing = static_cast<std::size_t>(*announced_ - have);
    const std::size_t part = std::min(missing, std::max(first_part, have));
    message_.resize(have + part);
    const std::span<std::byte> into = std::as_writable_bytes(std::span(message_)).subspan(have);
    std::size_t got = 0;
    try {
        const auto until = within.point();
        got = until ? stream_.read_exactly_until(into, *until) : stream_.read_exactly(into);
    } catch (...) {
        message_.resize(have);  // what came of the part is unread
        throw;
    }
    if (got != 0) return;
    message_.resize(have);
    throw transfer_error(std::make_error_code(std::errc::connection_aborted),
                         "frame_stream::receive: the stream ended after " + std::to_string(have) + " of " +
                             std::to_string(*announced_) + " bytes of a message",
                         0);
}

std::optional<std::string> frame_state::receive(limit within) {
    const lane::use here(receiving_, "frame_stream::receive");
    if (!announced_ && !receive_length(within)) return std::nullopt;
    if (*announced_ > limit_of(with_))
        throw transfer_error(std::make_error_code(std::errc::message_size),
                             "frame_stream::receive: a message of " + std::to_string(*announced_) +
                                 " bytes is announced, " + std::to_string(limit_of(with_)) + " are allowed",
                             0);
    while (message_.size() != *announced_) receive_some(within);
    announced_.reset();
    return std::exchange(message_, {});
}

void frame_state::shutdown(shut how) {
    limit none;
    const turn_of mine(sending_, none, "frame_stream::shutdown");
    stream_.below().shutdown(how);
}

}  // namespace detail

frame_stream::frame_stream() noexcept = default;
frame_stream::frame_stream(any_stream under, const frame_options& with)
    : state_(std::make_unique<detail::frame_state>(std::move(under), with)) {}
frame_stream::frame_stream(frame_stream&& other) noexcept = default;
frame_stream& frame_stream::operator=(frame_stream&& other) noexcept = default;
frame_stream::~frame_stream() = default;

bool frame_stream::is_open() const noexcept { return state_ != nullptr && state_->is_open(); }

detail::frame_state& frame_stream::use(const char* operation) const {
    if (state_ == nullptr) detail::fail(EBADF, std::string(operation) + " on a closed frame_stream");
    return *state_;
}

void frame_stream::send_by(std::span<const const_buffer> pieces, detail::limit within) {
    use("send").send(pieces, within);
}

std::optional<std::string> frame_stream::receive_by(detail::limit within) { return use("receive").receive(within); }

void frame_stream::shutdown(shut how) { use("shutdown").shutdown(how); }

void frame_stream::close() {
    if (state_ != nullptr) state_->close();
}

}  // namespace copse::io
