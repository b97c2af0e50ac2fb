#include "http/connection.hpp"

#include <new>
#include <stdexcept>
#include <string>
#include <utility>

#include <copse/io/error.hpp>
#include <copse/io/tls_error.hpp>
#include <copse/timeout.hpp>

#include "http/ahead_stream.hpp"

namespace copse::io::http::detail {

namespace {

/// What it sends is no TLS any more.
bool speaks_no_tls([[maybe_unused]] const std::system_error& e) noexcept {
#ifdef COPSE_HAS_TLS
    return dynamic_cast<const tls_error*>(&e) != nullptr;
#else
    return false;
#endif
}

/// TLS of another peer of the handler's: the client has none, or was asked for its certificate before there was a handler.
bool is_of_other_tls([[maybe_unused]] const std::system_error& e, [[maybe_unused]] bool client_has_it) noexcept {
#ifdef COPSE_HAS_TLS
    return speaks_no_tls(e) && (!client_has_it || e.code().category() == certificate_category());
#else
    return false;
#endif
}

/// The peer left, or takes too long: everyday life, nobody to answer.
bool is_gone(const std::system_error& e) noexcept {
    return speaks_no_tls(e) || e.code() == std::errc::connection_reset || e.code() == std::errc::broken_pipe ||
           e.code() == std::errc::timed_out || e.code() == std::errc::connection_aborted;
}

/// What a WebSocket tells of its peer. An HTTP client of the handler's own has other complaints as well.
bool is_of_websocket(errc e) noexcept {
    return e == errc::message_incomplete || e == errc::bad_frame || e == errc::bad_payload ||
           e == errc::body_too_large || e == errc::too_slow;
}

std::string text_of_current_exception() {
    try {
        throw;
    } catch (const std::exception& e) {
        return e.what();
    } catch (...) {
        return "an exception that is no std::exception";
    }
}

/// What is being handled, by the name of the request.
std::exception_ptr failure_of(const request& asked, const char* whose) noexcept {
    try {
        return std::make_exception_ptr(handler_failure(asked, whose + text_of_current_exception()));
    } catch (const std::bad_alloc&) {
        return std::current_exception();
    }
}

response refusal(int status) {
    return text(std::to_string(status) + " " + std::string(reason_phrase(status)) + "\n", status);
}

}  // namespace

connection::connection(server_core& core, socket s, const endpoint& peer)
    : core_(core),
      era_(core.era()),
      with_(core.options()),
      peer_(peer),
      wire_(std::move(s)),
      in_(with_.limits.header_block + 1) {}  // so that one that is too long is seen to be

void connection::serve() {
    if (with_.secure && !shake_hands()) return;
    while (serve_one()) {}
}

// Who cannot, or will not, is nobody's failure here.
bool connection::shake_hands() {
    if (is_draining()) return false;
    const server_core::waiting_mark waiting(core_.in_handshake(), place_);
    const copse::timeout limit(with_.handshake.count() == 0 ? std::chrono::nanoseconds::max() : with_.handshake);
    try {
        if (wire_.secure(with_.secure)) return true;
        if (is_draining()) return false;  // it has seen that, and closed it
        throw std::logic_error("http::server: server_options::secure has returned a stream that is not open");
    } catch (const std::system_error&) {
    } catch (const timeout_expired& e) {
        if (!limit.threw(e)) throw;
    } catch (const greenlet_exit&) {
        throw;
    } catch (...) {
        ++core_.stats().failed_handshakes;
        throw;
    }
    if (!is_draining()) ++core_.stats().failed_handshakes;
    return false;
}

// Returns: whether the connection goes on.
bool connection::serve_one() {
    if (!await_request()) return false;
    turn_ = core_.turns().take();
    const bool more = take_turn();
    core_.turns().give_back(std::move(turn_));
    return more;
}

bool connection::take_turn() {
    if (!read_head()) return false;
    run_handler();
    return goes_on();
}

// Returns: false if it was none, and has been refused.
bool connection::read_head() {
    try {
        const std::size_t head = await_head();
        turn_->frame = turn_->parser.parse_head(in_.unread().substr(0, head), turn_->request);
        in_.consume(head);
        return true;
    } catch (const error& e) {
        refuse(e);
        return false;
    } catch (const std::system_error&) {
        return false;  // it left, or its TLS is broken: there is nobody to refuse
    }
}

// Parks until there is a byte of a request. Returns: false if none will come.
bool connection::await_request() {
    if (is_draining()) return false;
    if (!in_.empty()) return true;
    const server_core::waiting_mark waiting(core_.between_requests(), place_);
    return receive({.pause = served_ == 0 ? with_.first_byte : with_.keep_alive});
}

// Between requests a connection may end in any way.
bool connection::receive(patience p) {
    try {
        return in_.fill(wire_, p);
    } catch (const std::system_error&) {
        return false;
    }
}

// Parks until the head is whole. Returns: its length.
std::size_t connection::await_head() {
    patience p{.whole = with_.head.count() == 0 ? limit() : limit::within(with_.head)};
    bool may_be_empty = true;
    for (;;) {
        if (may_be_empty && skip_empty_line()) may_be_empty = false;
        if (const std::string_view unread = in_.unread(); unread != "\r" && !unread.empty()) {
            if (const std::size_t head = turn_->scanner.look(unread)) return head;
        }
        try {
            // The limit is fixed by the first wait: kept in `p` from then on.
            p.whole.deadline();
            if (!in_.fill(wire_, p)) throw error(errc::message_incomplete);
        } catch (const timed_out&) {
            throw error(errc::too_slow);
        }
    }
}

// One may precede a request (RFC 9112, 2.2): old clients end their bodies so.
bool connection::skip_empty_line() {
    if (!in_.unread().starts_with("\r\n")) return false;
    in_.consume(2);
    return true;
}

void connection::run_handler() {
    ++core_.stats().requests;
    ++served_;
    const bool last = with_.requests_per_connection != 0 && served_ >= with_.requests_per_connection;
    turn_->body.begin(wire_, in_, turn_->frame);
    turn_->answer.begin(wire_, turn_->request, turn_->frame.keeps_alive(turn_->request.version) && !last);
    const clock::time_point began = with_.access_log ? clock::now() : clock::time_point();
    recover(call_handler());
    if (with_.access_log) log(&turn_->request, clock::now() - began);
}

connection::outcome connection::call_handler() {
    exchange x(*this);
    try {
        if (with_.handler.count() != 0) return call_in_time(x);
        core_.handle(x);
        conclude(x);
        return {};
    } catch (const error& e) {
        if (!is_of_client(e)) return failure(500);
        if (!given_away_) ++core_.stats().bad_requests;  // afterwards it is no request that is bad
        return {.status = status_of(static_cast<errc>(e.code().value())), .error = {}, .over = true};
    } catch (const greenlet_exit&) {
        if (!given_away_ && turn_->answer.would_seem_whole()) wire_.abort();
        throw;
    } catch (const std::system_error& e) {
        if (is_gone(e) && is_of_client(e)) return {.status = 0, .error = {}, .over = true};
        return failure(500);
    } catch (...) {
        return failure(500);
    }
}

connection::outcome connection::failure(int status, const char* whose) const {
    return {.status = status, .error = failure_of(turn_->request, whose), .over = true};
}

// Not of a client or a file of the handler's own, whose errors look the same.
bool connection::is_of_client(const std::system_error& e) const noexcept {
    if (is_of_other_tls(e, wire_.is_secure())) return false;
    const bool refused = e.code() == make_error_code(errc::upgrade_refused) && turn_->answer.is_whole();
    if (given_away_) return is_of_given(e);
    const auto* known = dynamic_cast<const io::detail::has_origin*>(&e);
    if (known != nullptr && known->where != wire_.whose()) return false;
    return refused || turn_->body.has_failed() || turn_->answer.is_broken();
}

// Afterwards only the stream itself can tell: its errors know whose they are. A time that is over was the handler's own.
bool connection::is_of_given(const std::system_error& e) const noexcept {
    if (e.code().category() == http_category()) return is_of_websocket(static_cast<errc>(e.code().value()));
    if (dynamic_cast<const timed_out*>(&e) != nullptr) return false;
    if (const auto* known = dynamic_cast<const io::detail::has_origin*>(&e)) return known->where == given_;
    // What is aborted in so many words is a request of the handler's own client; TLS that was cut only compares so.
    return e.code() != std::make_error_code(std::errc::connection_aborted);
}

connection::outcome connection::call_in_time(exchange& x) {
    const copse::timeout limit(with_.handler);
    try {
        core_.handle(x);
        if (limit.expired()) return late(x);
        conclude(x);
        return {};
    } catch (const timeout_expired& e) {
        if (!limit.threw(e)) throw;
        return failure(503, "server_options::handler: ");
    }
}

// It has caught what told it, or had nothing to wait for any more.
connection::outcome connection::late(exchange& x) {
    outcome o;
    try {
        throw std::runtime_error("the handler went on after its time was over");
    } catch (const std::runtime_error&) {
        o = failure(503, "server_options::handler: ");
    }
    if (!x.answered()) return o;
    conclude(x);
    o.over = false;  // what has been answered stays
    return o;
}

void connection::conclude(exchange& x) {
    if (given_away_ || turn_->answer.is_broken()) return;  // who has caught that knows of it
    if (!x.answered()) throw std::logic_error("an HTTP handler returned without an answer");
    turn_->answer.finish({});
}

// Answers in the place of a handler that could not.
void connection::recover(const outcome& o) {
    if (o.error != nullptr) {
        ++core_.stats().failures;
        server_core::tell(o.error);
    }
    if (!o.over || given_away_) return;
    const bool answerable = o.status != 0 && turn_->answer.is_unsent();
    turn_->answer.close_after();
    if (!answerable) return turn_->answer.give_up();
    turn_->answer.take_back();
    try {
        turn_->answer.respond(refusal(o.status), {});
    } catch (const std::system_error&) {
        // It did not want to know.
    }
}

void connection::refuse(const error& e) {
    ++core_.stats().bad_requests;
    turn_->answer.begin_refusal(wire_);
    try {
        turn_->answer.respond(refusal(status_of(static_cast<errc>(e.code().value()))), {});
        if (with_.access_log) log(nullptr, {});
        wire_.linger();
    } catch (const std::system_error&) {
        // Whoever speaks no HTTP need not listen either.
    }
}

void connection::log(const http::request* asked, std::chrono::nanoseconds took) {
    with_.access_log({.peer = peer_,
                      .request = asked,
                      .status = turn_->answer.status(),
                      .body_bytes = turn_->answer.body_bytes(),
                      .took = took});
}

bool connection::goes_on() {
    if (given_away_) return false;
    if (turn_->answer.keeps_alive() && turn_->body.drop()) return true;
    if (turn_->answer.would_seem_whole()) wire_.abort();
    if (turn_->answer.is_whole() && may_send_more()) wire_.linger();
    return false;
}

// Also what the kernel holds and we have not seen: the next request of a client that does not know of the end.
bool connection::may_send_more() const {
    return !turn_->body.is_at_end() || !in_.empty() || turn_->frame.keeps_alive(turn_->request.version);
}

reply& connection::answer() noexcept {
    // What the client has not sent and we shall not ask for, or is too much to be read for nothing, ends the connection.
    if (!turn_->answer.has_begun() && (is_draining() || !turn_->body.is_droppable())) turn_->answer.close_after();
    return turn_->answer;
}

std::size_t connection::read(std::span<std::byte> into, limit within) {
    if (turn_->answer.is_on_its_way()) turn_->body.do_not_ask();
    try {
        return turn_->body.read(into, within);
    } catch (...) {
        if (turn_->body.has_cut_invitation()) turn_->answer.give_up();
        throw;
    }
}

const std::string& connection::read_all(limit within) {
    std::string& all = turn_->request.body;
    if (turn_->body.is_at_end()) return all;
    within.deadline();  // one for all reads
    // Memory is taken for bytes that have come, not for a length that was announced.
    pooled_buffer piece = pooled_buffer::take();
    while (const std::size_t n = read(piece.bytes(), within)) all.append(piece.text().substr(0, n));
    return all;
}

any_stream connection::upgrade(const fields& headers) {
    if (!turn_->frame.wants_upgrade() || turn_->request.version == version::http_1_0)
        throw std::logic_error("http::exchange: the client has not asked for an upgrade");
    if (turn_->answer.has_begun()) throw std::logic_error("http::exchange: an answer was begun already");
    if (!turn_->body.is_at_end()) throw std::logic_error("http::exchange: the body has not been read");
    turn_->answer.switch_protocols(headers);
    return give_away();
}

any_stream connection::release() {
    if (turn_->answer.has_begun()) throw std::logic_error("http::exchange: an answer was begun already");
    if (!turn_->body.is_at_end()) throw std::logic_error("http::exchange: the body has not been read");
    turn_->answer.abandon();
    return give_away();
}

any_stream connection::give_away() {
    std::string ahead(in_.unread());
    in_.consume(ahead.size());
    given_ = wire_.whose();
    given_away_ = true;
    if (ahead.empty()) return wire_.release();
    return any_stream(ahead_stream(std::move(ahead), wire_.release()));
}

}  // namespace copse::io::http::detail
