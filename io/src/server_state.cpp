#include "server_state.hpp"

#include <algorithm>
#include <cerrno>
#include <new>
#include <optional>
#include <utility>

#include "system_calls.hpp"

namespace copse::io::detail {

namespace {

constexpr std::chrono::seconds quiet_time(1);  // between two reports of the same trouble

/// A connection's place among those that run.
class ticket {
public:
    explicit ticket(server_state& of) : state_(of.shared_from_this()), place_(of.running.emplace(of.running.end())) {}
    ticket(ticket&& other) noexcept : state_(std::move(other.state_)), place_(other.place_) {}
    ticket& operator=(ticket&&) = delete;
    ~ticket() {
        if (state_ == nullptr) return;
        state_->running.erase(place_);
        state_->slot.set();
    }

    server_state& state() const noexcept { return *state_; }
    std::list<any_fiber>::iterator place() const noexcept { return place_; }

private:
    std::shared_ptr<server_state> state_;
    std::list<any_fiber>::iterator place_;
};

/// The callable of a connection's fiber. The connection is closed before the ticket is given back.
struct connection_life {
    ticket counted;
    accepted taken;

    void operator()() {
        socket connection = std::move(taken.connection);
        try {
            counted.state().handle(connection, taken.peer);
        } catch (const std::system_error& e) {
            // Clients leave as they please (rule 140).
            if (e.code() != std::errc::connection_reset && e.code() != std::errc::broken_pipe) throw;
        }
    }
};

bool ends_the_server(const std::error_code& code) noexcept {
    return code == std::errc::bad_file_descriptor || code == std::errc::invalid_argument ||
           code == std::errc::not_a_socket;
}

bool no_descriptor_free(int error) noexcept { return error == EMFILE || error == ENFILE; }

}  // namespace

server_state::server_state(socket listening, handler h, stream_server_options options)
    : with(std::move(options)),
      handle(std::move(h)),
      local(listening.local_endpoint()),
      listener(std::move(listening)),
      reserve_(sys.spare_descriptor()),
      delay_(with.min_delay) {
    listener.set_timeout(std::nullopt);  // waiting for clients is no failure
}

server_state::~server_state() {
    if (reserve_ >= 0) sys.close(reserve_);
}

void server_state::start() {
    if (!acceptor.empty()) return;
    acceptor = spawn(spawn_options{.name = with.name}, [self = shared_from_this()] { self->accept_connections(); });
}

void server_state::stop() noexcept {
    if (stopped.is_set()) return;
    stopped.set();
    slot.set();
    listener.close();
}

void server_state::accept_connections() {
    try {
        while (!stopped.is_set()) accept_or_pause();
    } catch (const greenlet_exit&) {
        throw;
    } catch (...) {  // whatever it is: worse than a server that ends is one that only looks alive
        if (stopped.is_set()) return;
        failure = std::current_exception();
        if (served_forever == 0) tell(failure);
        stop();
    }
}

void server_state::accept_or_pause() {
    try {
        if (full()) {
            slot.clear();
            slot.wait();
        } else {
            take_some();
            delay_ = with.min_delay;
        }
    } catch (const std::system_error& e) {
        if (stopped.is_set() || ends_the_server(e.code())) throw;
        tell(std::current_exception());
        pause(e.code().value());
    } catch (const std::bad_alloc&) {
        pause(ENOMEM);
    }
}

// One wait, then what else is there: the kernel tells of several connections once.
void server_state::take_some() {
    serve(listener.accept());
    for (unsigned taken = 1; !stopped.is_set() && !full(); ++taken) {
        if (taken >= with.max_accept) return yield();
        std::optional<accepted> next = listener.try_accept();
        if (!next) return;
        serve(*std::move(next));
    }
}

void server_state::serve(accepted taken) {
    ticket counted(*this);
    const auto place = counted.place();
    *place = spawn(spawn_options{.name = with.name, .stack_size = with.stack_size},
                   connection_life{std::move(counted), std::move(taken)});
    ++stats.accepted;
}

void server_state::pause(int error) {
    ++stats.pauses;
    if (no_descriptor_free(error)) refuse_waiting();
    stopped.wait_for(delay_);
    delay_ = std::min(delay_ * 2, with.max_delay);
}

// In the hub, where what is thrown goes to the error handler.
void server_state::tell(std::exception_ptr error) noexcept {
    const clock::time_point now = clock::now();
    if (now < quiet_until_) return;
    quiet_until_ = now + quiet_time;
    try {
        hub::current().post([error = std::move(error)] { std::rethrow_exception(error); });
    } catch (const std::bad_alloc&) {
        // Then it goes untold: the server goes on.
    }
}

// Clients that nobody can serve had better know at once than wait in the backlog (FD09).
void server_state::refuse_waiting() noexcept {
    if (reserve_ >= 0) sys.close(std::exchange(reserve_, -1));
    try {
        for (unsigned n = 0; n < with.max_accept; ++n) {
            std::optional<accepted> unlucky = listener.try_accept();
            if (!unlucky) break;
            unlucky->connection.set_option(linger(std::chrono::seconds(0)));  // its close is a reset
            ++stats.refused;
        }
    } catch (const std::exception&) {
        // Another thread was faster, or there is no memory either: the next pause tries again.
    }
    reserve_ = sys.spare_descriptor();
}

}  // namespace copse::io::detail
