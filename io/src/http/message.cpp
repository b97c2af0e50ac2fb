#include <copse/io/http/message.hpp>

#include <algorithm>
#include <stdexcept>
#include <utility>

#include "http/characters.hpp"
#include "http/fields_access.hpp"

namespace copse::io::http {

namespace {

using namespace std::string_view_literals;  // compared by their length first

response of_type(std::string_view type, std::string body, int status) {
    response r{.status = status, .body = std::move(body)};
    detail::fields_access::add(r.headers, "Content-Type", type);
    return r;
}

/// Path and query of a target, also of an absolute one.
std::string_view origin_form(std::string_view target) noexcept {
    if (target.starts_with('/')) return target;
    const std::size_t authority = target.find("://");
    if (authority == std::string_view::npos) return target;
    const std::size_t path = target.find_first_of("/?", authority + 3);
    return path == std::string_view::npos ? "/" : target.substr(path);
}

}  // namespace

method::method(std::string_view text) : text_(text) {
    if (!is_token(text)) throw std::invalid_argument("http::method: it must be a token of RFC 9110");
}

bool method::is_safe() const noexcept {
    return text_ == "GET" || text_ == "HEAD" || text_ == "OPTIONS" || text_ == "TRACE";
}

bool method::is_idempotent() const noexcept { return is_safe() || text_ == "PUT" || text_ == "DELETE"; }

std::string_view to_string(version v) noexcept { return v == version::http_1_0 ? "HTTP/1.0" : "HTTP/1.1"; }

std::string_view request::path() const noexcept {
    const std::string_view all = origin_form(target);
    return all.starts_with('?') ? "/" : all.substr(0, all.find('?'));
}

std::string_view request::query() const noexcept {
    const std::size_t mark = target.find('?');
    return mark == std::string::npos ? std::string_view() : std::string_view(target).substr(mark + 1);
}

std::string_view reason_phrase(int status) noexcept {
    switch (status) {
    case 100: return "Continue";
    case 101: return "Switching Protocols";
    case 102: return "Processing";
    case 103: return "Early Hints";
    case 200: return "OK";
    case 201: return "Created";
    case 202: return "Accepted";
    case 203: return "Non-Authoritative Information";
    case 204: return "No Content";
    case 205: return "Reset Content";
    case 206: return "Partial Content";
    case 207: return "Multi-Status";
    case 208: return "Already Reported";
    case 226: return "IM Used";
    case 300: return "Multiple Choices";
    case 301: return "Moved Permanently";
    case 302: return "Found";
    case 303: return "See Other";
    case 304: return "Not Modified";
    case 305: return "Use Proxy";
    case 307: return "Temporary Redirect";
    case 308: return "Permanent Redirect";
    case 400: return "Bad Request";
    case 401: return "Unauthorized";
    case 402: return "Payment Required";
    case 403: return "Forbidden";
    case 404: return "Not Found";
    case 405: return "Method Not Allowed";
    case 406: return "Not Acceptable";
    case 407: return "Proxy Authentication Required";
    case 408: return "Request Timeout";
    case 409: return "Conflict";
    case 410: return "Gone";
    case 411: return "Length Required";
    case 412: return "Precondition Failed";
    case 413: return "Content Too Large";
    case 414: return "URI Too Long";
    case 415: return "Unsupported Media Type";
    case 416: return "Range Not Satisfiable";
    case 417: return "Expectation Failed";
    case 421: return "Misdirected Request";
    case 422: return "Unprocessable Content";
    case 423: return "Locked";
    case 424: return "Failed Dependency";
    case 425: return "Too Early";
    case 426: return "Upgrade Required";
    case 428: return "Precondition Required";
    case 429: return "Too Many Requests";
    case 431: return "Request Header Fields Too Large";
    case 451: return "Unavailable For Legal Reasons";
    case 500: return "Internal Server Error";
    case 501: return "Not Implemented";
    case 502: return "Bad Gateway";
    case 503: return "Service Unavailable";
    case 504: return "Gateway Timeout";
    case 505: return "HTTP Version Not Supported";
    case 506: return "Variant Also Negotiates";
    case 507: return "Insufficient Storage";
    case 508: return "Loop Detected";
    case 511: return "Network Authentication Required";
    default: return "Unknown";
    }
}

bool has_body(int status, const method& asked) noexcept {
    if (status < 200 || status == 204 || status == 304 || asked == "HEAD"sv) return false;
    return !(asked == "CONNECT"sv && status < 300);
}

response text(std::string body, int status) { return of_type("text/plain; charset=utf-8", std::move(body), status); }

response html(std::string body, int status) { return of_type("text/html; charset=utf-8", std::move(body), status); }

response json(std::string body, int status) { return of_type("application/json", std::move(body), status); }

response redirect(std::string_view location, int status) {
    response r{.status = status};
    r.headers.add("Location", location);
    return r;
}

void check_target(std::string_view target) {
    if (target.empty() || !detail::all_are<detail::is_target_character>(target))
        throw std::invalid_argument("an HTTP target must be printed ASCII without spaces: percent-encode the rest");
}

}  // namespace copse::io::http
