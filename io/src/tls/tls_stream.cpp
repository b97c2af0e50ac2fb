#include <copse/io/tls_stream.hpp>

#include <cerrno>
#include <exception>
#include <memory>
#include <stdexcept>

#include "connection.hpp"
#include "context_state.hpp"
#include "failure.hpp"
#include "tls_stream_access.hpp"

namespace copse::io {

namespace {

using detail::tls_connection;

/// `below` is closed whatever goes wrong, even if it only refers to a stream.
template <class... Host>
std::shared_ptr<tls_connection> connection_over(any_stream& below, const tls_context& with, const Host&... host) {
    constexpr bool as_server = sizeof...(Host) == 0;
    try {
        if (with.is_server() != as_server)
            throw std::invalid_argument(as_server ? "tls_stream::server: the context is a client's"
                                                  : "tls_stream::client: the context is a server's");
        auto made = std::make_shared<tls_connection>(detail::tls_context_access::state(with),
                                                     detail::host_name::parse(host)...);
        made->take_over(std::move(below));
        return made;
    } catch (...) {
        below.close();
        throw;
    }
}

}  // namespace

tls_stream tls_stream::client_by(any_stream below, const tls_context& with, std::string_view host,
                                 detail::limit within) {
    auto made = connection_over(below, with, host);
    made->shake_hands(within);
    return tls_stream(std::move(made));
}

tls_stream tls_stream::server_by(any_stream below, const tls_context& with, detail::limit within) {
    auto made = connection_over(below, with);
    made->shake_hands(within);
    return tls_stream(std::move(made));
}

tls_stream detail::tls_stream_access::server(any_stream below, const tls_context& with, bool& choice_failed) {
    auto made = connection_over(below, with);
    try {
        made->shake_hands(tls_stream::handshake_limit(with));
    } catch (...) {
        choice_failed = made->choice_failed();
        throw;
    }
    return tls_stream(std::move(made));
}

tls_stream::~tls_stream() {
    if (connection_ == nullptr) return;
    if (std::uncaught_exceptions() > 0) {
        connection_->cut();
    } else {
        connection_->close();
    }
}

bool tls_stream::is_open() const noexcept { return connection_ != nullptr && connection_->is_open(); }

std::shared_ptr<tls_connection> tls_stream::use(const char* operation) const {
    if (!is_open()) detail::fail(EBADF, std::string(operation) + " on a closed tls_stream");
    connection_->check_thread();
    return connection_;
}

std::size_t tls_stream::recv_by(std::span<std::byte> into, detail::limit within) {
    return use("recv")->recv(into, within);
}

std::size_t tls_stream::recv_exactly_by(std::span<std::byte> into, detail::limit within) {
    return use("recv_exactly")->recv_exactly(into, within);
}

pooled_buffer tls_stream::recv_pooled_by(detail::limit within) { return use("recv_pooled")->recv_pooled(within); }

void tls_stream::send_all_by(std::span<const const_buffer> pieces, detail::limit within) {
    use("send_all")->send_all(pieces, within);
}

void tls_stream::shutdown_by(shut how, detail::limit within) {
    if (how != shut::write) throw std::invalid_argument("tls_stream::shutdown ends the sending half only");
    use("shutdown")->end_sending(within);
}

void tls_stream::close() noexcept {
    if (const auto kept = connection_) kept->close();
}

void tls_stream::dangerously_accept_truncation() { use("dangerously_accept_truncation")->accept_truncation(); }

std::optional<tls_certificate> tls_stream::peer_certificate() const {
    return use("peer_certificate")->engine().peer_certificate();
}

std::string tls_stream::alpn_protocol() const { return use("alpn_protocol")->engine().alpn_protocol(); }

tls_version tls_stream::version() const { return use("version")->engine().version(); }

std::string tls_stream::cipher() const { return use("cipher")->engine().cipher(); }

bool tls_stream::session_reused() const { return use("session_reused")->engine().session_reused(); }

std::string tls_stream::server_name() const { return use("server_name")->engine().server_name(); }

}  // namespace copse::io
