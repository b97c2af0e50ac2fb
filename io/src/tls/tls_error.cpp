#include <copse/io/tls_error.hpp>

#include <openssl/err.h>
#include <openssl/x509_vfy.h>

namespace copse::io {

tls_error::~tls_error() = default;
stream_truncated::~stream_truncated() = default;

namespace {

constexpr bool is(certificate_errc ours, int theirs) { return static_cast<int>(ours) == theirs; }

static_assert(is(certificate_errc::not_yet_valid, X509_V_ERR_CERT_NOT_YET_VALID));
static_assert(is(certificate_errc::expired, X509_V_ERR_CERT_HAS_EXPIRED));
static_assert(is(certificate_errc::self_signed, X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT));
static_assert(is(certificate_errc::self_signed_in_chain, X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN));
static_assert(is(certificate_errc::issuer_unknown, X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY));
static_assert(is(certificate_errc::issuer_missing, X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE));
static_assert(is(certificate_errc::revoked, X509_V_ERR_CERT_REVOKED));
static_assert(is(certificate_errc::invalid_authority, X509_V_ERR_INVALID_CA));
static_assert(is(certificate_errc::wrong_purpose, X509_V_ERR_INVALID_PURPOSE));
static_assert(is(certificate_errc::outside_name_constraints, X509_V_ERR_PERMITTED_VIOLATION));
static_assert(is(certificate_errc::excluded_by_name_constraints, X509_V_ERR_EXCLUDED_VIOLATION));
static_assert(is(certificate_errc::wrong_host, X509_V_ERR_HOSTNAME_MISMATCH));
static_assert(is(certificate_errc::wrong_address, X509_V_ERR_IP_ADDRESS_MISMATCH));
static_assert(is(certificate_errc::key_too_small, X509_V_ERR_EE_KEY_TOO_SMALL));
static_assert(is(certificate_errc::authority_key_too_small, X509_V_ERR_CA_KEY_TOO_SMALL));
static_assert(is(certificate_errc::digest_too_weak, X509_V_ERR_CA_MD_TOO_WEAK));

const char* text_of(tls_errc e) noexcept {
    switch (e) {
    case tls_errc::stream_truncated: return "the stream ended without close_notify";
    case tls_errc::too_many_control_messages: return "the peer sends too many messages that carry no data";
    case tls_errc::sending_cut_off: return "an earlier send was cut off within a record";
    case tls_errc::unknown_server_name: return "the client asked for a name that is not served";
    }
    return "unknown TLS error";
}

}  // namespace

const std::error_category& tls_category() noexcept {
    struct category final : std::error_category {
        const char* name() const noexcept override { return "copse.io.tls"; }
        std::string message(int code) const override { return text_of(static_cast<tls_errc>(code)); }
        std::error_condition default_error_condition(int code) const noexcept override {
            if (static_cast<tls_errc>(code) == tls_errc::stream_truncated)
                return std::make_error_condition(std::errc::connection_aborted);
            return {code, *this};
        }
    };
    static const category the_one;
    return the_one;
}

const std::error_category& certificate_category() noexcept {
    struct category final : std::error_category {
        const char* name() const noexcept override { return "copse.io.certificate"; }
        std::string message(int code) const override { return ::X509_verify_cert_error_string(code); }
    };
    static const category the_one;
    return the_one;
}

const std::error_category& openssl_category() noexcept {
    struct category final : std::error_category {
        const char* name() const noexcept override { return "openssl"; }
        std::string message(int code) const override {
            const auto packed = static_cast<unsigned long>(static_cast<unsigned>(code));
            if (const char* reason = ::ERR_reason_error_string(packed)) return reason;
            return "OpenSSL error " + std::to_string(packed);
        }
    };
    static const category the_one;
    return the_one;
}

}  // namespace copse::io
