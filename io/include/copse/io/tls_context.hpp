/// What a side of TLS is and whom it trusts, shared by all its connections.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace copse::io {

class tls_context;

namespace detail {
struct tls_context_state;
struct tls_context_access;
}  // namespace detail

/// Nothing older is spoken.
enum class tls_version : std::uint8_t { v1_2, v1_3 };

/// Who this side is: a certificate and its private key, in PEM, each from a file or as text.
struct tls_identity {
    std::string certificate_file{};  ///< its own certificate first, then those between it and the root
    std::string certificate_pem{};
    std::string key_file{};  ///< neither this nor key_pem: the key stands with the certificate
    std::string key_pem{};
    std::string key_password{};  ///< of an encrypted key; nobody is ever asked on a terminal

    bool empty() const noexcept { return certificate_file.empty() && certificate_pem.empty(); }
};

/// Whose signature counts. Nothing given: the authorities of the system.
struct tls_trust {
    std::string ca_file{};       ///< certificates of authorities, PEM
    std::string ca_pem{};        ///< the same as text
    std::string ca_directory{};  ///< of files named by their hashes, as `openssl rehash` makes it
    bool and_system = false;     ///< the authorities of the system too, beside those given
    std::string crl_file{};  ///< revocation lists, PEM. With one given, every certificate needs a list of its issuer
    std::string crl_pem{};   ///< the same as text

    bool empty() const noexcept { return ca_file.empty() && ca_pem.empty() && ca_directory.empty() && !and_system; }
};

struct tls_client_options {
    tls_trust trust{};
    tls_identity identity{};          ///< for servers that ask for one
    std::vector<std::string> alpn{};  ///< protocols that are offered, the best first: {"h2", "http/1.1"}
    tls_version min_version = tls_version::v1_2;
    tls_version max_version = tls_version::v1_3;
    std::size_t kept_sessions = 128;  ///< of earlier connections, to begin the next sooner; 0: none
    std::chrono::nanoseconds handshake_timeout = std::chrono::seconds(10);  ///< 0 or max(): no limit
    /// Anybody may be the server, and whoever is on the way may read and change everything. For tests.
    bool dangerously_accept_any_certificate = false;
    /// The certificate must be valid, but may be somebody else's.
    bool dangerously_accept_any_host = false;
};

/// Whether a server wants to know who its clients are.
enum class client_certificates : std::uint8_t {
    ignored,
    optional,  ///< one that is shown must be valid
    required,
};

struct tls_server_options {
    tls_identity identity{};
    client_certificates clients = client_certificates::ignored;
    tls_trust client_trust{};  ///< whose clients are believed. Needed unless they are ignored
    std::vector<std::string>
        alpn{};  ///< protocols that are spoken, the best first; a client that offers others is refused
    tls_version min_version = tls_version::v1_2;
    tls_version max_version = tls_version::v1_3;
    /// Called with the host name that a client asks for; empty if it asks for none. What it returns serves this connection;
    /// nothing: the client is refused. Runs in the fiber of the handshake, within its time, and may park. Must bear to be
    /// called on every thread that uses the context. Certificate, trust, versions and ALPN are those of what it returns,
    /// tickets are sealed by this one; one that another name was given opens nothing.
    std::function<std::optional<tls_context>(std::string_view)> choose{};
    bool session_tickets = true;                                   ///< clients may come back without a full handshake
    std::chrono::seconds ticket_lifetime = std::chrono::hours(2);  ///< also how often the key of the tickets changes
    std::chrono::nanoseconds handshake_timeout = std::chrono::seconds(10);  ///< 0 or max(): no limit
};

/// What all connections of one kind share: certificate, trust, versions, sessions to resume. Immutable; a copy is the same
/// context. Any thread may use one, also several at once.
///
///     const auto ours = copse::io::tls_context::client();
///     auto connection = copse::io::connect_tls("example.com:443", ours);
///
/// What holds for every one of them:
///
/// - TLS 1.2 or 1.3. In 1.2 only ephemeral keys and AEAD ciphers; security level 2 (RSA of 2,048 bits, no SHA-1).
/// - A client verifies the certificate and the host. The common name does not count, "f*.example.com" is no name.
/// - No renegotiation, no compression, no early data. Tickets under keys that change.
/// - The system's configuration of OpenSSL may forbid more, never allow more.
class tls_context {
public:
    /// Reads the files that are named, which blocks the thread.
    /// Throws:  std::system_error for a file, tls_error for what stands in it (a key of another certificate, no PEM);
    ///          std::invalid_argument for options that cannot be, such as a negative time.
    static tls_context client(const tls_client_options& with = {});
    /// As client. An identity is needed.
    static tls_context server(const tls_server_options& with);

    bool is_server() const noexcept;
    std::chrono::nanoseconds handshake_timeout() const noexcept;

    friend bool operator==(const tls_context&, const tls_context&) = default;

private:
    friend struct detail::tls_context_access;

    explicit tls_context(std::shared_ptr<const detail::tls_context_state> state) noexcept : state_(std::move(state)) {}

    std::shared_ptr<const detail::tls_context_state> state_;
};

}  // namespace copse::io
