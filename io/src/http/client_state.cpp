// From what is asked to what goes out; redirects; the second attempt.
#include "http/client_state.hpp"

#include <array>
#include <stdexcept>
#include <utility>

#include "http/base64.hpp"
#include "http/deadline.hpp"
#include "http/told_of.hpp"
#include "named_time.hpp"

namespace copse::io::http::detail {

namespace {

void check(const client_request& what) {
    for (const char* const own :
         {"Content-Length", "Transfer-Encoding", "Connection", "Expect", "Upgrade", "TE", "Trailer"}) {
        if (what.headers.contains(own)) {
            throw std::invalid_argument(std::string("http::client writes the header ") + own + " itself");
        }
    }
    if (what.method == "CONNECT") throw std::invalid_argument("http::client makes no tunnels: CONNECT");
}

url address_of(std::string_view text) {
    url to = url::parse(text);
    if (to.scheme() != "http" && to.scheme() != "https") {
        throw bad_url("http::client asks http and https only: " + to.printable());
    }
    return to;
}

std::string authorization_of(const std::string& userinfo) {
    const std::string plain = percent_decode(userinfo);
    return "Basic " + base64(plain.find(':') == std::string::npos ? plain + ":" : plain);
}

void append(std::string& to, std::string_view name, std::string_view value) {
    ((((to += name) += ": ") += value) += "\r\n");
}

bool is_redirect(int status) noexcept {
    return status == 301 || status == 302 || status == 303 || status == 307 || status == 308;
}

/// What RFC 9110, 15.4 makes of the request.
void rewrite(client_request& what, int status) {
    const bool to_get =
        status == 303 ? what.method != "HEAD" : (status == 301 || status == 302) && what.method == "POST";
    if (!to_get) return;
    what.method = "GET";
    what.body = {};
    what.expect_continue = false;
    for (const char* const of_body : {"Content-Type", "Content-Encoding", "Content-Language", "Content-Location"}) {
        what.headers.erase(of_body);
    }
}

void drop_credentials(client_request& what) {
    for (const char* const secret : {"Authorization", "Cookie", "Proxy-Authorization", "Host"})
        what.headers.erase(secret);
}

}  // namespace

client_state::client_state(client_options with)
    : with_(std::make_shared<const client_options>(std::move(with))), pool_(std::make_shared<connection_pool>(*with_)) {
    if (with_->connect && with_->allow_address)
        throw std::invalid_argument("http::client: `connect` would go past `allow_address`");
    io::detail::check_times("http::client", {{"connect_timeout", with_->connect_timeout},
                                             {"total_timeout", with_->total_timeout},
                                             {"read_timeout", with_->read_timeout},
                                             {"idle_time", with_->idle_time}});
    fields probe;
    if (!with_->user_agent.empty()) probe.add("User-Agent", with_->user_agent);  // refuses what is no value
}

client_stats client_state::stats() const noexcept {
    client_stats all = stats_;
    all.idle = pool_->kept();
    all.opened = pool_->opened();
    return all;
}

response client_state::request(client_request what, std::optional<io::detail::limit> within) {
    const clock::time_point deadline = deadline_of(within, with_->total_timeout);
    const auto e = follow(std::move(what), deadline);
    response made;
    made.body = told_of(e->asked().method, e->asked().to, [&] { return e->read_all(deadline); });
    made.status = e->head().status;
    made.reason = std::move(e->head().reason);
    made.headers = std::move(e->head().headers);
    return made;
}

response_stream client_state::open(client_request what, std::optional<io::detail::limit> within) {
    return response_stream(follow(std::move(what), deadline_of(within, with_->total_timeout)));
}

std::unique_ptr<client_exchange> client_state::follow(client_request what, clock::time_point deadline) {
    check(what);
    url at = address_of(what.url);
    if (at.userinfo() && !what.headers.contains("Authorization")) {
        what.headers.add("Authorization", authorization_of(*at.userinfo()));
    }
    for (unsigned hops = 0;; ++hops) {
        auto e = told_of(what.method, at, [&] { return answer(at, what, deadline); });
        const std::optional<url> next = told_of(what.method, at, [&] { return redirected(*e, what); });
        if (!next) return e;
        if (hops == with_->max_redirects) {
            throw error(errc::too_many_redirects, name_of(what.method, at) + ": after " + std::to_string(hops));
        }
        ++stats_.redirects;
        rewrite(what, e->head().status);
        if (!at.same_origin(*next)) drop_credentials(what);
        told_of(what.method, at, [&] { e->drain(deadline); });
        at = *next;
    }
}

/// Returns: where to go on; empty if the response is for the caller.
std::optional<url> client_state::redirected(client_exchange& e, const client_request& what) const {
    const response_head& head = e.head();
    if (with_->max_redirects == 0 || !is_redirect(head.status)) return std::nullopt;
    if (head.headers.count("Location") > 1) throw error(errc::bad_response, "a redirect to more than one place");
    const auto location = head.headers.find("Location");
    if (!location) return std::nullopt;
    if ((head.status == 307 || head.status == 308) && what.body.is_stream()) return std::nullopt;
    try {
        const url next = address_of(e.asked().to.resolve(*location).to_string());
        if (e.asked().to.scheme() == "https" && next.scheme() == "http" && !with_->allow_downgrade) {
            throw error(errc::bad_response, "a redirect from https to " + next.printable());
        }
        return next;
    } catch (const bad_url& b) {
        throw error(errc::bad_response, std::string("a redirect to what is ") + b.what());
    }
}

std::unique_ptr<client_exchange> client_state::answer(const url& to, const client_request& what,
                                                      clock::time_point deadline) {
    try {
        return ask_once(to, what, deadline, false);
    } catch (const kept_connection_lost& lost) {
        if (!what.method.is_idempotent() || what.body.is_stream()) throw std::system_error(lost.code(), said_by(lost));
    }
    ++stats_.repeated;
    return ask_once(to, what, deadline, true);  // and not over another that was kept as long
}

std::unique_ptr<client_exchange> client_state::ask_once(const url& to, const client_request& what,
                                                        clock::time_point deadline, bool fresh) {
    auto place = pool_->take(to, deadline, fresh);
    if (place.reused()) ++stats_.reused;
    ++stats_.requests;
    auto e = std::make_unique<client_exchange>(
        std::move(place),
        outgoing{what.method, to, head_of(to, what), what.body, what.expect_continue && what.body.is_given()}, with_);
    e->perform(deadline);
    return e;
}

std::string client_state::head_of(const url& to, const client_request& what) const {
    std::string head;
    head.reserve(256 + what.headers.lines().size());
    ((((head += what.method.text()) += ' ') += to.target()) += " HTTP/1.1\r\n");
    if (!what.headers.contains("Host")) append(head, "Host", to.authority());
    if (!with_->user_agent.empty() && !what.headers.contains("User-Agent"))
        append(head, "User-Agent", with_->user_agent);
    if (!what.headers.contains("Accept")) append(head, "Accept", "*/*");
    if (!what.headers.contains("Accept-Encoding")) append(head, "Accept-Encoding", "identity");
    head += what.headers.lines();
    if (with_->max_idle == 0) append(head, "Connection", "close");
    if (what.body.is_given()) {
        if (const auto size = what.body.size()) {
            append(head, "Content-Length", std::to_string(*size));
        } else {
            append(head, "Transfer-Encoding", "chunked");
        }
        if (what.expect_continue) append(head, "Expect", "100-continue");
    } else if (what.method == "POST" || what.method == "PUT" || what.method == "PATCH") {
        append(head, "Content-Length", "0");  // RFC 9110, 8.6: these could have had one
    }
    return head += "\r\n";
}

}  // namespace copse::io::http::detail
