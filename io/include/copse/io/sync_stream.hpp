/// Makes sockets, any_stream and every byte_stream of yours a SyncStream of Boost.Asio, so that what is written for those
/// (Boost.Beast, `boost::asio::read_until`) works over them and parks the fiber.
///
///     #include <copse/io/sync_stream.hpp>
///     copse::io::socket s = copse::io::connect("localhost:80");
///     boost::beast::http::write(s, request);
///
/// Only this header brings Boost; without it `read_some` and `write_some` of a stream are declared and cannot be used.
/// A stream of yours has two lines to add: members `read_some` and `write_some` that call these functions.
///
/// As Asio wants it: at least a byte is moved or there is an error; the end of the stream is
/// `boost::asio::error::eof`; buffers without bytes return at once; the forms without an error_code throw
/// boost::system::system_error. A kill, a timeout scope, concurrent_use and wrong_thread are no error codes: they are
/// thrown, through Asio's and Beast's functions.
///
/// `std::error_code` becomes `boost::system::error_code` by `boost_error`: the system's codes as Asio's are, others in a
/// category of the same name and texts.
#pragma once

#include <array>
#include <cerrno>
#include <cstddef>
#include <map>
#include <mutex>
#include <span>
#include <string>
#include <system_error>

#include <boost/asio/buffer.hpp>
#include <boost/asio/error.hpp>
#include <boost/system/error_code.hpp>
#include <boost/system/system_error.hpp>

#include <copse/io/any_stream.hpp>
#include <copse/io/buffer_view.hpp>
#include <copse/io/error.hpp>

namespace boost::beast {
enum class role_type;
}  // namespace boost::beast

namespace copse::io {

namespace detail {

// A category is never ended through its base.
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wnon-virtual-dtor"
/// A category of the standard library as Boost wants to see it.
class boost_category final : public boost::system::error_category {
public:
    explicit boost_category(const std::error_category& of) : of_(of) {}
    const char* name() const noexcept override { return of_.name(); }
    std::string message(int code) const override { return of_.message(code); }

private:
    const std::error_category& of_;
};
#pragma GCC diagnostic pop

/// The one for `of`; lives as long as the program, as those who compare categories expect.
inline const boost_category& boost_category_of(const std::error_category& of) {
    static auto& door = *new std::mutex;  // never parks: nothing waits while it is held
    static auto& known = *new std::map<const std::error_category*, boost_category>;
    const std::lock_guard lock(door);
    return known.try_emplace(&of, of).first->second;
}

/// The first buffers of a sequence that are not empty, as many as one call takes.
template <class Piece>
class first_pieces {
public:
    template <class Buffers>
    explicit first_pieces(const Buffers& all) {
        const auto last = boost::asio::buffer_sequence_end(all);
        for (auto it = boost::asio::buffer_sequence_begin(all); it != last && count_ < pieces_.size(); ++it) add(*it);
    }

    std::size_t bytes() const noexcept { return bytes_; }
    std::span<const Piece> pieces() const noexcept { return {pieces_.data(), count_}; }

private:
    void add(const boost::asio::mutable_buffer& b) noexcept {
        add(std::span(static_cast<std::byte*>(b.data()), b.size()));
    }
    void add(const boost::asio::const_buffer& b) noexcept {
        add(std::span(static_cast<const std::byte*>(b.data()), b.size()));
    }
    template <class Byte>
    void add(std::span<Byte> bytes) noexcept {
        if (bytes.empty()) return;
        pieces_[count_++] = bytes;
        bytes_ += bytes.size();
    }

    std::array<Piece, 16> pieces_;  // Beast's sequences have up to about eight
    std::size_t count_ = 0;
    std::size_t bytes_ = 0;
};

template <class Stream>
std::size_t recv_pieces(Stream& s, const first_pieces<mutable_buffer>& into) {
    if constexpr (requires { s.recv(into.pieces()); }) {
        if (into.pieces().size() > 1) return s.recv(into.pieces());
    }
    return s.recv(into.pieces().front().bytes());
}

}  // namespace detail

inline boost::system::error_code boost_error(const std::error_code& e) {
    if (!e) return {};
    if (e.category() == std::generic_category() || e.category() == std::system_category())
        return {e.value(), boost::system::system_category()};
    return {e.value(), detail::boost_category_of(e.category())};
}

/// Parks:   until there is a byte, unless the buffers have no room.
/// Returns: how many were received; 0 with an error, and at the end of the stream with eof.
/// Throws:  what is no std::system_error.
template <class Stream, class Buffers>
std::size_t sync_read_some(Stream& from, const Buffers& into, boost::system::error_code& error) {
    const detail::first_pieces<mutable_buffer> room(into);
    error = {};
    if (room.bytes() == 0) return 0;
    try {
        const std::size_t n = detail::recv_pieces(from, room);
        if (n == 0) error = boost::asio::error::eof;
        return n;
    } catch (const std::system_error& e) {
        error = boost_error(e.code());
        return 0;
    }
}

/// Sends all of the first 16 buffers.
/// Parks:   until the last byte was taken.
/// Returns: how many bytes were taken, also with an error.
/// Throws:  what is no std::system_error.
template <class Stream, class Buffers>
std::size_t sync_write_some(Stream& to, const Buffers& from, boost::system::error_code& error) {
    const detail::first_pieces<const_buffer> all(from);
    error = {};
    if (all.bytes() == 0) return 0;
    try {
        to.send_all(all.pieces());
        return all.bytes();
    } catch (const transfer_error& e) {
        error = boost_error(e.code());
        return e.transferred();
    } catch (const std::system_error& e) {
        error = boost_error(e.code());
        return 0;
    }
}

/// The same, but an error is thrown as boost::system::system_error.
template <class Stream, class Buffers>
std::size_t sync_read_some(Stream& from, const Buffers& into) {
    boost::system::error_code error;
    const std::size_t n = sync_read_some(from, into, error);
    if (error) throw boost::system::system_error(error);
    return n;
}
template <class Stream, class Buffers>
std::size_t sync_write_some(Stream& to, const Buffers& from) {
    boost::system::error_code error;
    const std::size_t n = sync_write_some(to, from, error);
    if (error) throw boost::system::system_error(error);
    return n;
}

/// What Beast's WebSocket does with the stream below at its end: says that nothing more is sent, reads what the peer has
/// still sent (1 MiB at most, so that no reset overtakes our last bytes), and closes.
/// Parks:   until the peer has ended too.
template <byte_stream Stream>
void teardown(boost::beast::role_type /*role*/, Stream& s, boost::system::error_code& error) {
    error = {};
    try {
        s.shutdown(shut::write);
        std::array<std::byte, 1024> rest;
        for (int reads = 0; reads < 1024 && s.recv(rest) != 0;) ++reads;
    } catch (const std::system_error& e) {
        error = boost_error(e.code());
    }
    s.close();
}

/// What Beast calls to close a connection.
template <byte_stream Stream>
void beast_close_socket(Stream& s) {
    s.close();
}

}  // namespace copse::io
