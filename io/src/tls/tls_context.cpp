// Building contexts: options in, an SSL_CTX out, and every default that is about safety.
#include <copse/io/tls_context.hpp>

#include <openssl/rand.h>

#include <stdexcept>
#include <string>
#include <utility>

#include "context_state.hpp"
#include "engine.hpp"
#include "named_time.hpp"
#include "openssl_error.hpp"
#include "pem.hpp"

namespace copse::io {

namespace {

using detail::fail_openssl;
using detail::tls_context_state;

constexpr int number_of(tls_version v) noexcept { return v == tls_version::v1_2 ? TLS1_2_VERSION : TLS1_3_VERSION; }

/// Of TLS 1.2: forward secrecy and AEAD, nothing else. All of 1.3 are like that.
constexpr const char* ciphers_of_1_2 = "ECDHE+AESGCM:ECDHE+CHACHA20";
constexpr int security_level = 2;
constexpr std::size_t longest_protocol = 255;

constexpr std::uint64_t always = SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION | SSL_OP_CIPHER_SERVER_PREFERENCE |
                                 SSL_OP_PRIORITIZE_CHACHA | SSL_OP_NO_SSLv3;
// Memory for records is given back between them: most connections are silent most of the time.
constexpr long modes = SSL_MODE_RELEASE_BUFFERS | SSL_MODE_AUTO_RETRY;

void set_versions(tls_context_state& s, tls_version least, tls_version most) {
    if (least > most) throw std::invalid_argument("tls_context: min_version is above max_version");
    s.min_version = number_of(least);
    s.max_version = number_of(most);
    if (SSL_CTX_set_min_proto_version(s.ssl.get(), s.min_version) != 1 ||
        SSL_CTX_set_max_proto_version(s.ssl.get(), s.max_version) != 1)
        fail_openssl("tls_context: the versions");
}

std::vector<unsigned char> wire_form(const std::vector<std::string>& protocols) {
    std::vector<unsigned char> wire;
    for (const std::string& p : protocols) {
        if (p.empty() || p.size() > longest_protocol)
            throw std::invalid_argument("tls_context: an ALPN protocol has 1 to 255 bytes, not " +
                                        std::to_string(p.size()));
        wire.push_back(static_cast<unsigned char>(p.size()));
        wire.insert(wire.end(), p.begin(), p.end());
    }
    return wire;
}

std::shared_ptr<tls_context_state> make_state(const SSL_METHOD* method) {
    auto s = std::make_shared<tls_context_state>();
    s->ssl.reset(SSL_CTX_new(method));
    if (s->ssl == nullptr) fail_openssl("tls_context");
    SSL_CTX* ctx = s->ssl.get();
    SSL_CTX_set_options(ctx, always);
    SSL_CTX_set_mode(ctx, modes);
    if (SSL_CTX_get_security_level(ctx) < security_level) SSL_CTX_set_security_level(ctx, security_level);
    if (SSL_CTX_set_cipher_list(ctx, ciphers_of_1_2) != 1) fail_openssl("tls_context: the ciphers");
    return s;
}

void keep_sessions(tls_context_state& s, std::size_t most) {
    s.sessions = std::make_unique<detail::session_store>(most);
    SSL_CTX_set_session_cache_mode(s.ssl.get(), SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
    SSL_CTX_sess_set_new_cb(s.ssl.get(), detail::tls_engine::keep_session);
}

int mode_of(client_certificates clients) noexcept {
    switch (clients) {
    case client_certificates::ignored: return SSL_VERIFY_NONE;
    case client_certificates::optional: return SSL_VERIFY_PEER;
    case client_certificates::required: return SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT;
    }
    return SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT;
}

/// Tickets alone, no cache here: nothing grows with the number of clients.
void set_resumption(tls_context_state& s, const tls_server_options& with) {
    SSL_CTX* ctx = s.ssl.get();
    SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
    s.realm.resize(SSL_MAX_SID_CTX_LENGTH);
    if (RAND_bytes(s.realm.data(), static_cast<int>(s.realm.size())) != 1) fail_openssl("tls_context: randomness");
    SSL_CTX_set_session_id_context(ctx, s.realm.data(), static_cast<unsigned>(s.realm.size()));
    if (!with.session_tickets) {
        SSL_CTX_set_options(ctx, SSL_OP_NO_TICKET);
        SSL_CTX_set_num_tickets(ctx, 0);
        return;
    }
    s.tickets = std::make_unique<detail::ticket_keys>(with.ticket_lifetime);
    SSL_CTX_set_timeout(ctx, static_cast<long>(with.ticket_lifetime.count()));
    SSL_CTX_set_tlsext_ticket_key_evp_cb(ctx, detail::tls_engine::use_ticket_key);
}

/// Of an option; a length of 0 is none.
std::chrono::nanoseconds limit_of(std::chrono::nanoseconds length) {
    return length.count() == 0 ? std::chrono::nanoseconds::max() : length;
}

void check(const tls_server_options& with) {
    detail::check_times("tls_context", {{"handshake_timeout", with.handshake_timeout}});
    if (with.identity.empty()) throw std::invalid_argument("tls_context: a server needs a certificate");
    if (with.clients != client_certificates::ignored && with.client_trust.empty())
        throw std::invalid_argument("tls_context: client_trust must say whose clients are believed");
    if (with.clients == client_certificates::ignored && !with.client_trust.empty())
        throw std::invalid_argument("tls_context: client_trust is given, but `clients` says that they are ignored");
    if (with.session_tickets && with.ticket_lifetime <= std::chrono::seconds(0))
        throw std::invalid_argument("tls_context: ticket_lifetime must be positive");
}

}  // namespace

tls_context tls_context::client(const tls_client_options& with) {
    detail::check_times("tls_context", {{"handshake_timeout", with.handshake_timeout}});
    auto s = make_state(TLS_client_method());
    s->handshake_timeout = limit_of(with.handshake_timeout);
    s->check_host = !with.dangerously_accept_any_host && !with.dangerously_accept_any_certificate;
    s->verify_mode = with.dangerously_accept_any_certificate ? SSL_VERIFY_NONE : SSL_VERIFY_PEER;
    s->alpn = wire_form(with.alpn);
    set_versions(*s, with.min_version, with.max_version);
    detail::load_identity(s->ssl.get(), with.identity);
    detail::load_trust(s->ssl.get(), with.trust);
    keep_sessions(*s, with.kept_sessions);
    return tls_context(std::move(s));
}

tls_context tls_context::server(const tls_server_options& with) {
    check(with);
    auto s = make_state(TLS_server_method());
    s->is_server = true;
    s->handshake_timeout = limit_of(with.handshake_timeout);
    s->verify_mode = mode_of(with.clients);
    s->alpn = wire_form(with.alpn);
    s->choose = with.choose;
    set_versions(*s, with.min_version, with.max_version);
    detail::load_identity(s->ssl.get(), with.identity);
    if (with.clients != client_certificates::ignored) detail::load_trust(s->ssl.get(), with.client_trust);
    set_resumption(*s, with);
    SSL_CTX_set_client_hello_cb(s->ssl.get(), detail::tls_engine::meet_client, nullptr);
    if (!s->alpn.empty()) SSL_CTX_set_alpn_select_cb(s->ssl.get(), detail::tls_engine::select_protocol, s.get());
    return tls_context(std::move(s));
}

bool tls_context::is_server() const noexcept { return state_->is_server; }

std::chrono::nanoseconds tls_context::handshake_timeout() const noexcept { return state_->handshake_timeout; }

}  // namespace copse::io
