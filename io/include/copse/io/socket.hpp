/// Sockets: the verbs of BSD and Python, which park the fiber where those block the thread.
#pragma once

#include <sys/socket.h>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <initializer_list>
#include <limits>
#include <optional>
#include <span>
#include <string_view>
#include <type_traits>
#include <utility>

#include <copse/io/buffer.hpp>
#include <copse/io/buffer_view.hpp>
#include <copse/io/datagram.hpp>
#include <copse/io/detail/limit.hpp>
#include <copse/io/endpoint.hpp>
#include <copse/io/error.hpp>
#include <copse/io/socket_option.hpp>

namespace copse::io {

namespace detail {
struct entry;
struct socket_access;
}  // namespace detail
struct accepted;

/// Which half of a connection is shut down.
enum class shut : std::uint8_t { read = SHUT_RD, write = SHUT_WR, both = SHUT_RDWR };

/// A socket: owns its descriptor and closes it.
///
/// It belongs to the thread that made it; another thread gets `wrong_thread`. To move a connection to another thread, carry
/// the number: `release()` here, `socket::adopt(fd)` there. In one thread any fiber may use it, one for each direction at a
/// time: a second reader (recv, accept) or writer (send, connect) that would have to wait gets `concurrent_use`.
///
///     auto listener = copse::io::listen("127.0.0.1:0");
///     copse::spawn([&] {
///         auto [peer, from] = listener.accept();
///         while (auto chunk = peer.recv_pooled()) peer.send_all(chunk.bytes());
///     });
///     auto client = copse::io::connect(listener.local_endpoint());
///     client.send_all("many small trees");
///
/// Every verb that may park is a kill point even if it succeeds at once, and lets others run after 128 operations in a row
/// that did not have to wait. Unless it parks, it allocates nothing, makes no call beyond its own, and reads no clock (of
/// those with a time one in 61 does). Unless a line says otherwise it throws:
///
/// - std::system_error with the kernel's code: EBADF if the socket is closed, also by another fiber meanwhile;
/// - timed_out when its time is over: that of the `_for` and `_until` forms, else of `set_timeout`;
/// - concurrent_use, wrong_thread, and whatever a kill or a timeout scope throws.
///
/// After an error, a kill or a time-out nothing refers to the call any more and the socket can be used again.
class socket {
public:
    /// Closed.
    socket() noexcept = default;

    /// Throws:  std::system_error.
    explicit socket(int family, int type = SOCK_STREAM, int protocol = 0);

    /// Takes over a descriptor, which becomes this thread's. It is made non-blocking; its options stay as they are.
    /// Throws:  std::system_error (EBADF, ENOTSOCK): the number then still is the caller's.
    static socket adopt(int fd);

    socket(socket&& other) noexcept
        : entry_(std::exchange(other.entry_, nullptr)),
          home_(std::exchange(other.home_, no_home)),
          timeout_(std::exchange(other.timeout_, copse::detail::never)),
          fd_(std::exchange(other.fd_, -1)),
          generation_(other.generation_) {}
    socket& operator=(socket&& other) noexcept {
        socket(std::move(other)).swap(*this);
        return *this;
    }
    /// As close().
    ~socket() {
        if (fd_ >= 0) close();
    }

    void swap(socket& other) noexcept {
        std::swap(entry_, other.entry_);
        std::swap(home_, other.home_);
        std::swap(timeout_, other.timeout_);
        std::swap(fd_, other.fd_);
        std::swap(generation_, other.generation_);
    }

    bool is_open() const noexcept { return fd_ >= 0; }
    explicit operator bool() const noexcept { return is_open(); }
    /// -1 if it is closed. For calls that copse does not have; whoever reads or closes it by number is on their own.
    int native_handle() const noexcept { return fd_; }

    /// Closes it, after the fibers that wait on it were made ready with EBADF, so that none of them ever sees another use
    /// of the number. A closed one stays closed. On another thread than its own only the descriptor is closed, and nobody
    /// woken.
    /// Parks:   no.
    void close() noexcept;

    /// Gives the descriptor away without closing it; those who wait get EBADF.
    /// Returns: -1 if it is closed.
    int release();

    /// Parks:   no.
    void bind(const endpoint& here);
    void bind(std::string_view here) { bind(endpoint::parse(here)); }
    /// `backlog`: how many connections the kernel completes ahead of `accept`.
    /// Parks:   no.
    void listen(int backlog = 1024);

    /// Takes the next connection. Connections that failed before they were taken are passed over, up to 15 in a row.
    /// Parks:   until there is one.
    /// Returns: the socket and where it comes from. TCP options such as no_delay are the listener's.
    accepted accept();
    template <class Rep, class Period>
    accepted accept_for(std::chrono::duration<Rep, Period> length);
    template <class Clock, class Duration>
    accepted accept_until(std::chrono::time_point<Clock, Duration> when);
    /// Parks:   no. Returns: empty if no connection waits.
    std::optional<accepted> try_accept();

    /// Parks:   until connected.
    /// Throws:  the exact reason, such as ECONNREFUSED, EHOSTUNREACH, EADDRNOTAVAIL. A connection of a loopback port to itself
    ///          (possible when nobody listens there and the kernel chose the same port) is closed, and is ECONNREFUSED.
    /// After:   an error: a stream socket had better be closed; after a kill or time-out it may yet connect.
    void connect(const endpoint& there) { connect_by(there, standing()); }
    template <class Rep, class Period>
    void connect_for(const endpoint& there, std::chrono::duration<Rep, Period> length) {
        connect_by(there, detail::limit::within(length));
    }
    template <class Clock, class Duration>
    void connect_until(const endpoint& there, std::chrono::time_point<Clock, Duration> when) {
        connect_by(there, detail::limit::until(when));
    }

    /// Receives what is there, at least a byte, at most what fits. `flags` as for recv(2).
    /// Parks:   until there is something.
    /// Returns: 0 at the end of the stream (or if `into` is empty): the peer sends no more.
    ///          A datagram is taken whole: what does not fit is lost without a word (recv_from tells); 0 is also an empty one.
    /// After:   a kill or time-out: nothing was taken.
    std::size_t recv(std::span<std::byte> into, int flags = 0) { return recv_by(into, flags, standing()); }
    template <class Rep, class Period>
    std::size_t recv_for(std::span<std::byte> into, std::chrono::duration<Rep, Period> length, int flags = 0) {
        return recv_by(into, flags, detail::limit::within(length));
    }
    template <class Clock, class Duration>
    std::size_t recv_until(std::span<std::byte> into, std::chrono::time_point<Clock, Duration> when, int flags = 0) {
        return recv_by(into, flags, detail::limit::until(when));
    }
    /// Receives into several buffers, each filled before the next; of a stream's, into the first 64 that are not empty.
    std::size_t recv(std::span<const mutable_buffer> into) { return recv_by(into, standing()); }
    std::size_t recv(std::initializer_list<mutable_buffer> into) {
        return recv_by({into.begin(), into.size()}, standing());
    }
    template <class Rep, class Period>
    std::size_t recv_for(std::span<const mutable_buffer> into, std::chrono::duration<Rep, Period> length) {
        return recv_by(into, detail::limit::within(length));
    }
    template <class Clock, class Duration>
    std::size_t recv_until(std::span<const mutable_buffer> into, std::chrono::time_point<Clock, Duration> when) {
        return recv_by(into, detail::limit::until(when));
    }
    /// Parks:   no. Returns: empty if nothing is there.
    std::optional<std::size_t> try_recv(std::span<std::byte> into, int flags = 0);

    /// Fills `into`. The time is for all of it.
    /// Parks:   until it is full.
    /// Returns: its size; 0 if the stream ended before the first byte.
    /// Throws:  transfer_error(connection_aborted) if it ended later; that, timed_out and errors after the first byte
    ///          tell how much was received; EBADF when it is closed meanwhile, and concurrent_use, do not.
    /// After:   a kill: unknown how much was taken.
    std::size_t recv_exactly(std::span<std::byte> into) { return recv_exactly_by(into, standing()); }
    template <class Rep, class Period>
    std::size_t recv_exactly_for(std::span<std::byte> into, std::chrono::duration<Rep, Period> length) {
        return recv_exactly_by(into, detail::limit::within(length));
    }
    template <class Clock, class Duration>
    std::size_t recv_exactly_until(std::span<std::byte> into, std::chrono::time_point<Clock, Duration> when) {
        return recv_exactly_by(into, detail::limit::until(when));
    }

    /// Receives into a buffer of the thread's pool, which is taken only once there is something: see pooled_buffer.
    /// Parks:   until there is something.
    /// Returns: empty at the end of the stream.
    pooled_buffer recv_pooled() { return recv_pooled_by(standing()); }
    template <class Rep, class Period>
    pooled_buffer recv_pooled_for(std::chrono::duration<Rep, Period> length) {
        return recv_pooled_by(detail::limit::within(length));
    }
    template <class Clock, class Duration>
    pooled_buffer recv_pooled_until(std::chrono::time_point<Clock, Duration> when) {
        return recv_pooled_by(detail::limit::until(when));
    }

    /// Sends what the kernel takes, at least a byte. A peer that is gone is EPIPE or ECONNRESET, never SIGPIPE.
    /// Parks:   while the kernel's buffer is full, or it lacks memory.
    /// Returns: how many bytes, perhaps not all.
    /// After:   a kill or time-out: nothing was sent.
    std::size_t send(std::span<const std::byte> from, int flags = 0) { return send_by(from, flags, standing()); }
    std::size_t send(std::string_view from, int flags = 0) { return send_by(bytes_of(from), flags, standing()); }
    template <class Rep, class Period>
    std::size_t send_for(std::span<const std::byte> from, std::chrono::duration<Rep, Period> length, int flags = 0) {
        return send_by(from, flags, detail::limit::within(length));
    }
    template <class Rep, class Period>
    std::size_t send_for(std::string_view from, std::chrono::duration<Rep, Period> length, int flags = 0) {
        return send_by(bytes_of(from), flags, detail::limit::within(length));
    }
    template <class Clock, class Duration>
    std::size_t send_until(std::span<const std::byte> from, std::chrono::time_point<Clock, Duration> when,
                           int flags = 0) {
        return send_by(from, flags, detail::limit::until(when));
    }
    template <class Clock, class Duration>
    std::size_t send_until(std::string_view from, std::chrono::time_point<Clock, Duration> when, int flags = 0) {
        return send_by(bytes_of(from), flags, detail::limit::until(when));
    }
    /// Parks:   no. Returns: empty if the kernel takes nothing now.
    std::optional<std::size_t> try_send(std::span<const std::byte> from, int flags = 0);
    std::optional<std::size_t> try_send(std::string_view from, int flags = 0) {
        return try_send(bytes_of(from), flags);
    }

    /// Sends all of it. The time is for all of it.
    /// Parks:   until the kernel has taken the last byte.
    /// Throws:  timed_out, and errors after the first byte, are a transfer_error, which tells how much was sent; EBADF when
    ///          it is closed meanwhile, and concurrent_use, do not.
    /// After:   a kill: unknown how much was sent.
    void send_all(std::span<const std::byte> from) { send_all_by(from, standing()); }
    void send_all(std::string_view from) { send_all_by(bytes_of(from), standing()); }
    template <class Rep, class Period>
    void send_all_for(std::span<const std::byte> from, std::chrono::duration<Rep, Period> length) {
        send_all_by(from, detail::limit::within(length));
    }
    template <class Rep, class Period>
    void send_all_for(std::string_view from, std::chrono::duration<Rep, Period> length) {
        send_all_by(bytes_of(from), detail::limit::within(length));
    }
    template <class Clock, class Duration>
    void send_all_until(std::span<const std::byte> from, std::chrono::time_point<Clock, Duration> when) {
        send_all_by(from, detail::limit::until(when));
    }
    template <class Clock, class Duration>
    void send_all_until(std::string_view from, std::chrono::time_point<Clock, Duration> when) {
        send_all_by(bytes_of(from), detail::limit::until(when));
    }

    /// Sends all bytes of all pieces, in their order, without copying them together; any number of pieces. On a socket of
    /// messages it is one message, of at most 1,024 pieces (EMSGSIZE).
    void send_all(std::span<const const_buffer> pieces) { send_all_by(pieces, standing()); }
    void send_all(std::initializer_list<const_buffer> pieces) {
        send_all_by({pieces.begin(), pieces.size()}, standing());
    }
    template <class Rep, class Period>
    void send_all_for(std::span<const const_buffer> pieces, std::chrono::duration<Rep, Period> length) {
        send_all_by(pieces, detail::limit::within(length));
    }
    template <class Rep, class Period>
    void send_all_for(std::initializer_list<const_buffer> pieces, std::chrono::duration<Rep, Period> length) {
        send_all_by({pieces.begin(), pieces.size()}, detail::limit::within(length));
    }
    template <class Clock, class Duration>
    void send_all_until(std::span<const const_buffer> pieces, std::chrono::time_point<Clock, Duration> when) {
        send_all_by(pieces, detail::limit::until(when));
    }
    template <class Clock, class Duration>
    void send_all_until(std::initializer_list<const_buffer> pieces, std::chrono::time_point<Clock, Duration> when) {
        send_all_by({pieces.begin(), pieces.size()}, detail::limit::until(when));
    }

    /// Stands for "up to the end of the file".
    static constexpr std::uint64_t whole_file = std::numeric_limits<std::uint64_t>::max();

    /// Sends `count` bytes of the open file `file`, from byte `offset` on. The kernel moves them; of a file that it cannot
    /// move so, such as one of /proc, they are read and sent. The file's own position is neither used nor changed. The time
    /// is for all of it.
    /// Parks:   until the kernel has taken the last byte. Reading from a slow disk blocks the thread.
    /// Returns: how many bytes were sent: fewer if the file ended before, also because it was cut meanwhile.
    /// Throws:  as send_all; the file's own errors, such as EBADF, ESPIPE for a pipe, EIO. A peer that is gone is EPIPE, no
    ///          SIGPIPE. std::invalid_argument for an offset beyond 2^63.
    /// After:   a kill: unknown how much was sent.
    std::uint64_t send_file(int file, std::uint64_t offset = 0, std::uint64_t count = whole_file) {
        return send_file_by(file, offset, count, standing());
    }
    template <class Rep, class Period>
    std::uint64_t send_file_for(int file, std::uint64_t offset, std::uint64_t count,
                                std::chrono::duration<Rep, Period> length) {
        return send_file_by(file, offset, count, detail::limit::within(length));
    }
    template <class Clock, class Duration>
    std::uint64_t send_file_until(int file, std::uint64_t offset, std::uint64_t count,
                                  std::chrono::time_point<Clock, Duration> when) {
        return send_file_by(file, offset, count, detail::limit::until(when));
    }

    /// Receives one datagram and where it comes from. One that does not fit is cut, and says so; an empty one is a
    /// datagram, no end. `flags` as for recv(2). Of a stream it takes what recv would, from nowhere.
    /// Parks:   until there is one.
    /// Throws:  on a connected socket ECONNREFUSED, when the network said that nobody was there for an earlier datagram: told
    ///          once, and the socket goes on.
    /// After:   a kill or time-out: nothing was taken.
    datagram recv_from(std::span<std::byte> into, int flags = 0) { return recv_from_by(into, flags, standing()); }
    template <class Rep, class Period>
    datagram recv_from_for(std::span<std::byte> into, std::chrono::duration<Rep, Period> length, int flags = 0) {
        return recv_from_by(into, flags, detail::limit::within(length));
    }
    template <class Clock, class Duration>
    datagram recv_from_until(std::span<std::byte> into, std::chrono::time_point<Clock, Duration> when, int flags = 0) {
        return recv_from_by(into, flags, detail::limit::until(when));
    }
    /// Parks:   no. Returns: empty if none is there.
    std::optional<datagram> try_recv_from(std::span<std::byte> into, int flags = 0);

    /// Sends one datagram, whole or not at all; of no bytes is one too. An empty `there` is the peer it is connected to.
    /// Parks:   while the kernel's buffer is full. When a Unix receiver's queue is, no event tells of room: it is asked again
    ///          after 1 ms, 2, 4, 8, and then every 16.
    /// Returns: its size.
    /// Throws:  EMSGSIZE if it is too long (for UDP: over 65,507 bytes); ECONNREFUSED as recv_from.
    /// After:   a kill or time-out: nothing was sent.
    std::size_t send_to(std::span<const std::byte> bytes, const endpoint& there, int flags = 0) {
        return send_to_by(bytes, there, flags, standing());
    }
    std::size_t send_to(std::string_view bytes, const endpoint& there, int flags = 0) {
        return send_to_by(bytes_of(bytes), there, flags, standing());
    }
    template <class Rep, class Period>
    std::size_t send_to_for(std::span<const std::byte> bytes, const endpoint& there,
                            std::chrono::duration<Rep, Period> length, int flags = 0) {
        return send_to_by(bytes, there, flags, detail::limit::within(length));
    }
    template <class Rep, class Period>
    std::size_t send_to_for(std::string_view bytes, const endpoint& there, std::chrono::duration<Rep, Period> length,
                            int flags = 0) {
        return send_to_by(bytes_of(bytes), there, flags, detail::limit::within(length));
    }
    template <class Clock, class Duration>
    std::size_t send_to_until(std::span<const std::byte> bytes, const endpoint& there,
                              std::chrono::time_point<Clock, Duration> when, int flags = 0) {
        return send_to_by(bytes, there, flags, detail::limit::until(when));
    }
    template <class Clock, class Duration>
    std::size_t send_to_until(std::string_view bytes, const endpoint& there,
                              std::chrono::time_point<Clock, Duration> when, int flags = 0) {
        return send_to_by(bytes_of(bytes), there, flags, detail::limit::until(when));
    }
    /// Parks:   no. Returns: empty if the kernel takes nothing now.
    std::optional<std::size_t> try_send_to(std::span<const std::byte> bytes, const endpoint& there, int flags = 0);
    std::optional<std::size_t> try_send_to(std::string_view bytes, const endpoint& there, int flags = 0) {
        return try_send_to(bytes_of(bytes), there, flags);
    }

    /// Receives as many datagrams as are there and `slots` has room for, with one system call; 64 at most. Of each slot
    /// `buffer` is read, everything else is written.
    /// Parks:   until there is one.
    /// Returns: how many of the first slots were filled; 0 only if there are none.
    /// Throws:  as recv_from.
    /// After:   a kill or time-out: nothing was taken.
    std::size_t recv_many(std::span<datagram_slot> slots) { return recv_many_by(slots, standing()); }
    template <class Rep, class Period>
    std::size_t recv_many_for(std::span<datagram_slot> slots, std::chrono::duration<Rep, Period> length) {
        return recv_many_by(slots, detail::limit::within(length));
    }
    template <class Clock, class Duration>
    std::size_t recv_many_until(std::span<datagram_slot> slots, std::chrono::time_point<Clock, Duration> when) {
        return recv_many_by(slots, detail::limit::until(when));
    }
    /// Parks:   no. Returns: 0 if none is there.
    std::size_t try_recv_many(std::span<datagram_slot> slots);

    /// Sends as many as the kernel takes with one system call; 64 at most.
    /// Parks:   if it takes none, as send_to.
    /// Returns: how many of the first were sent, perhaps not all; 0 only if there are none.
    /// Throws:  as send_to, and only of the first: sending the rest tells of it again.
    /// After:   a kill or time-out: nothing was sent.
    std::size_t send_many(std::span<const outgoing_datagram> all) { return send_many_by(all, standing()); }
    template <class Rep, class Period>
    std::size_t send_many_for(std::span<const outgoing_datagram> all, std::chrono::duration<Rep, Period> length) {
        return send_many_by(all, detail::limit::within(length));
    }
    template <class Clock, class Duration>
    std::size_t send_many_until(std::span<const outgoing_datagram> all, std::chrono::time_point<Clock, Duration> when) {
        return send_many_by(all, detail::limit::until(when));
    }

    /// Ends one direction, or both: a reader here sees the end of the stream, the peer's reader sees it after what was
    /// sent.
    /// Parks:   no.
    /// Throws:  std::system_error(ENOTCONN) if it is not connected.
    void shutdown(shut how);

    /// How long each later operation may take. Empty: without end, as at the start. 0: none waits; what would have to is
    /// EAGAIN (`std::errc::operation_would_block`) at once, a connect EINPROGRESS. What is waiting already is not affected.
    /// Negative counts as 0.
    void set_timeout(std::optional<std::chrono::nanoseconds> length) noexcept {
        timeout_ = length ? (length->count() > 0 ? length->count() : 0) : copse::detail::never;
    }
    std::optional<std::chrono::nanoseconds> timeout() const noexcept {
        if (timeout_ == copse::detail::never) return std::nullopt;
        return std::chrono::nanoseconds(timeout_);
    }

    /// Parks:   no.
    template <class Option>
        requires requires { Option::level; }
    void set_option(const Option& o) {
        const typename Option::native value = o.to_native();
        set_option(Option::level, Option::name, std::as_bytes(std::span(&value, 1)));
    }
    template <class Option>
        requires requires { Option::level; }
    Option get_option() const {
        typename Option::native value{};
        get_option(Option::level, Option::name, std::as_writable_bytes(std::span(&value, 1)));
        return Option(value);
    }
    /// Options without a type here, as for setsockopt(2).
    void set_option(int level, int name, std::span<const std::byte> value);
    /// Returns: the length that the kernel gave.
    std::size_t get_option(int level, int name, std::span<std::byte> value) const;

    /// Where it is bound; a port of 0 has been chosen by then.
    endpoint local_endpoint() const;
    /// Throws:  std::system_error(ENOTCONN) if it is not connected.
    endpoint peer_endpoint() const;

    /// Boost.Asio's SyncStream: `<copse/io/sync_stream.hpp>` defines what they do, and is to be included by who calls them.
    template <class Buffers>
    std::size_t read_some(const Buffers& into) {
        return sync_read_some(*this, into);
    }
    template <class Buffers, class ErrorCode>
    std::size_t read_some(const Buffers& into, ErrorCode& error) {
        return sync_read_some(*this, into, error);
    }
    template <class Buffers>
    std::size_t write_some(const Buffers& from) {
        return sync_write_some(*this, from);
    }
    template <class Buffers, class ErrorCode>
    std::size_t write_some(const Buffers& from, ErrorCode& error) {
        return sync_write_some(*this, from, error);
    }

private:
    friend struct detail::socket_access;

    static constexpr std::uint64_t no_home = 1;  // of no reactor

    static std::span<const std::byte> bytes_of(std::string_view text) noexcept {
        return std::as_bytes(std::span(text));
    }

    detail::limit standing() const noexcept {
        return timeout_ == 0 ? detail::limit::at_once() : detail::limit::of_length(timeout_);
    }

    /// Throws unless this is an open socket of this thread.
    detail::entry& use(const char* operation) const;
    [[noreturn]] void refuse(const char* operation) const;

    accepted accept_by(detail::limit within);
    void connect_by(const endpoint& there, detail::limit within);
    std::size_t recv_by(std::span<std::byte> into, int flags, detail::limit within);
    std::size_t recv_exactly_by(std::span<std::byte> into, detail::limit within);
    pooled_buffer recv_pooled_by(detail::limit within);
    std::size_t send_by(std::span<const std::byte> from, int flags, detail::limit within);
    void send_all_by(std::span<const std::byte> from, detail::limit within);
    std::size_t recv_by(std::span<const mutable_buffer> into, detail::limit within);
    void send_all_by(std::span<const const_buffer> pieces, detail::limit within);
    std::uint64_t send_file_by(int file, std::uint64_t offset, std::uint64_t count, detail::limit within);
    datagram recv_from_by(std::span<std::byte> into, int flags, detail::limit within);
    std::size_t send_to_by(std::span<const std::byte> bytes, const endpoint& there, int flags, detail::limit within);
    std::size_t recv_many_by(std::span<datagram_slot> slots, detail::limit within);
    std::size_t send_many_by(std::span<const outgoing_datagram> all, detail::limit within);

    detail::entry* entry_ = nullptr;
    std::uint64_t home_ = no_home;  // the serial number of its reactor
    std::int64_t timeout_ = copse::detail::never;
    int fd_ = -1;
    std::uint32_t generation_ = 0;  // of the entry
};

/// A connection and where it comes from. Is the socket too: `socket s = listener.accept();`.
struct accepted {
    socket connection;
    endpoint peer;

    explicit(false) operator socket() && noexcept { return std::move(connection); }
};

template <class Rep, class Period>
accepted socket::accept_for(std::chrono::duration<Rep, Period> length) {
    return accept_by(detail::limit::within(length));
}
template <class Clock, class Duration>
accepted socket::accept_until(std::chrono::time_point<Clock, Duration> when) {
    return accept_by(detail::limit::until(when));
}

/// How to listen: `listen("[::]:8001", {.backlog = 128, .v6_only = true})`.
struct listen_options {
    int backlog = 1024;          ///< connections that the kernel completes ahead of `accept`
    bool reuse_address = true;   ///< as the option of that name
    bool reuse_port = false;     ///< as the option of that name
    bool v6_only = false;        ///< as the option of that name
    bool replace_stale = false;  ///< a Unix name in the file system that nobody listens on any more is taken over
};

/// A listening stream socket. Port 0: see `local_endpoint`. A text that is no endpoint is `name:port`, as for `connect`, of
/// which the first address is taken.
/// Parks:   no; for a name until the resolver has answered.
/// Throws:  std::system_error: EADDRINUSE, EACCES, EADDRNOTAVAIL …; std::invalid_argument for the text; timed_out.
socket listen(const endpoint& here, const listen_options& with = {});
socket listen(std::string_view here, const listen_options& with = {});
namespace detail {
socket listen_by(std::string_view here, const listen_options& with, limit within);
}  // namespace detail
template <class Rep, class Period>
socket listen_for(std::string_view here, std::chrono::duration<Rep, Period> length, const listen_options& with = {}) {
    return detail::listen_by(here, with, detail::limit::within(length));
}
template <class Clock, class Duration>
socket listen_until(std::string_view here, std::chrono::time_point<Clock, Duration> when,
                    const listen_options& with = {}) {
    return detail::listen_by(here, with, detail::limit::until(when));
}

/// How to connect: `connect("example.org:80", {.allow_address = &io::endpoint::is_global})`.
struct connect_options {
    /// Asked, if there is one, about each address that the name has, before anything is sent to any: those that it does not
    /// allow are passed over. For names that come from others, and might lead into one's own network: what was looked at is
    /// what is connected to.
    std::function<bool(const endpoint&)> allow_address{};
};

namespace detail {
socket connect_by(const endpoint& there, limit within);
socket connect_by(std::string_view there, limit within);
socket connect_by(std::string_view there, const connect_options& with, limit within);
}  // namespace detail

/// A connected stream socket.
///
/// As text, `there` is an endpoint or `name:port` (the port a number). "localhost" is 127.0.0.1, then ::1. For every other
/// name `resolver::common()` is asked. If there are several addresses, IPv6 and IPv4 take turns: each has 250 ms ahead of
/// the next, or until it has failed, and the first that is connected wins (RFC 8305). One time is for all, the lookup
/// included.
///
/// Parks:   until connected.
/// Throws:  as socket::connect, with the error that came last; timed_out; std::invalid_argument for the text;
///          std::system_error of name_category(), or EACCES if none of the addresses is allowed: its text names them.
inline socket connect(const endpoint& there) { return detail::connect_by(there, {}); }
inline socket connect(std::string_view there) { return detail::connect_by(there, detail::limit()); }
inline socket connect(std::string_view there, const connect_options& with) {
    return detail::connect_by(there, with, {});
}
template <class Rep, class Period>
socket connect_for(const endpoint& there, std::chrono::duration<Rep, Period> length) {
    return detail::connect_by(there, detail::limit::within(length));
}
template <class Rep, class Period>
socket connect_for(std::string_view there, std::chrono::duration<Rep, Period> length) {
    return detail::connect_by(there, detail::limit::within(length));
}
template <class Rep, class Period>
socket connect_for(std::string_view there, std::chrono::duration<Rep, Period> length, const connect_options& with) {
    return detail::connect_by(there, with, detail::limit::within(length));
}
template <class Clock, class Duration>
socket connect_until(const endpoint& there, std::chrono::time_point<Clock, Duration> when) {
    return detail::connect_by(there, detail::limit::until(when));
}
template <class Clock, class Duration>
socket connect_until(std::string_view there, std::chrono::time_point<Clock, Duration> when) {
    return detail::connect_by(there, detail::limit::until(when));
}
template <class Clock, class Duration>
socket connect_until(std::string_view there, std::chrono::time_point<Clock, Duration> when,
                     const connect_options& with) {
    return detail::connect_by(there, with, detail::limit::until(when));
}

/// Two Unix sockets, connected to each other. `type`: SOCK_STREAM, SOCK_DGRAM or SOCK_SEQPACKET.
/// Throws:  std::system_error.
std::pair<socket, socket> socketpair(int type = SOCK_STREAM);

}  // namespace copse::io
