// One end of TLS between two buffers: what came from the peer goes in, what is for the peer comes out. It knows no stream and
// never parks, so that a call into OpenSSL is over before any other fiber runs.
//
// Invariants:
//   - OpenSSL's error queue is empty when a member returns.
//   - After a failure OpenSSL is not asked again: failure() says why, for ever.
//   - OpenSSL reads only what `filled` told of, and what it writes is always taken: it waits for nothing but the peer's bytes.
#pragma once

#include <openssl/ssl.h>

#include <cstddef>
#include <cstdint>
#include <exception>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <copse/io/tls_certificate.hpp>
#include <copse/io/tls_context.hpp>

#include "host_name.hpp"
#include "openssl_handles.hpp"

namespace copse::io::detail {

class tls_engine {
public:
    using context = std::shared_ptr<const tls_context_state>;

    /// Of a client; of a server.
    tls_engine(context with, host_name host);
    explicit tls_engine(context with);
    tls_engine(const tls_engine&) = delete;
    tls_engine& operator=(const tls_engine&) = delete;
    ~tls_engine();

    enum class outcome : std::uint8_t {
        done,
        wants_bytes,   // of the peer: give it room() and filled()
        wants_choice,  // the server's: whose certificate serves server_name()?
        ended,         // the peer sends no more
        failed,        // see failure()
    };

    outcome shake_hands();
    /// `got` is set if it is done.
    outcome read(std::span<std::byte> into, std::size_t& got);
    /// Returns: done or failed.
    outcome write(std::span<const std::byte> bytes);
    outcome end_sending();

    /// Answers wants_choice. Without a context the client is refused by the next shake_hands().
    void choose(context chosen) noexcept;

    /// Where bytes of the peer are put; never empty while one is wanted. Valid until filled().
    std::span<std::byte> room();
    void filled(std::size_t n) noexcept;

    bool has_outgoing() const noexcept { return !outgoing_.empty(); }
    std::size_t outgoing_size() const noexcept { return outgoing_.size(); }
    /// Swaps what is for the peer with `spare`, which is empty.
    void take_outgoing(std::vector<std::byte>& spare) noexcept { outgoing_.swap(spare); }

    bool has_failed() const noexcept { return failure_ != nullptr; }
    [[noreturn]] void throw_failure() const { std::rethrow_exception(failure_); }
    void fail(std::exception_ptr why) noexcept { failure_ = std::move(why); }
    /// With whom, for messages; empty on a server.
    const std::string& host() const noexcept { return host_.text; }
    bool is_client() const noexcept { return !host_.text.empty(); }

    std::optional<tls_certificate> peer_certificate() const;
    std::string alpn_protocol() const;
    tls_version version() const noexcept;
    std::string cipher() const;
    bool session_reused() const noexcept;
    const std::string& server_name() const noexcept { return server_name_; }
    /// Of a server, asked by who answers wants_choice.
    const std::function<std::optional<tls_context>(std::string_view)>& chooser() const noexcept;

    // What OpenSSL calls. An SSL's app data is its engine.
    static int keep_session(SSL* ssl, SSL_SESSION* session);
    static int use_ticket_key(SSL* ssl, unsigned char* name, unsigned char* iv, EVP_CIPHER_CTX* cipher,
                              EVP_MAC_CTX* mac, int sealing);
    static int meet_client(SSL* ssl, int* alert, void*);
    static int select_protocol(SSL* ssl, const unsigned char** out, unsigned char* out_size,
                               const unsigned char* offered, unsigned offered_size, void* context_state);

private:
    struct channel;  // the BIO

    static tls_engine& of(const SSL* ssl) noexcept;
    static int judge(int fine, X509_STORE_CTX* chain);
    static void count_message(int sent, int version, int type, const void* bytes, std::size_t size, SSL* ssl, void*);

    void set_up();
    void expect(const host_name& host);
    void established();
    void note_doubt(X509_STORE_CTX* chain);
    bool has_nothing() const noexcept;
    outcome outcome_of(int result, const char* what);
    std::exception_ptr handshake_error() const;
    bool apply_choice() noexcept;

    context with_;
    context chosen_;  // by the server's name; keeps alive what OpenSSL refers to
    ssl_ptr ssl_;
    host_name host_;
    std::string server_name_;
    std::string doubt_;  // about which certificate of the chain
    std::exception_ptr failure_;
    std::unique_ptr<std::byte[]> incoming_;
    std::size_t capacity_ = 0;
    std::size_t begin_ = 0;  // of what OpenSSL has not taken yet
    std::size_t end_ = 0;
    std::vector<std::byte> outgoing_;
    unsigned control_messages_ = 0;  // since the last data
    bool met_ = false;               // the client: its name was told
    bool chosen_for_ = false;
    bool is_established_ = false;
    bool has_no_memory_ = false;
};

}  // namespace copse::io::detail
