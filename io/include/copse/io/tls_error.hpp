/// What goes wrong in TLS, told apart by category: certificates, OpenSSL's own reasons, and what copse itself finds.
#pragma once

#include <string>
#include <system_error>
#include <type_traits>

namespace copse::io {

/// What copse itself finds wrong with a TLS stream. Of `tls_category()`.
enum class tls_errc {
    stream_truncated = 1,       ///< the stream below ended, and the peer had not said that it would
    too_many_control_messages,  ///< the peer sends key updates or tickets, and no data between them
    sending_cut_off,            ///< an earlier send was interrupted within a record: the peer can read nothing more
    unknown_server_name,        ///< the client asked for a name that `tls_server_options::choose` has nothing for
};

/// Why a certificate was refused: the commoner ones of OpenSSL's X509_V_ERR_…, by their numbers. Of `certificate_category()`,
/// which knows all others too.
enum class certificate_errc {
    not_yet_valid = 9,
    expired = 10,
    self_signed = 18,           ///< and nobody said that it is to be trusted
    self_signed_in_chain = 19,  ///< its root is none of the trusted authorities
    issuer_unknown = 20,        ///< or an intermediate certificate is missing
    issuer_missing = 21,        ///< there is but this one, and its issuer is unknown
    revoked = 23,
    invalid_authority = 79,  ///< signed by what is no authority
    wrong_purpose = 26,
    outside_name_constraints = 47,  ///< of an authority in its chain
    excluded_by_name_constraints = 48,
    wrong_host = 62,
    wrong_address = 64,
    key_too_small = 66,
    authority_key_too_small = 67,
    digest_too_weak = 68,
};

/// Of tls_errc. `stream_truncated` is also `std::errc::connection_aborted`.
const std::error_category& tls_category() noexcept;
/// Of X509_V_ERR_…: the result of verifying a certificate.
const std::error_category& certificate_category() noexcept;
/// Of OpenSSL's packed codes, ERR_get_error().
const std::error_category& openssl_category() noexcept;

inline std::error_code make_error_code(tls_errc e) noexcept { return {static_cast<int>(e), tls_category()}; }
inline std::error_code make_error_code(certificate_errc e) noexcept {
    return {static_cast<int>(e), certificate_category()};
}

/// TLS itself failed: handshake, certificate, record. `code()` says which, compare it with `certificate_errc` or `tls_errc`:
///
///     catch (const copse::io::tls_error& e) {
///         if (e.code() == copse::io::certificate_errc::expired) …
///     }
///
/// Errors of the stream below (ECONNRESET, timed_out) are not of this type: they stay what they are.
class tls_error : public std::system_error {
public:
    using std::system_error::system_error;
    ~tls_error() override;
};

/// The stream below ended without the peer's close_notify: somebody in between may have cut it.
class stream_truncated : public tls_error {
public:
    explicit stream_truncated(const std::string& text) : tls_error(make_error_code(tls_errc::stream_truncated), text) {}
    ~stream_truncated() override;
};

}  // namespace copse::io

template <>
struct std::is_error_code_enum<copse::io::tls_errc> : std::true_type {};
template <>
struct std::is_error_code_enum<copse::io::certificate_errc> : std::true_type {};
