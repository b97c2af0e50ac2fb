#include "http/framing.hpp"

#include <algorithm>
#include <array>
#include <charconv>

#include "http/characters.hpp"

namespace copse::io::http::detail {

namespace {

template <class F>
void for_each_word(std::string_view list, F&& f) {
    while (!list.empty()) {
        const std::size_t comma = std::min(list.find(','), list.size());
        f(trimmed(list.substr(0, comma)));
        list.remove_prefix(std::min(comma + 1, list.size()));
    }
}

/// The authority of an absolute target; empty if it is another.
std::string_view authority_of(std::string_view target) noexcept {
    const std::size_t mark = target.find("://");
    if (mark == std::string_view::npos) return {};
    const std::string_view scheme = target.substr(0, mark);
    if (!same_word(scheme, "http") && !same_word(scheme, "https")) return {};
    target.remove_prefix(mark + 3);
    return target.substr(0, std::min(target.find_first_of("/?#"), target.size()));
}

}  // namespace

void framing::note(std::string_view name, std::string_view value) {
    switch (name.size()) {  // most fields are none of these
    case 4:
        if (same_word(name, "host")) note_host(value);
        break;
    case 6:
        if (!same_word(name, "expect")) break;
        if (!same_word(value, "100-continue")) throw error(errc::expectation_failed);
        expects_continue_ = true;
        break;
    case 7:
        if (same_word(name, "upgrade")) upgrade_ = true;
        break;
    case 10:
        if (same_word(name, "connection")) note_connection(value);
        break;
    case 14:
        if (same_word(name, "content-length")) note_length(value);
        break;
    case 17:
        if (same_word(name, "transfer-encoding")) note_coding(value);
        break;
    default: break;
    }
}

// One decimal number: no sign, no list, not twice, also not twice the same.
void framing::note_length(std::string_view value) {
    if (length_ || chunked_) throw error(errc::bad_framing);
    std::uint64_t n = 0;
    const auto [end, bad] = std::from_chars(value.data(), value.data() + value.size(), n);
    if (value.empty() || !is_digit(value.front()) || bad != std::errc() || end != value.data() + value.size())
        throw error(errc::bad_framing, "Content-Length is no number");
    length_ = n;
}

void framing::note_coding(std::string_view value) {
    if (length_ || chunked_) throw error(errc::bad_framing);
    if (!same_word(value, "chunked")) throw error(errc::bad_framing, "Transfer-Encoding is not \"chunked\"");
    chunked_ = true;
}

void framing::note_host(std::string_view value) {
    if (host_) throw error(errc::bad_host, "twice");
    if (!all_are<is_host_character>(value)) throw error(errc::bad_host);
    host_ = value;
}

void framing::note_connection(std::string_view value) {
    for_each_word(value, [this](std::string_view word) {
        if (same_word(word, "close")) close_ = true;
        if (same_word(word, "keep-alive")) keep_alive_ = true;
        if (same_word(word, "upgrade")) connection_upgrade_ = true;
    });
}

void framing::conclude_request(std::string_view method, std::string_view target, version v) {
    if (chunked_ && v == version::http_1_0) throw error(errc::bad_framing, "Transfer-Encoding in HTTP/1.0");
    if (v == version::http_1_0) expects_continue_ = false;  // it would not understand the answer
    if (!host_ && v == version::http_1_1) throw error(errc::bad_host);
    check_target(method, target);
    host_.reset();  // a view
}

void framing::conclude_response(version v) const {
    if (chunked_ && v == version::http_1_0) throw error(errc::bad_framing, "Transfer-Encoding in HTTP/1.0");
}

void framing::check_target(std::string_view method, std::string_view target) const {
    if (target.starts_with('/') || (target == "*" && method == "OPTIONS")) return;
    if (method == "CONNECT") {
        if (!all_are<is_host_character>(target)) throw error(errc::bad_start_line);
        return;
    }
    const std::string_view authority = authority_of(target);
    if (authority.empty()) throw error(errc::bad_start_line, "the target has no form that HTTP knows");
    if (host_ && !same_word(*host_, authority)) throw error(errc::bad_host, "it is not the target's");
}

bool is_forbidden_trailer(std::string_view name) noexcept {
    static constexpr std::array<std::string_view, 19> all = {
        "content-length", "transfer-encoding", "host",    "connection",  "content-encoding",
        "content-type",   "content-range",     "te",      "trailer",     "authorization",
        "cookie",         "set-cookie",        "range",   "expect",      "proxy-authorization",
        "keep-alive",     "cache-control",     "upgrade", "max-forwards"};
    return std::any_of(all.begin(), all.end(), [&](std::string_view one) { return same_word(name, one); });
}

}  // namespace copse::io::http::detail
