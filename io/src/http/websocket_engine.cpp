#include "http/websocket_engine.hpp"

#include <sys/random.h>

#include <boost/asio/buffer.hpp>
#include <boost/asio/error.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/beast/core/error.hpp>
#include <boost/beast/http/empty_body.hpp>
#include <boost/beast/http/message.hpp>
#include <boost/beast/websocket/error.hpp>
#include <boost/beast/websocket/rfc6455.hpp>
#include <boost/beast/websocket/stream.hpp>

#include <algorithm>
#include <array>
#include <cstring>
#include <system_error>
#include <utility>

#include "http/characters.hpp"

namespace copse::io::http::detail {

namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace ws = boost::beast::websocket;
using boost_code = boost::system::error_code;

std::string_view view(beast::string_view text) noexcept { return {text.data(), text.size()}; }
beast::string_view view_of(std::string_view text) noexcept { return {text.data(), text.size()}; }

/// Beast's stream has a timer, unused here, and that wants a context. It is never run; its three descriptors stay open.
asio::io_context& idle_context() {
    static auto& the_one = *new asio::io_context(1);
    return the_one;
}

/// The "next layer" of Beast's stream.
class memory_layer {
public:
    using executor_type = asio::io_context::executor_type;

    explicit memory_layer(websocket_wire& from) noexcept : wire_(from) {}

    executor_type get_executor() const noexcept { return idle_context().get_executor(); }

    template <class Buffers>
    std::size_t read_some(const Buffers& into, boost_code& e) {
        e = {};
        const auto last = asio::buffer_sequence_end(into);
        for (auto it = asio::buffer_sequence_begin(into); it != last; ++it) {
            const asio::mutable_buffer piece(*it);
            if (piece.size() == 0) continue;
            const std::size_t n = wire_.read(std::span(static_cast<std::byte*>(piece.data()), piece.size()));
            if (n == 0) e = asio::error::eof;
            return n;
        }
        return 0;
    }
    template <class Buffers>
    std::size_t read_some(const Buffers& into) {
        boost_code e;
        const std::size_t n = read_some(into, e);
        if (e) throw boost::system::system_error(e);
        return n;
    }

    template <class Buffers>
    std::size_t write_some(const Buffers& from, boost_code& e) {
        e = {};
        return write_some(from);
    }
    template <class Buffers>
    std::size_t write_some(const Buffers& from) {
        std::size_t all = 0;
        const auto last = asio::buffer_sequence_end(from);
        for (auto it = asio::buffer_sequence_begin(from); it != last; ++it) {
            const asio::const_buffer piece(*it);
            if (!mute) outbox.append(static_cast<const char*>(piece.data()), piece.size());
            all += piece.size();
        }
        return all;
    }

    std::string outbox;
    bool mute = false;  // goodbye has been said: pongs and the like are dropped

    // Found by Beast. Whoever owns the connection ends it.
    friend void teardown(beast::role_type /*role*/, memory_layer& /*layer*/, boost_code& e) { e = {}; }

private:
    websocket_wire& wire_;
};

static_assert(beast::is_sync_stream<memory_layer>::value);

errc meaning_of(const boost_code& e) {
    if (e == ws::error::message_too_big || e == ws::error::buffer_overflow) return errc::body_too_large;
    if (e == ws::error::bad_frame_payload) return errc::bad_payload;
    if (e == asio::error::eof) return errc::message_incomplete;
    if (e == ws::condition::protocol_violation) return errc::bad_frame;
    return errc::bad_payload;  // of the decompressor
}

std::uint16_t close_code_for(errc e) noexcept {
    return e == errc::body_too_large ? 1009 : e == errc::bad_payload ? 1007 : 1002;
}

/// Words of a list, such as the subprotocols that are offered.
template <class F>
void for_each_word(std::string_view list, F f) {
    while (!list.empty()) {
        const auto comma = std::min(list.find(','), list.size());
        const std::string_view word = trimmed(list.substr(0, comma));
        if (!word.empty()) f(word);
        list.remove_prefix(std::min(comma + 1, list.size()));
    }
}

std::string joined(const std::vector<std::string>& words) {
    std::string all;
    for (const std::string& word : words) (all += all.empty() ? "" : ", ") += word;
    return all;
}

/// Beast of Boost 1.74 keeps an answer that it does not like to itself.
std::string told_by(const ws::response_type& refusal) {
    if (refusal.result_int() == 0) return "the answer was not 101";
    return "the answer was " + std::to_string(refusal.result_int()) + " " + std::string(view(refusal.reason()));
}

}  // namespace

struct websocket_engine::impl {
    explicit impl(websocket_wire& from) : stream(from) {}

    /// Each stream of Beast's has a timer, which is never set here; the first of a process opens Asio's descriptors.
    static std::unique_ptr<impl> made(websocket_wire& from) {
        try {
            return std::make_unique<impl>(from);
        } catch (const boost::system::system_error& e) {
            throw std::system_error(e.code(), "websocket");
        }
    }

    ws::stream<memory_layer, true> stream;
};

websocket_engine::websocket_engine(websocket_wire& from, const websocket_options& with)
    : impl_(impl::made(from)),
      wants_compression_(with.compression),
      protocols_(with.subprotocols),
      extra_(with.headers) {
    auto& s = impl_->stream;
    ws::permessage_deflate deflate;
    deflate.server_enable = deflate.client_enable = wants_compression_;
    s.set_option(deflate);
    s.auto_fragment(false);
    s.read_message_max(with.max_message);
    s.control_callback([this](ws::frame_type kind, beast::string_view /*payload*/) {
        // Beast takes codes over 4999 for good, and would repeat them.
        if (kind == ws::frame_type::close && impl_->stream.reason().code > 4999) say_goodbye(1002, {});
    });
}

websocket_engine::~websocket_engine() = default;

std::string& websocket_engine::outbox() noexcept { return impl_->stream.next_layer().outbox; }

void websocket_engine::ask(const std::string& host, const std::string& target) {
    client_ = true;
    auto& s = impl_->stream;
    s.set_option(ws::stream_base::decorator([this](ws::request_type& r) {
        for (const field f : extra_) r.insert(view_of(f.name), view_of(f.value));
        if (!protocols_.empty()) r.set(beast::http::field::sec_websocket_protocol, joined(protocols_));
    }));
    ws::response_type answered;
    answered.result(0U);
    boost_code e;
    s.handshake(answered, host, target, e);
    if (e == ws::error::upgrade_declined) throw error(errc::upgrade_refused, told_by(answered));
    if (e == asio::error::eof || e == beast::http::error::end_of_stream || e == beast::http::error::partial_message) {
        throw error(errc::upgrade_refused, "the connection ended without an answer");
    }
    if (e) throw error(errc::upgrade_refused, e.message());
    agreed_on(view(answered[beast::http::field::sec_websocket_protocol]),
              view(answered[beast::http::field::sec_websocket_extensions]));
}

/// What the server has chosen must be what it was offered (RFC 6455, 4.1).
void websocket_engine::agreed_on(std::string_view protocol, std::string_view extensions) {
    if (!protocol.empty() && std::find(protocols_.begin(), protocols_.end(), protocol) == protocols_.end()) {
        throw error(errc::upgrade_refused, "the server has chosen a subprotocol that was not offered");
    }
    if (!extensions.empty() && !wants_compression_) {
        throw error(errc::upgrade_refused, "the server has chosen an extension that was not offered");
    }
    subprotocol_ = std::string(protocol);
    compressed_ = !extensions.empty();
}

bool websocket_engine::answer(const request& asked) {
    beast::http::request<beast::http::empty_body> r;
    r.method_string(view_of(asked.method.text()));
    r.target(view_of(asked.target));
    r.version(asked.version == version::http_1_1 ? 11 : 10);
    for (const field f : asked.headers) r.insert(view_of(f.name), view_of(f.value));
    for (const std::string_view offer : asked.headers.all("Sec-WebSocket-Protocol")) {
        for_each_word(offer, [this](std::string_view word) {
            const bool ours = std::find(protocols_.begin(), protocols_.end(), word) != protocols_.end();
            if (subprotocol_.empty() && ours) subprotocol_ = std::string(word);
        });
    }
    auto& s = impl_->stream;
    s.set_option(ws::stream_base::decorator([this](ws::response_type& answering) {
        if (answering.result() == beast::http::status::switching_protocols) {
            for (const field f : extra_) answering.insert(view_of(f.name), view_of(f.value));
            if (!subprotocol_.empty()) answering.set(beast::http::field::sec_websocket_protocol, subprotocol_);
        }
        compressed_ = !answering[beast::http::field::sec_websocket_extensions].empty();
    }));
    boost_code e;
    s.accept(r, e);
    return !e;
}

websocket_engine::step websocket_engine::read_some(std::span<std::byte> into) {
    step made;
    boost_code e;
    made.bytes = impl_->stream.read_some(asio::mutable_buffer(into.data(), into.size()), e);
    if (e == ws::error::closed && impl_->stream.reason().code > 4999) {
        made.failure = errc::bad_frame;
        made.why = "a close code that there is not";
    } else if (e == ws::error::closed) {
        const ws::close_reason& r = impl_->stream.reason();
        made.closed = true;
        close_code_ = r.code == ws::close_code::none ? std::uint16_t{1005} : r.code;
        close_reason_.assign(r.reason.data(), r.reason.size());
    } else if (e) {
        made.failure = meaning_of(e);
        made.why = e == asio::error::eof ? "the peer left without a close frame" : e.message();
        // Of some failures Beast tells the peer nothing.
        if (outbox().empty() && e != asio::error::eof) say_goodbye(close_code_for(*made.failure), {});
    }
    return made;
}

bool websocket_engine::is_within_message() const noexcept { return !impl_->stream.is_message_done(); }
bool websocket_engine::is_text() const noexcept { return impl_->stream.got_text(); }

void websocket_engine::write(std::string_view data, bool as_text) {
    auto& s = impl_->stream;
    s.text(as_text);
    boost_code e;
    s.write(asio::const_buffer(data.data(), data.size()), e);
    if (e) throw std::system_error(std::make_error_code(std::errc::broken_pipe), "websocket");
}

void websocket_engine::ping(std::string_view payload) {
    boost_code e;
    impl_->stream.ping(ws::ping_data(view_of(payload)), e);
    if (e) throw std::system_error(std::make_error_code(std::errc::broken_pipe), "websocket");
}

void websocket_engine::say_goodbye(std::uint16_t code, std::string_view reason) {
    memory_layer& layer = impl_->stream.next_layer();
    if (std::exchange(layer.mute, true)) return;
    std::string payload{static_cast<char>(code >> 8), static_cast<char>(code & 0xff)};
    payload += reason;
    layer.outbox += '\x88';
    layer.outbox += static_cast<char>(payload.size() | (client_ ? 0x80U : 0U));
    if (client_) {
        std::array<char, 4> mask{};
        if (getrandom(mask.data(), mask.size(), 0) != static_cast<ssize_t>(mask.size())) mask.fill('\x5a');
        layer.outbox.append(mask.data(), mask.size());
        for (std::size_t i = 0; i < payload.size(); ++i) payload[i] = static_cast<char>(payload[i] ^ mask[i % 4]);
    }
    layer.outbox += payload;
}

}  // namespace copse::io::http::detail
