#include "http/chunk_decoder.hpp"

#include <algorithm>
#include <limits>
#include <optional>

#include <boost/asio/buffer.hpp>
#include <boost/beast/http/basic_parser.hpp>
#include <boost/beast/http/error.hpp>

#include "http/characters.hpp"
#include "http/fields_access.hpp"
#include "http/framing.hpp"

namespace copse::io::http::detail {

namespace {

namespace beast = boost::beast::http;
using boost_error_code = boost::beast::error_code;

template <class View>  // Beast's string_view is another type in each of its versions
std::string_view view(const View& v) noexcept {
    return {v.data(), v.size()};
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

/// Obsolete, and read in different ways by different readers; Beast accepts it.
bool has_folded_line(std::string_view trailers) noexcept {
    return trailers.find("\r\n ") != std::string_view::npos || trailers.find("\r\n\t") != std::string_view::npos;
}

/// Beast wants a head before it takes chunks; that of the request has been read already.
constexpr std::string_view any_head = "PUT / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n";

/// What it throws passes through Beast's code, which holds nothing.
class chunks final : public beast::basic_parser<true> {
public:
    chunks(const limits& with, std::uint64_t most) : limits_(with) {
        eager(false);
        header_limit(std::numeric_limits<std::uint32_t>::max());  // trailers fit in what is received into
        body_limit(std::numeric_limits<std::uint64_t>::max());    // that of Boost 1.74 looks at it with the head, too
        boost_error_code e;
        put(boost::asio::const_buffer(any_head.data(), any_head.size()), e);
        body_limit(most);
    }

    // Of one `decode`.
    std::span<std::byte> room;
    std::size_t produced = 0;
    fields* trailers = nullptr;

private:
    void on_field_impl(beast::field /*known*/, boost::beast::string_view name, boost::beast::string_view value,
                       boost_error_code& /*e*/) override {
        if (trailers == nullptr) return;  // of `any_head`
        if (trailers->size() == limits_.header_count) throw error(errc::header_too_large, "too many trailers");
        if (!is_forbidden_trailer(view(name))) fields_access::add(*trailers, view(name), trimmed(view(value)));
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

    void on_request_impl(beast::verb /*known*/, boost::beast::string_view /*method*/,
                         boost::beast::string_view /*target*/, int /*version*/, boost_error_code& /*e*/) override {}
    void on_response_impl(int /*code*/, boost::beast::string_view /*reason*/, int /*version*/,
                          boost_error_code& /*e*/) override {}
    void on_header_impl(boost_error_code& /*e*/) override {}
    void on_body_init_impl(const boost::optional<std::uint64_t>& /*length*/, boost_error_code& /*e*/) override {}
    std::size_t on_body_impl(boost::beast::string_view /*body*/, boost_error_code& /*e*/) override { return 0; }
    void on_finish_impl(boost_error_code& /*e*/) override {}

    const limits& limits_;
    std::size_t extensions_ = 0;
};

}  // namespace

struct chunk_decoder::state {
    const limits& with;
    std::optional<chunks> parser;  // of the current body; Beast's cannot be used twice
};

chunk_decoder::chunk_decoder(const limits& with) : state_(new state{with, std::nullopt}) {}

chunk_decoder::~chunk_decoder() = default;

void chunk_decoder::begin(std::uint64_t most) { state_->parser.emplace(state_->with, most); }

chunk_decoder::progress chunk_decoder::decode(std::string_view input, std::span<std::byte> into, fields& trailers) {
    chunks& parser = *state_->parser;
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
