#include <copse/io/http/client.hpp>

#include <string>
#include <system_error>
#include <utility>

#include "http/client_state.hpp"
#include "http/deadline.hpp"
#include "http/told_of.hpp"

namespace copse::io::http {

namespace {

[[noreturn]] void fail_moved(const char* what) {
    throw std::system_error(std::make_error_code(std::errc::bad_file_descriptor),
                            std::string(what) + ": one that was moved from");
}

/// The object may end while a fiber is inside: that keeps what it needs.
std::shared_ptr<detail::client_state> kept(const std::shared_ptr<detail::client_state>& state) {
    if (state == nullptr) fail_moved("http::client");
    return state;
}

std::shared_ptr<detail::client_exchange> kept(const std::shared_ptr<detail::client_exchange>& exchange) {
    if (exchange == nullptr) fail_moved("http::response_stream");
    return exchange;
}

// Of what was moved from.
const fields no_fields;
const std::string no_text;
const url& nowhere() noexcept {
    static const url the_one = url::parse("http://nowhere.invalid/");
    return the_one;
}

}  // namespace

client::client(client_options with) : state_(std::make_shared<detail::client_state>(std::move(with))) {}
client::client(client&&) noexcept = default;
client& client::operator=(client&& other) noexcept {
    client taken(std::move(other));
    state_.swap(taken.state_);
    return *this;
}
// Requests in other fibers may hold the state longer.
client::~client() {
    if (const auto state = std::move(state_)) state->retire();
}

client_request client::getting(std::string_view url, fields headers) {
    return {.method = "GET", .url = std::string(url), .headers = std::move(headers)};
}

client_request client::posting(std::string_view url, request_body body, std::string_view content_type, fields headers) {
    client_request made{
        .method = "POST", .url = std::string(url), .headers = std::move(headers), .body = std::move(body)};
    made.headers.set("Content-Type", content_type);
    return made;
}

response client::request_by(client_request what, std::optional<io::detail::limit> within) {
    const auto state = kept(state_);
    return state->request(std::move(what), within);
}

response_stream client::open_by(client_request what, std::optional<io::detail::limit> within) {
    const auto state = kept(state_);
    return state->open(std::move(what), within);
}

void client::close_idle() noexcept {
    if (const auto state = state_) state->close_idle();  // which may be ended meanwhile
}
client_stats client::stats() const noexcept { return state_ != nullptr ? state_->stats() : client_stats(); }

response_stream::response_stream(std::shared_ptr<detail::client_exchange> of) noexcept : exchange_(std::move(of)) {}
response_stream::response_stream(response_stream&&) noexcept = default;
response_stream& response_stream::operator=(response_stream&& other) noexcept {
    response_stream taken(std::move(other));
    exchange_.swap(taken.exchange_);
    return *this;
}
response_stream::~response_stream() {
    if (const auto exchange = std::move(exchange_)) exchange->end();
}

int response_stream::status() const noexcept { return exchange_ != nullptr ? exchange_->head().status : 0; }
const std::string& response_stream::reason() const noexcept {
    return exchange_ != nullptr ? exchange_->head().reason : no_text;
}
const fields& response_stream::headers() const noexcept {
    return exchange_ != nullptr ? exchange_->head().headers : no_fields;
}
const url& response_stream::url() const noexcept { return exchange_ != nullptr ? exchange_->asked().to : nowhere(); }
std::optional<std::uint64_t> response_stream::content_length() const noexcept {
    return exchange_ != nullptr ? exchange_->head().content_length : std::nullopt;
}

std::size_t response_stream::read_by(std::span<std::byte> into, std::optional<io::detail::limit> within) {
    const auto of = kept(exchange_);
    const clock::time_point deadline = detail::deadline_of(within, of->options().read_timeout);
    return detail::told_of(of->asked().method, of->asked().to, [&] { return of->read_some(into, deadline); });
}

std::string response_stream::read_all_by(std::optional<io::detail::limit> within) {
    const auto of = kept(exchange_);
    const clock::time_point deadline = detail::deadline_of(within, of->options().total_timeout);
    return detail::told_of(of->asked().method, of->asked().to, [&] { return of->read_all(deadline); });
}

void response_stream::close() noexcept {
    if (const auto exchange = exchange_) exchange->close();
}
bool response_stream::is_open() const noexcept { return exchange_ != nullptr && !exchange_->is_closed(); }

namespace {

/// A connection that nobody will use again.
client once(client_options with) {
    with.max_idle = 0;
    return client(std::move(with));
}

}  // namespace

response get(std::string_view url, client_options with) { return get(url, fields(), std::move(with)); }

response get(std::string_view url, fields headers, client_options with) {
    return once(std::move(with)).get(url, std::move(headers));
}

response get(std::string_view url, std::initializer_list<field> headers, client_options with) {
    return get(url, fields(headers), std::move(with));
}

response post(std::string_view url, request_body body, std::string_view content_type, client_options with) {
    return post(url, std::move(body), content_type, fields(), std::move(with));
}

response post(std::string_view url, request_body body, std::string_view content_type, fields headers,
              client_options with) {
    return once(std::move(with)).post(url, std::move(body), content_type, std::move(headers));
}

response post(std::string_view url, request_body body, std::string_view content_type,
              std::initializer_list<field> headers, client_options with) {
    return post(url, std::move(body), content_type, fields(headers), std::move(with));
}

}  // namespace copse::io::http
