#include "http/request_parser.hpp"

#include <algorithm>
#include <limits>
#include <optional>

#include <boost/asio/buffer.hpp>
#include <boost/beast/http/basic_parser.hpp>
#include <boost/beast/http/error.hpp>

#include "http/characters.hpp"
#include "http/fields_access.hpp"

namespace copse::io::http::detail {

namespace {

namespace beast = boost::beast::http;
using boost_error_code = boost::beast::error_code;

template <class View>  // Beast's string_view is another type in each of its versions
std::string_view view(const View& v) noexcept {
    return {v.data(), v.size()};
}

/// "GET / HTTP/9.9": the form is right, the version is another.
bool names_a_version(std::string_view head) noexcept {
    const std::string_view line = head.substr(0, head.find('\r'));
    const std::size_t target = line.find(' ') + 1;
    const std::size_t at = line.find(' ', target);
    if (target == 0 || at == std::string_view::npos || at == target) return false;
    const std::string_view v = line.substr(at + 1);
    return v.size() == 8 && v.starts_with("HTTP/") && is_digit(v[5]) && v[6] == '.' && is_digit(v[7]);
}

[[noreturn]] void throw_head_error(const boost_error_code& e, std::string_view head) {
    if (e == beast::error::bad_version && names_a_version(head)) throw error(errc::version_not_supported);
    if (e == beast::error::bad_version || e == beast::error::bad_method || e == beast::error::bad_target)
        throw error(errc::bad_start_line);
    if (e == beast::error::bad_content_length || e == beast::error::bad_transfer_encoding)
        throw error(errc::bad_framing);
    throw error(errc::bad_field, e.message());
}

/// Beast asks for more where more will not help: behind a quotation mark in an extension that the line does not close.
bool has_whole_chunk_head(std::string_view input) noexcept {
    if (input.starts_with("\r\n")) input.remove_prefix(2);  // of the chunk before
    const std::size_t line_end = input.find('\n');
    if (line_end == std::string_view::npos) return false;
    const std::size_t digits = std::min(input.find_first_not_of('0'), line_end);
    const bool is_last = digits != 0 && (input[digits] == ';' || is_blank(input[digits]) || input[digits] == '\r');
    return !is_last || input.find("\r\n\r\n") != std::string_view::npos;  // the last one has trailers
}

/// What Beast is told until a limit is known: that of Boost 1.74 takes `boost::none` for zero.
constexpr auto no_body_limit = std::numeric_limits<std::uint64_t>::max();

/// Obsolete, and read in different ways by different readers; Beast accepts it. Heads are looked at by the scanner.
bool has_folded_line(std::string_view trailers) noexcept {
    return trailers.find("\r\n ") != std::string_view::npos || trailers.find("\r\n\t") != std::string_view::npos;
}

/// Hands what it finds to the request; its exceptions pass through Beast's code, which holds nothing.
class head_and_chunks final : public beast::basic_parser<true> {
public:
    head_and_chunks(const limits& with, request& into) : limits_(with), request_(&into) {
        eager(false);
        header_limit(std::numeric_limits<std::uint32_t>::max());  // the scanner has seen to that
        body_limit(no_body_limit);
    }

    framing found;

    // Of one `decode`.
    std::span<std::byte> room;
    std::size_t produced = 0;
    fields* trailers = nullptr;

private:
    void on_request_impl(beast::verb /*known*/, boost::beast::string_view method, boost::beast::string_view target,
                         int version, boost_error_code& /*e*/) override {
        if (method.size() > limits_.method) throw error(errc::method_not_known);
        if (target.size() > limits_.target) throw error(errc::target_too_long);
        if (!all_are<is_target_character>(view(target))) throw error(errc::bad_start_line);
        request_->method = view(method);
        request_->target = view(target);
        request_->version = version == 10 ? http::version::http_1_0 : http::version::http_1_1;
    }

    void on_field_impl(beast::field /*known*/, boost::beast::string_view name, boost::beast::string_view value,
                       boost_error_code& /*e*/) override {
        if (trailers != nullptr) return add_trailer(view(name), view(value));
        if (request_->headers.size() == limits_.header_count) throw error(errc::header_too_large, "too many fields");
        fields_access::add(request_->headers, view(name), trimmed(view(value)));
        found.note(view(name), trimmed(view(value)));
    }

    void add_trailer(std::string_view name, std::string_view value) {
        if (trailers->size() == limits_.header_count) throw error(errc::header_too_large, "too many trailers");
        if (!is_forbidden_trailer(name)) fields_access::add(*trailers, name, trimmed(value));
    }

    void on_header_impl(boost_error_code& /*e*/) override {
        found.conclude_request(request_->method.text(), request_->target, request_->version);
    }

    void on_chunk_header_impl(std::uint64_t /*size*/, boost::beast::string_view extensions,
                              boost_error_code& /*e*/) override {
        extensions_ += extensions.size();
        if (extensions_ > limits_.chunk_extensions) throw error(errc::bad_chunk, "too many extensions");
    }

    std::size_t on_chunk_body_impl(std::uint64_t /*remain*/, boost::beast::string_view body,
                                   boost_error_code& /*e*/) override {
        const std::size_t n = std::min(room.size() - produced, body.size());
        std::copy_n(reinterpret_cast<const std::byte*>(body.data()), n, room.data() + produced);
        produced += n;
        return n;
    }

    // Bodies of a length are not given to the parser, and nobody asks it for responses.
    void on_response_impl(int /*code*/, boost::beast::string_view /*reason*/, int /*version*/,
                          boost_error_code& /*e*/) override {}
    void on_body_init_impl(const boost::optional<std::uint64_t>& /*length*/, boost_error_code& /*e*/) override {}
    std::size_t on_body_impl(boost::beast::string_view /*body*/, boost_error_code& /*e*/) override { return 0; }
    void on_finish_impl(boost_error_code& /*e*/) override {}

    const limits& limits_;
    request* request_;
    std::size_t extensions_ = 0;
};

}  // namespace

struct request_parser::state {
    const limits& with;
    std::optional<head_and_chunks> parser;  // of the current request; Beast's cannot be used twice
};

request_parser::request_parser(const limits& with) : state_(new state{with, std::nullopt}) {}

request_parser::~request_parser() = default;

framing request_parser::parse_head(std::string_view head, request& into) {
    into.headers.clear();
    into.body.clear();
    head_and_chunks& parser = state_->parser.emplace(state_->with, into);
    boost_error_code e;
    parser.put(boost::asio::const_buffer(head.data(), head.size()), e);
    if (e) throw_head_error(e, head);
    return parser.found;
}

void request_parser::limit_body(std::uint64_t bytes) { state_->parser->body_limit(bytes); }

request_parser::progress request_parser::decode(std::string_view input, std::span<std::byte> into, fields& trailers) {
    head_and_chunks& parser = *state_->parser;
    parser.room = into;
    parser.produced = 0;
    parser.trailers = &trailers;
    boost_error_code e;
    const std::size_t consumed = parser.put(boost::asio::const_buffer(input.data(), input.size()), e);
    if (e == beast::error::body_limit) throw error(errc::body_too_large);
    if (e && e != beast::error::need_more) throw error(errc::bad_chunk, e.message());
    if (parser.is_done() && has_folded_line(input.substr(0, consumed)))
        throw error(errc::bad_chunk, "a trailer goes on in another line");
    if (e && consumed == 0 && has_whole_chunk_head(input)) throw error(errc::bad_chunk);
    return {consumed, parser.produced, parser.is_done()};
}

}  // namespace copse::io::http::detail
