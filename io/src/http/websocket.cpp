// What goes before the first frame, and the checks of what callers give.
#include <copse/io/http/websocket.hpp>

#include <algorithm>
#include <chrono>
#include <stdexcept>
#include <system_error>
#include <utility>

#include <copse/io/error.hpp>
#include <copse/io/http/server.hpp>
#include <copse/io/http/url.hpp>
#include <copse/io/socket.hpp>

#include "http/deadline.hpp"
#include "http/dial.hpp"
#include "http/told_of.hpp"
#include "http/utf8.hpp"
#include "http/websocket_state.hpp"
#include "named_time.hpp"

namespace copse::io::http {

namespace {

using namespace std::chrono_literals;
using detail::websocket_state;

void check(const websocket_options& with) {
    if (with.connect && with.allow_address)
        throw std::invalid_argument("http::websocket: `connect` would go past `allow_address`");
    io::detail::check_times("http::websocket", {{"ping_interval", with.ping_interval},
                                                {"idle_timeout", with.idle_timeout.value_or(0ns)},
                                                {"close_timeout", with.close_timeout},
                                                {"handshake_timeout", with.handshake_timeout}});
    if (with.idle_timeout && with.idle_timeout->count() > 0 && *with.idle_timeout <= with.ping_interval)
        throw std::invalid_argument("http::websocket: `idle_timeout` must be longer than `ping_interval`, or who only "
                                    "listens is taken for gone; a `ping_interval` of 0 sends no pings");
    for (const field f : with.headers) {
        std::string name(f.name);
        std::transform(name.begin(), name.end(), name.begin(),
                       [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c | 0x20) : c; });
        if (name == "connection" || name == "upgrade" || name == "host" || name.starts_with("sec-websocket-")) {
            throw std::invalid_argument("http::websocket writes the header " + std::string(f.name) + " itself");
        }
    }
    for (const std::string& protocol : with.subprotocols) {
        if (!is_token(protocol)) throw std::invalid_argument("http::websocket: a subprotocol must be a token");
    }
}

any_stream connected(const url& to, const websocket_options& with, clock::time_point deadline) {
    socket plain = detail::dial(to, with.connect, with.allow_address, deadline);
    if (to.scheme() == "ws") return any_stream(std::move(plain));
    return detail::secure(std::move(plain), to.host(), with.secure, deadline);
}

/// Whether the page that a browser shows may connect to what it asks for (HT16).
bool is_allowed(const request& asked, const websocket_options& with) {
    const std::size_t origins = asked.headers.count("Origin");
    if (origins == 0) return true;  // no browser
    if (origins > 1) return false;
    const std::string_view origin = *asked.headers.find("Origin");
    const auto& allowed = with.allowed_origins;
    if (std::find(allowed.begin(), allowed.end(), "*") != allowed.end()) return true;
    try {
        const url from = url::parse(origin);  // "null" is none
        if (allowed.empty()) return same_word(from.authority(), asked.headers.get("Host"));
        return std::any_of(allowed.begin(), allowed.end(),
                           [&from](const std::string& one) { return url::parse(one).same_origin(from); });
    } catch (const bad_url&) {
        return false;
    }
}

/// Our own list must hold what can be compared: a mistake in it is not the client's.
void check_origins(const websocket_options& with) {
    for (const std::string& one : with.allowed_origins) {
        if (one != "*") static_cast<void>(url::parse(one));
    }
}

/// 16 bytes in base64, which Beast does not look at.
bool has_key(const request& asked) {
    const std::string_view key = asked.headers.get("Sec-WebSocket-Key");
    const auto is_letter = [](char c) {
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '+' || c == '/';
    };
    return asked.headers.count("Sec-WebSocket-Key") == 1 && key.size() == 24 && key.ends_with("==") &&
           std::all_of(key.begin(), key.end() - 2, is_letter);
}

/// The fields of the answer that Beast has made, but for the one that the server adds itself.
fields fields_of(std::string_view answer) {
    fields made;
    answer.remove_prefix(answer.find("\r\n") + 2);
    while (!answer.starts_with("\r\n")) {
        const std::string_view line = answer.substr(0, answer.find("\r\n"));
        const auto colon = line.find(':');
        if (!same_word(line.substr(0, colon), "Connection")) made.add(line.substr(0, colon), line.substr(colon + 1));
        answer.remove_prefix(line.size() + 2);
    }
    return made;
}

response refusal(int status) {
    response r = text(std::string(reason_phrase(status)) + "\n", status);
    if (status == 426) {
        r.headers.add("Upgrade", "websocket");
        r.headers.add("Sec-WebSocket-Version", "13");
    }
    return r;
}

int status_of_refusal(const request& asked) {
    const bool other_version =
        asked.headers.has_word("Upgrade", "websocket") && asked.headers.get("Sec-WebSocket-Version") != "13";
    return !asked.headers.has_word("Upgrade", "websocket") || other_version ? 426 : 400;
}

std::string serialised(const response& r) {
    return "HTTP/1.1 " + std::to_string(r.status) + " " + std::string(reason_phrase(r.status)) + "\r\n" +
           std::string(r.headers.lines()) + "Connection: close\r\nContent-Length: " + std::to_string(r.body.size()) +
           "\r\n\r\n" + r.body;
}

[[noreturn]] void refuse(int status) {
    throw error(errc::upgrade_refused,
                status == 403 ? "the origin is not allowed" : "the request asks for it in a wrong way");
}

void check_goodbye(std::uint16_t code, std::string_view reason) {
    const bool sendable =
        (code >= 1000 && code <= 1003) || (code >= 1007 && code <= 1013) || (code >= 3000 && code <= 4999);
    if (!sendable)
        throw std::invalid_argument("websocket::close: the code " + std::to_string(code) + " must not be sent");
    if (reason.size() > 123) throw std::invalid_argument("websocket::close: the reason is longer than 123 bytes");
    if (!detail::is_utf8(reason)) throw std::invalid_argument("websocket::close: the reason is not UTF-8");
}

/// The object may end while a fiber is inside: that keeps what it needs.
std::shared_ptr<websocket_state> kept(const std::shared_ptr<websocket_state>& state) {
    if (state == nullptr)
        throw std::system_error(std::make_error_code(std::errc::bad_file_descriptor),
                                "websocket: one that was never connected, or was moved from");
    return state;
}

const std::string nothing_said;

}  // namespace

websocket::websocket(std::shared_ptr<websocket_state> state) noexcept : state_(std::move(state)) {}
websocket::websocket(websocket&&) noexcept = default;
websocket& websocket::operator=(websocket&& other) noexcept {
    websocket taken(std::move(other));
    state_.swap(taken.state_);
    return *this;
}
// Fibers inside, and one that sends pongs, may hold the state a moment longer, but no connection.
websocket::~websocket() {
    if (const auto state = state_) state->abort();
}

websocket websocket::connect_by(std::string_view url, const websocket_options& with,
                                std::optional<io::detail::limit> within) {
    check(with);
    const http::url to = http::url::parse(url);
    if (to.scheme() != "ws" && to.scheme() != "wss")
        throw bad_url("http::websocket knows ws and wss only: " + to.printable());
    const clock::time_point deadline = detail::deadline_of(within, with.handshake_timeout);
    return detail::told_of("GET", to, [&] {
        auto state = std::make_shared<websocket_state>(connected(to, with, deadline), std::string_view(), with);
        state->ask(to.authority(), to.target(), deadline);
        return websocket(std::move(state));
    });
}

websocket websocket::accept(exchange& asked, const websocket_options& with) {
    check(with);
    check_origins(with);
    auto state = std::make_shared<websocket_state>(any_stream(), std::string_view(), with);
    const bool allowed = is_allowed(asked.request(), with);
    if (!allowed || !has_key(asked.request()) || !state->answer(asked.request())) {
        const int status = allowed ? status_of_refusal(asked.request()) : 403;
        asked.respond(refusal(status));
        refuse(status);
    }
    state->open(asked.upgrade(fields_of(state->engine().outbox())));
    return websocket(std::move(state));
}

websocket websocket::accept(any_stream over, const request& asked, std::string_view received_ahead,
                            const websocket_options& with) {
    check(with);
    check_origins(with);
    auto state = std::make_shared<websocket_state>(std::move(over), received_ahead, with);
    const bool allowed = is_allowed(asked, with);
    const bool accepted = allowed && has_key(asked) && state->answer(asked);
    const int status = accepted ? 101 : allowed ? status_of_refusal(asked) : 403;
    if (!accepted) state->engine().outbox() = serialised(refusal(status));
    state->flush(detail::standing_deadline(with.handshake_timeout));
    if (!accepted) refuse(status);
    return websocket(std::move(state));
}

std::optional<websocket::message> websocket::receive_by(io::detail::limit within) {
    return kept(state_)->receive(detail::deadline_of(within));
}

void websocket::send_by(std::string_view data, bool as_text, io::detail::limit within) {
    if (as_text && !detail::is_utf8(data)) throw std::invalid_argument("websocket::send_text: the text is not UTF-8");
    kept(state_)->send(data, as_text, detail::deadline_of(within));
}

void websocket::ping(std::string_view payload) {
    if (payload.size() > 125) throw std::invalid_argument("websocket::ping: the payload is longer than 125 bytes");
    kept(state_)->ping(payload);
}

bool websocket::close_by(std::uint16_t code, std::string_view reason, std::optional<io::detail::limit> within) {
    check_goodbye(code, reason);
    const auto state = kept(state_);
    return state->close(code, reason, detail::deadline_of(within, state->options().close_timeout));
}

void websocket::abort() noexcept {
    const auto state = state_;
    if (state == nullptr) return;
    state->check_thread();  // or the program ends: whoever waits here would wait for ever
    state->abort();
}

bool websocket::is_open() const noexcept { return state_ != nullptr && state_->is_open(); }
std::uint16_t websocket::close_code() const noexcept {
    return state_ != nullptr ? state_->engine().close_code() : std::uint16_t{1006};
}
const std::string& websocket::close_reason() const noexcept {
    return state_ != nullptr ? state_->engine().close_reason() : nothing_said;
}
const std::string& websocket::subprotocol() const noexcept {
    return state_ != nullptr ? state_->engine().subprotocol() : nothing_said;
}
bool websocket::is_compressed() const noexcept { return state_ != nullptr && state_->engine().is_compressed(); }

}  // namespace copse::io::http
