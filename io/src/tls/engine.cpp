#include "engine.hpp"

#include <openssl/err.h>
#include <openssl/x509_vfy.h>
#include <openssl/x509v3.h>

#include <algorithm>
#include <cstring>
#include <new>
#include <utility>

#include <copse/io/tls_error.hpp>

#include "certificate.hpp"
#include "context_state.hpp"
#include "openssl_error.hpp"

namespace copse::io::detail {

namespace {

// As much as a few records at a time for who receives fast, little for who is silent.
constexpr std::size_t least_capacity = 2 * 1024;
constexpr std::size_t most_capacity = 32 * 1024;

// A record adds at most so much (RFC 8446, 5.2), and holds at most 16 KiB.
constexpr std::size_t record_overhead = 256;
constexpr std::size_t record_size = 16 * 1024;

// In a row without data. Servers send two tickets or four; who goes on for long keeps us busy for nothing.
constexpr unsigned most_control_messages = 32;

/// SSL_set_tlsext_host_name without the casts of that macro.
long ask_for(SSL* ssl, const std::string& name) {
    return SSL_ctrl(ssl, SSL_CTRL_SET_TLSEXT_HOSTNAME, TLSEXT_NAMETYPE_host_name, const_cast<char*>(name.c_str()));
}

}  // namespace

/// The BIO that OpenSSL reads and writes: the engine's two buffers.
struct tls_engine::channel {
    static int read(BIO* bio, char* into, int size) {
        BIO_clear_retry_flags(bio);
        tls_engine& e = *static_cast<tls_engine*>(BIO_get_data(bio));
        const std::size_t n = std::min(static_cast<std::size_t>(std::max(size, 0)), e.end_ - e.begin_);
        if (n == 0) {
            BIO_set_retry_read(bio);
            return -1;
        }
        std::memcpy(into, e.incoming_.get() + e.begin_, n);
        e.begin_ += n;
        return static_cast<int>(n);
    }

    static int write(BIO* bio, const char* from, int size) {
        BIO_clear_retry_flags(bio);
        tls_engine& e = *static_cast<tls_engine*>(BIO_get_data(bio));
        const auto bytes = std::as_bytes(std::span(from, static_cast<std::size_t>(std::max(size, 0))));
        try {
            e.outgoing_.insert(e.outgoing_.end(), bytes.begin(), bytes.end());
        } catch (const std::exception&) {
            e.has_no_memory_ = true;
            return -1;
        }
        return size;
    }

    static long control(BIO*, int command, long, void*) { return command == BIO_CTRL_FLUSH ? 1 : 0; }

    static const BIO_METHOD* method() {
        static const BIO_METHOD* const the_one = make_method();
        return the_one;
    }

    static const BIO_METHOD* make_method() {
        BIO_METHOD* m = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "copse");
        if (m == nullptr) throw std::bad_alloc();
        BIO_meth_set_read(m, read);
        BIO_meth_set_write(m, write);
        BIO_meth_set_ctrl(m, control);
        return m;
    }
};

tls_engine::tls_engine(context with, host_name host) : with_(std::move(with)), host_(std::move(host)) {
    set_up();
    expect(host_);
    SSL_set_connect_state(ssl_.get());
    if (const session_ptr session = with_->sessions->take(host_.text)) SSL_set_session(ssl_.get(), session.get());
    ERR_clear_error();
}

tls_engine::tls_engine(context with) : with_(std::move(with)) {
    set_up();
    SSL_set_accept_state(ssl_.get());
    ERR_clear_error();
}

tls_engine::~tls_engine() {
    ssl_.reset();
    ERR_clear_error();
}

void tls_engine::set_up() {
    ERR_clear_error();
    ssl_.reset(SSL_new(with_->ssl.get()));
    BIO* bio = ssl_ == nullptr ? nullptr : BIO_new(channel::method());
    if (bio == nullptr) fail_openssl("tls_stream");
    BIO_set_data(bio, this);
    BIO_set_init(bio, 1);
    SSL_set_bio(ssl_.get(), bio, bio);
    SSL_set_app_data(ssl_.get(), this);
    SSL_set_verify(ssl_.get(), with_->verify_mode, judge);
    SSL_set_msg_callback(ssl_.get(), count_message);
}

/// A certificate without alternative names is nobody's, whatever its subject says; "*" stands for a whole label.
void tls_engine::expect(const host_name& host) {
    SSL* ssl = ssl_.get();
    bool fine = host.is_address || ask_for(ssl, host.text) == 1;
    if (with_->check_host) {
        X509_VERIFY_PARAM* terms = SSL_get0_param(ssl);
        X509_VERIFY_PARAM_set_hostflags(terms,
                                        X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS | X509_CHECK_FLAG_NEVER_CHECK_SUBJECT);
        fine = fine && (host.is_address ? X509_VERIFY_PARAM_set1_ip_asc(terms, host.text.c_str())
                                        : X509_VERIFY_PARAM_set1_host(terms, host.text.c_str(), host.text.size())) == 1;
    }
    if (!with_->alpn.empty())  // 0 is its success
        fine = fine && SSL_set_alpn_protos(ssl, with_->alpn.data(), static_cast<unsigned>(with_->alpn.size())) == 0;
    if (!fine) fail_openssl(about("tls_stream", host.text));
}

tls_engine::outcome tls_engine::shake_hands() {
    if (has_failed()) return outcome::failed;
    ERR_clear_error();
    const outcome o = outcome_of(SSL_do_handshake(ssl_.get()), "tls handshake");
    if (o == outcome::done) established();
    return o;
}

void tls_engine::established() {
    is_established_ = true;
    control_messages_ = 0;
    // Of TLS 1.2 a session may be used again and again, and is told of only when it is new.
    if (!with_->is_server && session_reused() && version() == tls_version::v1_2)
        with_->sessions->put(host_.text, session_ptr(SSL_get1_session(ssl_.get())));
    ERR_clear_error();
}

/// What SSL_read would find out too, at the price of going through all of its layers: most reads begin so.
bool tls_engine::has_nothing() const noexcept {
    return begin_ == end_ && SSL_has_pending(ssl_.get()) == 0 &&
           (SSL_get_shutdown(ssl_.get()) & SSL_RECEIVED_SHUTDOWN) == 0;
}

tls_engine::outcome tls_engine::read(std::span<std::byte> into, std::size_t& got) {
    if (has_failed()) return outcome::failed;
    if (has_nothing()) return outcome::wants_bytes;
    ERR_clear_error();
    const int result = SSL_read_ex(ssl_.get(), into.data(), into.size(), &got);
    const outcome o = outcome_of(result, "tls recv");
    if (o == outcome::done) control_messages_ = 0;
    if (o == outcome::wants_bytes && control_messages_ > most_control_messages) {
        fail(std::make_exception_ptr(
            tls_error(make_error_code(tls_errc::too_many_control_messages), about("tls recv", host_.text))));
        return outcome::failed;
    }
    return o;
}

tls_engine::outcome tls_engine::write(std::span<const std::byte> bytes) {
    if (has_failed()) return outcome::failed;
    ERR_clear_error();
    outgoing_.reserve(outgoing_.size() + bytes.size() + (bytes.size() / record_size + 1) * record_overhead);
    std::size_t taken = 0;
    return outcome_of(SSL_write_ex(ssl_.get(), bytes.data(), bytes.size(), &taken), "tls send");
}

tls_engine::outcome tls_engine::end_sending() {
    if (has_failed()) return outcome::failed;
    ERR_clear_error();
    const int result = SSL_shutdown(ssl_.get());  // 0: said, and the peer has not answered, for which nobody waits here
    return result >= 0 ? outcome::done : outcome_of(result, "tls shutdown");
}

tls_engine::outcome tls_engine::outcome_of(int result, const char* what) {
    if (result > 0) return outcome::done;
    switch (SSL_get_error(ssl_.get(), result)) {
    case SSL_ERROR_WANT_READ: return outcome::wants_bytes;
    case SSL_ERROR_WANT_CLIENT_HELLO_CB: return outcome::wants_choice;
    case SSL_ERROR_ZERO_RETURN: return outcome::ended;
    default: break;
    }
    if (has_no_memory_) {
        fail(std::make_exception_ptr(std::bad_alloc()));
    } else if (!is_established_) {
        fail(handshake_error());
    } else {
        fail(std::make_exception_ptr(tls_error(take_openssl_error(), about(what, host_.text))));
    }
    ERR_clear_error();
    return outcome::failed;
}

namespace {

/// What a peer has sent, fit for a log.
std::string printable(std::string text) {
    for (char& c : text)
        if (c < ' ' || c > '~') c = '?';
    return text;
}

}  // namespace

std::exception_ptr tls_engine::handshake_error() const {
    std::string text = about("tls handshake", host_.text);
    const long verified = SSL_get_verify_result(ssl_.get());
    if (verified != X509_V_OK && ERR_GET_REASON(ERR_peek_last_error()) == SSL_R_CERTIFICATE_VERIFY_FAILED)
        return std::make_exception_ptr(
            tls_error(std::error_code(static_cast<int>(verified), certificate_category()), text + doubt_));
    if (with_->is_server && chosen_for_ && chosen_ == nullptr)
        return std::make_exception_ptr(
            tls_error(make_error_code(tls_errc::unknown_server_name), text + ": \"" + printable(server_name_) + '"'));
    // Of a record's head: the peer has sent something that is none.
    if (ERR_GET_REASON(ERR_peek_last_error()) == SSL_R_WRONG_VERSION_NUMBER) text += ", who seems not to speak TLS";
    return std::make_exception_ptr(tls_error(take_openssl_error(), text));
}

void tls_engine::choose(context chosen) noexcept {
    chosen_ = std::move(chosen);
    chosen_for_ = true;
}

const std::function<std::optional<tls_context>(std::string_view)>& tls_engine::chooser() const noexcept {
    return with_->choose;
}

std::span<std::byte> tls_engine::room() {
    // Whoever asks was told wants_bytes: everything was taken.
    if (incoming_ == nullptr || (end_ == capacity_ && capacity_ < most_capacity)) {
        const std::size_t more = capacity_ == 0 ? least_capacity : 2 * capacity_;
        incoming_.reset(new std::byte[more]);
        capacity_ = more;
    }
    begin_ = end_ = 0;
    return {incoming_.get(), capacity_};
}

void tls_engine::filled(std::size_t n) noexcept { end_ = n; }

// ---- what OpenSSL calls

tls_engine& tls_engine::of(const SSL* ssl) noexcept { return *static_cast<tls_engine*>(SSL_get_app_data(ssl)); }

int tls_engine::keep_session(SSL* ssl, SSL_SESSION* session) {
    tls_engine& e = of(ssl);
    e.with_->sessions->put(e.host_.text, session_ptr(session));
    return 1;  // it is ours
}

int tls_engine::use_ticket_key(SSL* ssl, unsigned char* name, unsigned char* iv, EVP_CIPHER_CTX* cipher,
                               EVP_MAC_CTX* mac, int sealing) {
    ticket_keys& keys = *of(ssl).with_->tickets;
    if (sealing != 0) return keys.seal(name, iv, cipher, mac);
    const int known = keys.open(name, iv, cipher, mac);
    // A client of TLS 1.3 uses each once: it always needs another.
    return known == 1 && SSL_version(ssl) == TLS1_3_VERSION ? 2 : known;
}

int tls_engine::judge(int fine, X509_STORE_CTX* chain) {
    if (fine == 1) return 1;
    const int ssl_index = SSL_get_ex_data_X509_STORE_CTX_idx();
    tls_engine& e = of(static_cast<const SSL*>(X509_STORE_CTX_get_ex_data(chain, ssl_index)));
    if ((e.chosen_ ? e.chosen_ : e.with_)->verify_mode != SSL_VERIFY_NONE) e.note_doubt(chain);
    return fine;
}

void tls_engine::note_doubt(X509_STORE_CTX* chain) {
    try {
        doubt_ = " (certificate " + std::to_string(X509_STORE_CTX_get_error_depth(chain)) + " of its chain";
        if (const X509* bad = X509_STORE_CTX_get_current_cert(chain)) doubt_ += ", " + subject_of(bad);
        doubt_ += ')';
    } catch (const std::exception&) {
        doubt_.clear();
    }
}

// Renegotiation is off, but who asks for it is answered each time, as are key updates.
void tls_engine::count_message(int sent, int /*version*/, int type, const void* /*bytes*/, std::size_t /*size*/,
                               SSL* ssl, void*) {
    if (sent != 0 || (type != SSL3_RT_HANDSHAKE && type != SSL3_RT_ALERT)) return;
    ++of(ssl).control_messages_;
}

/// The name of RFC 6066, 3: a list with one entry, of type 0.
static std::string_view name_in(const unsigned char* list, std::size_t size) noexcept {
    constexpr std::size_t before_name = 5;
    if (size <= before_name || list[2] != TLSEXT_NAMETYPE_host_name) return {};
    const std::size_t length = static_cast<std::size_t>(list[3]) << 8 | list[4];
    if (length != size - before_name) return {};
    return {reinterpret_cast<const char*>(list) + before_name, length};
}

// Here and not where OpenSSL announces the name: it looks at tickets before, and would take one that another name's server
// gave (CVE-2025-23419).
int tls_engine::meet_client(SSL* ssl, int* alert, void*) {
    tls_engine& e = of(ssl);
    if (!std::exchange(e.met_, true)) {
        const unsigned char* list = nullptr;
        std::size_t size = 0;
        try {
            if (SSL_client_hello_get0_ext(ssl, TLSEXT_TYPE_server_name, &list, &size) == 1)
                e.server_name_ = name_in(list, size);
        } catch (const std::exception&) {
            e.has_no_memory_ = true;
            return SSL_CLIENT_HELLO_ERROR;
        }
        if (e.with_->choose) return SSL_CLIENT_HELLO_RETRY;
    }
    if (!e.with_->choose || e.apply_choice()) return SSL_CLIENT_HELLO_SUCCESS;
    *alert = SSL_AD_UNRECOGNIZED_NAME;
    return SSL_CLIENT_HELLO_ERROR;
}

bool tls_engine::apply_choice() noexcept {
    if (chosen_ == nullptr) return false;
    SSL* ssl = ssl_.get();
    const tls_context_state& c = *chosen_;
    SSL_set_verify(ssl, c.verify_mode, judge);  // what follows of itself is certificate, trust and ALPN
    return SSL_set_SSL_CTX(ssl, c.ssl.get()) != nullptr && SSL_set_min_proto_version(ssl, c.min_version) == 1 &&
           SSL_set_max_proto_version(ssl, c.max_version) == 1 &&
           SSL_set_session_id_context(ssl, c.realm.data(), static_cast<unsigned>(c.realm.size())) == 1;
}

int tls_engine::select_protocol(SSL*, const unsigned char** out, unsigned char* out_size, const unsigned char* offered,
                                unsigned offered_size, void* context_state) {
    const auto& ours = static_cast<const tls_context_state*>(context_state)->alpn;
    unsigned char* selected = nullptr;
    const int result = SSL_select_next_proto(&selected, out_size, ours.data(), static_cast<unsigned>(ours.size()),
                                             offered, offered_size);
    *out = selected;
    return result == OPENSSL_NPN_NEGOTIATED ? SSL_TLSEXT_ERR_OK : SSL_TLSEXT_ERR_ALERT_FATAL;
}

// ---- what was agreed on

std::optional<tls_certificate> tls_engine::peer_certificate() const {
    const X509* shown = SSL_get0_peer_certificate(ssl_.get());
    if (shown == nullptr) return std::nullopt;
    tls_certificate read = read_certificate(shown);
    ERR_clear_error();
    return read;
}

std::string tls_engine::alpn_protocol() const {
    const unsigned char* text = nullptr;
    unsigned size = 0;
    SSL_get0_alpn_selected(ssl_.get(), &text, &size);
    return {reinterpret_cast<const char*>(text), size};
}

tls_version tls_engine::version() const noexcept {
    return SSL_version(ssl_.get()) == TLS1_2_VERSION ? tls_version::v1_2 : tls_version::v1_3;
}

std::string tls_engine::cipher() const {
    const char* name = SSL_get_cipher_name(ssl_.get());
    return name == nullptr ? "" : name;
}

bool tls_engine::session_reused() const noexcept { return SSL_session_reused(ssl_.get()) == 1; }

}  // namespace copse::io::detail
