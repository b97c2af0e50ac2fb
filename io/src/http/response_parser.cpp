#include "http/response_parser.hpp"

#include <boost/asio/buffer.hpp>
#include <boost/beast/core/string.hpp>
#include <boost/beast/http/basic_parser.hpp>
#include <boost/beast/http/error.hpp>

#include <algorithm>
#include <charconv>
#include <cstring>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>

#include "http/characters.hpp"

namespace copse::io::http::detail {

namespace {

namespace beast = boost::beast;
using beast_error = beast::http::error;

std::string_view view(beast::string_view text) noexcept { return {text.data(), text.size()}; }

/// Beast names it from 1.75 on.
template <class E>
bool is_repeated_length(const boost::system::error_code& e) {
    if constexpr (requires { E::multiple_content_length; }) return e == E::multiple_content_length;
    return false;
}

errc meaning_of(const boost::system::error_code& e) {
    if (e == beast_error::header_limit || e == beast_error::buffer_overflow) return errc::header_too_large;
    if (e == beast_error::bad_version) return errc::version_not_supported;
    if (e == beast_error::bad_status || e == beast_error::bad_reason) return errc::bad_start_line;
    if (e == beast_error::bad_content_length || e == beast_error::bad_transfer_encoding ||
        is_repeated_length<beast_error>(e)) {
        return errc::bad_framing;
    }
    if (e == beast_error::bad_chunk || e == beast_error::bad_chunk_extension) return errc::bad_chunk;
    if (e == beast_error::partial_message || e == beast_error::end_of_stream) return errc::message_incomplete;
    return errc::bad_field;
}

/// Only digits: "+5", "0x5", "5, 5" and "" are what others might read otherwise.
std::uint64_t length_of(std::string_view text) {
    std::uint64_t length = 0;
    const auto [end, e] = std::from_chars(text.data(), text.data() + text.size(), length);
    if (e != std::errc() || end != text.data() + text.size())
        throw error(errc::bad_framing, "Content-Length is no number");
    return length;
}

}  // namespace

class response_parser::impl final : public beast::http::basic_parser<false> {
public:
    impl(const method& asked, const limits& accepted) : asked_(asked), accepted_(accepted) {
        const std::size_t most = accepted.header_block;
        header_limit(static_cast<std::uint32_t>(std::min<std::size_t>(most, 0x7fffffff)));
        // Bytes are counted by whoever keeps them. `boost::none` is zero to Boost 1.74.
        body_limit(std::numeric_limits<std::uint64_t>::max());
        eager(false);  // one step a call: it must stop where there is no more room
        skip(asked == "HEAD");
    }

    progress put_all(std::span<const std::byte> input, std::span<std::byte> room) {
        progress made;
        room_ = room;
        while (!is_done() && made.taken < input.size() && !(is_header_done() && in_body_ && room_.empty())) {
            const auto rest = input.subspan(made.taken);
            const auto room_before = room_.size();
            boost::system::error_code e;
            const std::size_t n = put(boost::asio::const_buffer(rest.data(), rest.size()), e);
            made.taken += n;
            made.written += room_before - room_.size();
            if (!is_header_done() && (head_size_ += n) > accepted_.header_block) throw error(errc::header_too_large);
            if (e == beast_error::need_more || (n == 0 && !e)) break;
            if (e && e != beast_error::need_buffer) throw error(meaning_of(e), e.message());
        }
        return made;
    }

    void end_all() {
        boost::system::error_code e;
        put_eof(e);
        if (e || !is_done()) throw error(errc::message_incomplete);
    }

    response_head head;

private:
    void on_request_impl(beast::http::verb /*method*/, beast::string_view /*text*/, beast::string_view /*target*/,
                         int /*version*/, boost::system::error_code& /*e*/) override {}

    void on_response_impl(int code, beast::string_view reason, int v, boost::system::error_code& e) override {
        if (v != 10 && v != 11) e = beast_error::bad_version;
        if (code < 100) e = beast_error::bad_status;
        head.status = code;
        head.reason = std::string(view(reason));
        head.version = v == 10 ? version::http_1_0 : version::http_1_1;
    }

    void on_field_impl(beast::http::field /*known*/, beast::string_view name, beast::string_view value,
                       boost::system::error_code& e) override {
        if (++count_ > accepted_.header_count) throw error(errc::header_too_large, "more fields than are accepted");
        if (is_header_done()) return;  // a trailer: nobody asked for it
        try {
            head.headers.add(view(name), view(value));
        } catch (const std::invalid_argument&) {
            e = beast_error::bad_value;
        }
    }

    void on_header_impl(boost::system::error_code& /*e*/) override {
        count_ = 0;
        const std::size_t lengths = head.headers.count("Content-Length");
        const std::size_t codings = head.headers.count("Transfer-Encoding");
        if (lengths + codings > 1) throw error(errc::bad_framing, "more than one length of the body");
        if (lengths == 1) {
            const std::uint64_t length = length_of(head.headers.get("Content-Length"));
            if (has_body(head.status, asked_)) head.content_length = length;
        }
        if (codings == 1 &&
            (head.version == version::http_1_0 || !same_word(head.headers.get("Transfer-Encoding"), "chunked"))) {
            throw error(errc::bad_framing, "a Transfer-Encoding other than chunked");
        }
    }

    void on_body_init_impl(const boost::optional<std::uint64_t>& /*length*/,
                           boost::system::error_code& /*e*/) override {
        in_body_ = true;
    }

    std::size_t on_body_impl(beast::string_view bytes, boost::system::error_code& /*e*/) override {
        return take(bytes);
    }

    void on_chunk_header_impl(std::uint64_t size, beast::string_view extensions,
                              boost::system::error_code& /*e*/) override {
        extensions_ += extensions.size();
        if (extensions_ > accepted_.chunk_extensions)
            throw error(errc::bad_chunk, "longer extensions than are accepted");
        in_body_ = size != 0;  // the last chunk needs no room
    }

    std::size_t on_chunk_body_impl(std::uint64_t remains, beast::string_view bytes,
                                   boost::system::error_code& /*e*/) override {
        const std::size_t n = take(bytes);
        if (n == remains) in_body_ = false;  // a line comes next
        return n;
    }

    void on_finish_impl(boost::system::error_code& /*e*/) override {}

    std::size_t take(beast::string_view bytes) noexcept {
        const std::size_t n = std::min(bytes.size(), room_.size());
        if (n != 0) std::memcpy(room_.data(), bytes.data(), n);
        room_ = room_.subspan(n);
        return n;
    }

    const method asked_;
    const limits accepted_;
    std::span<std::byte> room_;
    std::size_t head_size_ = 0;  // bytes taken of it
    std::size_t count_ = 0;
    std::size_t extensions_ = 0;
    bool in_body_ = false;  // what comes next goes into the room
};

response_parser::response_parser(const method& asked, const limits& accepted)
    : impl_(std::make_unique<impl>(asked, accepted)) {}
response_parser::response_parser(response_parser&&) noexcept = default;
response_parser& response_parser::operator=(response_parser&&) noexcept = default;
response_parser::~response_parser() = default;

response_parser::progress response_parser::put(std::span<const std::byte> input, std::span<std::byte> room) {
    return impl_->put_all(input, room);
}
void response_parser::end() { impl_->end_all(); }
bool response_parser::has_head() const noexcept { return impl_->is_header_done(); }
bool response_parser::done() const noexcept { return impl_->is_done(); }
bool response_parser::keeps_alive() const noexcept { return impl_->keep_alive(); }
response_head& response_parser::head() noexcept { return impl_->head; }

}  // namespace copse::io::http::detail
