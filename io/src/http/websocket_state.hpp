// A websocket's connection: who may send, what a receiver does besides, how it ends.
//
// Invariants:
//   - Whoever sends holds `sending_`, and leaves nothing in the engine's outbox. What the receiver puts there (pongs) is
//     sent by a fiber of its own if nobody sends: a receiver may be interrupted at each of its waits, and must not leave
//     half a frame.
//   - A send that did not come to its end closes the stream: half a frame cannot be followed by another. If it was that of
//     the fiber with the pongs, nothing more is sent, but what has come until then can be received.
//   - The stream is closed once, by whoever comes first; that may park, and others may come in meanwhile.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include <copse/clock.hpp>
#include <copse/event.hpp>
#include <copse/fiber.hpp>
#include <copse/io/any_stream.hpp>
#include <copse/io/http/websocket.hpp>
#include <copse/mutex.hpp>

#include "http/websocket_engine.hpp"
#include "thread_owner.hpp"

namespace copse::io::http::detail {

class websocket_state final : private websocket_wire, public std::enable_shared_from_this<websocket_state> {
public:
    websocket_state(any_stream over, std::string_view received_ahead, const websocket_options& with);
    websocket_state(const websocket_state&) = delete;
    websocket_state& operator=(const websocket_state&) = delete;
    ~websocket_state() = default;

    /// As a client.
    void ask(const std::string& host, const std::string& target, clock::time_point deadline);
    /// As a server. The answer is left in the engine's outbox.
    bool answer(const request& asked) { return engine_.answer(asked); }
    /// Instead of the stream that it was made with: the answer has been sent over this one.
    void open(any_stream over);
    void flush(clock::time_point deadline);

    std::optional<websocket::message> receive(clock::time_point deadline);
    void send(std::string_view data, bool as_text, clock::time_point deadline);
    void ping(std::string_view payload);
    bool close(std::uint16_t code, std::string_view reason, clock::time_point deadline);
    void abort() noexcept;

    /// Throws:  wrong_thread.
    void check_thread() const { owner_.check("http::websocket"); }
    bool is_open() const noexcept { return phase_ == phase::open; }
    websocket_engine& engine() noexcept { return engine_; }
    const websocket_options& options() const noexcept { return with_; }

private:
    enum class phase : std::uint8_t { open, closing, closed };

    std::size_t read(std::span<std::byte> into) override;
    std::size_t read_keeping_alive(std::span<std::byte> into);
    void pass_pongs_on();
    void send_pongs();
    void send_outbox(clock::time_point deadline);
    void send_or_abort(clock::time_point deadline);
    void hold(std::unique_lock<mutex>& held, clock::time_point deadline);

    std::optional<websocket::message> receive_message();
    bool receive_some();
    void drop_until_goodbye(clock::time_point deadline);
    void end_after(const websocket_engine::step& last);
    void say_last_words(clock::time_point until);
    void let_peer_read();
    bool is_over();
    [[noreturn]] void fail_closed() const;

    const io::detail::thread_owner owner_;
    const websocket_options with_;                // max_message from 1 to what a string can hold
    const std::chrono::nanoseconds most_silent_;  // 0: any
    any_stream stream_;
    std::string ahead_;  // received before this was made
    websocket_engine engine_;
    phase phase_ = phase::open;
    bool asking_ = false;   // a client's request is under way; if it fails, so does the connection
    bool leaving_ = false;  // close() has said goodbye

    bool receiving_ = false;
    clock::time_point receive_deadline_{};
    std::string partial_;  // of a message whose end has not come
    // Silence counts while somebody receives: these move on with the time in between.
    clock::time_point silent_since_{};
    clock::time_point pinged_at_{};  // or heard of the peer
    clock::time_point left_at_{};    // the last receiver

    mutex sending_;
    std::string on_the_way_;
    any_fiber pongs_;
    bool cut_off_ = false;  // within a frame: nothing can follow
    event closed_;
};

}  // namespace copse::io::http::detail
