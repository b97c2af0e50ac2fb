#include "datagram_server_state.hpp"

#include <algorithm>
#include <mutex>
#include <new>
#include <optional>
#include <utility>

namespace copse::io::detail {

namespace {

constexpr std::chrono::seconds quiet_time(1);  // between two reports of the same trouble

/// A handler's place among those that run.
class ticket {
public:
    explicit ticket(datagram_server_state& of)
        : state_(of.shared_from_this()), place_(of.running.emplace(of.running.end())) {}
    ticket(ticket&& other) noexcept : state_(std::move(other.state_)), place_(other.place_) {}
    ticket& operator=(ticket&&) = delete;
    ~ticket() {
        if (state_ != nullptr) state_->leave(place_);
    }

    datagram_server_state& state() const noexcept { return *state_; }
    std::list<any_fiber>::iterator place() const noexcept { return place_; }

private:
    std::shared_ptr<datagram_server_state> state_;
    std::list<any_fiber>::iterator place_;
};

/// The callable of a handler's fiber.
struct handler_life {
    ticket counted;
    incoming_datagram taken;

    void operator()() { counted.state().handle(taken); }
};

bool ends_the_server(const std::error_code& code) noexcept {
    return code == std::errc::bad_file_descriptor || code == std::errc::invalid_argument ||
           code == std::errc::not_a_socket;
}

/// What the network says of an earlier datagram of ours is no failure to receive.
bool is_old_news(const std::error_code& code) noexcept {
    return code == std::errc::connection_refused || code == std::errc::host_unreachable ||
           code == std::errc::network_unreachable;
}

}  // namespace

datagram_server_state::datagram_server_state(socket bound, handler h, datagram_server_options options)
    : with(std::move(options)),
      handle(std::move(h)),
      local(bound.local_endpoint()),
      traffic(std::move(bound)),
      delay_(with.min_delay) {}

void datagram_server_state::start() {
    if (!receiver.empty()) return;
    receiver = spawn(spawn_options{.name = with.name}, [self = shared_from_this()] { self->receive_datagrams(); });
}

void datagram_server_state::stop() noexcept {
    if (stopped.is_set()) return;
    stopped.set();
    slot.set();
    if (running.empty()) return traffic.close();
    // The socket is still needed for replies: its reader is ended without it.
    try {
        if (!receiver.empty() && receiver.underlying() != greenlet::current()) receiver.request_kill();
    } catch (const std::exception&) {
        // No memory for that: it ends with the next datagram, or when the socket is closed.
    }
}

void datagram_server_state::leave(std::list<any_fiber>::iterator place) noexcept {
    running.erase(place);
    slot.set();
    if (stopped.is_set() && running.empty()) traffic.close();
}

bool datagram_server_state::reply(std::span<const std::byte> bytes, const endpoint& there) {
    const std::lock_guard alone(sending);
    try {
        traffic.send_to(bytes, there);
        return true;
    } catch (const std::system_error& e) {
        const bool unix_name_gone = there.family() == AF_UNIX && e.code() == std::errc::no_such_file_or_directory;
        if (!is_old_news(e.code()) && !unix_name_gone) throw;
        return false;
    }
}

void datagram_server_state::receive_datagrams() {
    try {
        std::vector<std::byte> room(with.max_size);
        while (!stopped.is_set()) receive_or_pause(room);
    } catch (const greenlet_exit&) {
        throw;
    } catch (...) {  // whatever it is: worse than a server that ends is one that only looks alive
        if (stopped.is_set()) return;
        failure = std::current_exception();
        if (served_forever == 0) tell(failure);
        stop();
    }
}

void datagram_server_state::receive_or_pause(std::span<std::byte> room) {
    try {
        if (full()) {
            slot.clear();
            slot.wait();
        } else {
            take_some(room);
            delay_ = with.min_delay;
        }
    } catch (const timed_out&) {
        // The time-out is meant for replies: that nobody sends anything is no failure.
    } catch (const std::system_error& e) {
        if (stopped.is_set() || ends_the_server(e.code())) throw;
        if (is_old_news(e.code())) return;
        tell(std::current_exception());
        pause();
    } catch (const std::bad_alloc&) {
        pause();
    }
}

// One wait, then what else is there.
void datagram_server_state::take_some(std::span<std::byte> room) {
    serve(room, traffic.recv_from_for(room, std::chrono::nanoseconds::max()));
    for (unsigned taken = 1; !stopped.is_set() && !full(); ++taken) {
        if (taken >= with.max_receive) return yield();
        const std::optional<datagram> next = traffic.try_recv_from(room);
        if (!next) return;
        serve(room, *next);
    }
}

void datagram_server_state::serve(std::span<const std::byte> room, const datagram& about) {
    if (stopped.is_set()) return;  // it came in the same turn
    incoming_datagram taken(shared_from_this(), room.first(about.size), about);
    ticket counted(*this);
    const auto place = counted.place();
    *place = spawn(spawn_options{.name = with.name, .stack_size = with.stack_size},
                   handler_life{std::move(counted), std::move(taken)});
    ++stats.received;
    if (about.truncated) ++stats.truncated;
}

void datagram_server_state::pause() {
    ++stats.pauses;
    stopped.wait_for(delay_);
    delay_ = std::min(delay_ * 2, with.max_delay);
}

// In the hub, where what is thrown goes to the error handler.
void datagram_server_state::tell(std::exception_ptr error) noexcept {
    const clock::time_point now = clock::now();
    if (now < quiet_until_) return;
    quiet_until_ = now + quiet_time;
    try {
        hub::current().post([error = std::move(error)] { std::rethrow_exception(error); });
    } catch (const std::bad_alloc&) {
        // Then it goes untold: the server goes on.
    }
}

}  // namespace copse::io::detail
