// Frames: Beast's websocket::stream over memory. What it wants to send is collected, and what it wants to receive is asked
// of a wire; so nothing ever parks inside Beast but a receiver on that wire.
//
// That is what makes a receiver and senders at the same time safe although Beast's blocking functions are not made for it:
// a call that writes begins and ends without a switch, and Beast keeps what it reads and what it writes apart. Three things
// it would do wrong are done here or above:
//   - its close() reads: a close frame of our own goes out instead (say_goodbye), and Beast's answer to the peer's is
//     dropped;
//   - an error code from the wire would end it: a kill or time-out is thrown through it instead, which leaves what it knows
//     of the frame as it was. Only what has been inflated in that call would be lost: see is_within_message;
//   - its asynchronous half wants an executor: it is given one that nobody runs.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <copse/io/http/message.hpp>
#include <copse/io/http/websocket.hpp>

namespace copse::io::http::detail {

/// Where an engine's bytes come from.
class websocket_wire {
public:
    /// Returns: 0 at the end of the stream. May park and throw.
    virtual std::size_t read(std::span<std::byte> into) = 0;

protected:
    ~websocket_wire() = default;
};

class websocket_engine {
public:
    websocket_engine(websocket_wire& from, const websocket_options& with);
    websocket_engine(const websocket_engine&) = delete;
    websocket_engine& operator=(const websocket_engine&) = delete;
    ~websocket_engine();

    /// Asks, and reads the answer.
    /// Throws:  error(upgrade_refused).
    void ask(const std::string& host, const std::string& target);
    /// Leaves the answer to be sent, also when it refuses.
    /// Returns: whether it accepts.
    bool answer(const request& asked);

    struct step {
        std::size_t bytes = 0;
        bool closed = false;          // the peer has said goodbye
        std::optional<errc> failure;  // it is of no use any more; the peer will have been told
        std::string why{};
    };
    /// Reads something of a message.
    step read_some(std::span<std::byte> into);
    /// Beast has begun a message that is not over.
    bool is_within_message() const noexcept;
    bool is_text() const noexcept;
    bool is_compressed() const noexcept { return compressed_; }

    void write(std::string_view data, bool as_text);
    void ping(std::string_view payload);
    /// The last that is ever sent.
    void say_goodbye(std::uint16_t code, std::string_view reason);

    /// To be sent; taken by whoever sends.
    std::string& outbox() noexcept;

    std::uint16_t close_code() const noexcept { return close_code_; }
    const std::string& close_reason() const noexcept { return close_reason_; }
    const std::string& subprotocol() const noexcept { return subprotocol_; }

private:
    struct impl;

    void agreed_on(std::string_view protocol, std::string_view extensions);

    std::unique_ptr<impl> impl_;
    const bool wants_compression_;
    std::vector<std::string> protocols_;
    fields extra_;
    bool client_ = false;
    bool compressed_ = false;
    std::uint16_t close_code_ = 1006;
    std::string close_reason_;
    std::string subprotocol_;
};

}  // namespace copse::io::http::detail
