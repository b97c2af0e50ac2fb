// One connection of a server: requests one after the other, each answered before the next is looked at.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <memory>
#include <optional>
#include <system_error>

#include <copse/clock.hpp>
#include <copse/io/http/server.hpp>

#include "failure.hpp"
#include "http/intake.hpp"
#include "http/server_core.hpp"
#include "http/turn.hpp"
#include "http/wire.hpp"

namespace copse::io::http::detail {

class connection {
public:
    /// `peer` must last as long as this.
    connection(server_core& core, socket s, const endpoint& peer);

    /// Until the peer or the server has had enough.
    /// Throws: what a kill throws.
    void serve();

    /// Ends a wait for the next request, or for the client in the handshake.
    void wake() noexcept { wire_.wake(); }

    // What an exchange does.
    const http::request& request() const noexcept { return turn_->request; }
    const endpoint& peer() const noexcept { return peer_; }
    bool is_secure() const noexcept { return wire_.is_secure(); }
    request_body& body() noexcept { return turn_->body; }
    const request_body& body() const noexcept { return turn_->body; }
    /// To answer with: knows by then whether the connection goes on.
    reply& answer() noexcept;
    const reply& current_answer() const noexcept { return turn_->answer; }
    std::size_t read(std::span<std::byte> into, limit within);
    const std::string& read_all(limit within);
    any_stream upgrade(const fields& headers);
    any_stream release();

private:
    /// How a handler ended.
    struct outcome {
        int status = 0;            // to answer with if nothing was answered
        std::exception_ptr error;  // to tell
        bool over = false;         // the connection is of no further use
    };

    bool shake_hands();
    bool serve_one();
    bool take_turn();
    bool read_head();
    bool await_request();
    bool receive(patience p);
    std::size_t await_head();
    bool skip_empty_line();
    void run_handler();
    outcome call_handler();
    outcome call_in_time(exchange& x);
    outcome late(exchange& x);
    outcome failure(int status, const char* whose = "") const;
    bool is_of_client(const std::system_error& e) const noexcept;
    bool is_of_given(const std::system_error& e) const noexcept;
    bool is_draining() const noexcept { return core_.is_draining(era_); }
    void conclude(exchange& x);
    void recover(const outcome& o);
    void refuse(const error& e);
    void log(const http::request* asked, std::chrono::nanoseconds took);
    bool goes_on();
    bool may_send_more() const;
    any_stream give_away();

    server_core& core_;
    const std::uint64_t era_;  // of the server: another has begun when it was restarted
    const server_options& with_;
    const endpoint& peer_;
    wire wire_;
    intake in_;
    std::unique_ptr<turn> turn_;  // only while there is a request
    server_core::waiting_place place_{this};
    std::size_t served_ = 0;
    io::detail::origin given_{-1, 0};  // whose errors those of the stream are that was given away
    bool given_away_ = false;
};

}  // namespace copse::io::http::detail
