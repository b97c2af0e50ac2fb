#include <copse/io/tls_server.hpp>

#include <list>
#include <optional>
#include <stdexcept>
#include <string>
#include <system_error>

#include "connection.hpp"
#include "lent_socket.hpp"
#include "send_at_once.hpp"
#include "thread_owner.hpp"
#include "tls_stream_access.hpp"

namespace copse::io {

namespace detail {

namespace {

tls_context checked(tls_context with) {
    if (!with.is_server()) throw std::invalid_argument("tls_server: the context is a client's");
    return with;
}

/// What is a client's doing: it refuses, hangs up, or says nothing.
bool is_everyday(const std::system_error& e) {
    return dynamic_cast<const tls_error*>(&e) != nullptr || dynamic_cast<const timed_out*>(&e) != nullptr ||
           e.code() == std::errc::connection_reset || e.code() == std::errc::broken_pipe;
}

}  // namespace

class tls_server_state {
public:
    using handler = std::function<void(tls_stream&, const endpoint&)>;

    tls_server_state(tls_context with, handler h, std::string name)
        : with_(checked(std::move(with))), handle_(std::move(h)), name_(std::move(name)) {}

    /// Throws:  wrong_thread, blocking_in_hub.
    void check_may_wait() const { owner_.check_may_wait(name_); }
    void set_context(tls_context with) { with_ = checked(std::move(with)); }
    const tls_server_stats& counted() const noexcept { return counted_; }

    void serve(socket taken, const endpoint& peer) {
        std::optional<tls_stream> stream = greet(std::move(taken));
        if (!stream) return;
        const auto connection = tls_stream_access::connection(*stream);  // kept: no other shall have its address
        try {
            handle_(*stream, peer);
        } catch (const truncation& end) {
            if (end.of != connection.get()) throw;  // a stream of the handler's own was cut off
            ++counted_.truncated;
        }
    }

    /// Ends the handshakes that wait for their client, and begins none. This only makes their fibers ready.
    void end_handshakes() noexcept {
        draining_ = true;
        for (handshake* each : handshakes_) each->end();
    }

    void go_on() noexcept { draining_ = false; }

private:
    /// A client is being greeted, until the end of the scope.
    class handshake {
    public:
        handshake(std::list<handshake*>& among, const socket& client)
            : client_(client), among_(among), place_(among.insert(among.end(), this)) {}
        handshake(const handshake&) = delete;
        handshake& operator=(const handshake&) = delete;
        ~handshake() { among_.erase(place_); }

        void end() noexcept {
            ended_ = true;
            client_.shut_down(shut::both);
        }
        bool was_ended() const noexcept { return ended_; }

    private:
        const lent_socket client_;
        std::list<handshake*>& among_;
        const std::list<handshake*>::iterator place_;
        bool ended_ = false;
    };

    std::optional<tls_stream> greet(socket taken) {
        if (draining_) return std::nullopt;  // the stop was faster than its fiber
        send_at_once(taken);
        const tls_context with = with_;  // it may be exchanged meanwhile
        handshake running(handshakes_, taken);
        bool choice_failed = false;
        try {
            std::optional<tls_stream> stream = tls_stream_access::server(std::move(taken), with, choice_failed);
            if (running.was_ended()) return std::nullopt;  // too late: its socket is shut
            ++counted_.handshakes;
            return stream;
        } catch (const std::system_error& e) {
            if (!running.was_ended()) ++counted_.failed_handshakes;
            if (choice_failed || !is_everyday(e)) throw;
        }
        return std::nullopt;
    }

    const thread_owner owner_;
    tls_context with_;
    const handler handle_;
    const std::string name_;
    bool draining_ = false;
    tls_server_stats counted_;
    std::list<handshake*> handshakes_;
};

}  // namespace detail

tls_server::tls_server(socket listener, tls_context with, handler h, const stream_server_options& options, made_here)
    : state_(std::make_shared<detail::tls_server_state>(std::move(with), std::move(h), options.name)),
      server_(
          std::move(listener),
          [state = state_](socket taken, const endpoint& peer) { state->serve(std::move(taken), peer); }, options) {}

void tls_server::restart() {
    state_->check_may_wait();
    const auto state = state_;  // the server may end while this waits
    state->go_on();
    try {
        server_.restart();
    } catch (...) {  // it is stopped
        state->end_handshakes();
        throw;
    }
}

void tls_server::stop() noexcept {
    server_.stop();
    state_->end_handshakes();
}

bool tls_server::stop_by(detail::limit within) {
    state_->check_may_wait();
    stop();
    return server_.stop_until(clock::time_point(std::chrono::nanoseconds(within.deadline())));
}

void tls_server::set_context(tls_context with) { state_->set_context(std::move(with)); }

tls_server_stats tls_server::stats() const noexcept {
    tls_server_stats all = state_->counted();
    static_cast<stream_server_stats&>(all) = server_.stats();
    return all;
}

}  // namespace copse::io
