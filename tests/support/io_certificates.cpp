#include "io_certificates.hpp"

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509v3.h>

#include <atomic>
#include <memory>
#include <stdexcept>

namespace copse_test {

namespace {

template <auto Free>
struct freed_by {
    template <class T>
    void operator()(T* p) const {
        Free(p);
    }
};
using bio_ptr = std::unique_ptr<BIO, freed_by<&BIO_free_all>>;
using x509_ptr = std::unique_ptr<X509, freed_by<&X509_free>>;
using key_ptr = std::unique_ptr<EVP_PKEY, freed_by<&EVP_PKEY_free>>;
using crl_ptr = std::unique_ptr<X509_CRL, freed_by<&X509_CRL_free>>;

void require(bool done, const char* what) {
    if (!done) throw std::runtime_error(std::string("making a certificate: ") + what);
}

std::string text_of(const bio_ptr& bio) {
    char* text = nullptr;
    const long size = BIO_get_mem_data(bio.get(), &text);
    return {text, static_cast<std::size_t>(size)};
}

bio_ptr reading(const std::string& pem) { return bio_ptr(BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size()))); }

x509_ptr certificate_of(const made_certificate& c) {
    x509_ptr read(PEM_read_bio_X509(reading(c.pem).get(), nullptr, nullptr, nullptr));
    require(read != nullptr, "reading the issuer");
    return read;
}

key_ptr key_of(const made_certificate& c) {
    key_ptr read(PEM_read_bio_PrivateKey(reading(c.key).get(), nullptr, nullptr, nullptr));
    require(read != nullptr, "reading the issuer's key");
    return read;
}

key_ptr make_key(const certificate_terms& terms) {
    key_ptr key(terms.rsa_bits == 0 ? EVP_EC_gen("P-256") : EVP_RSA_gen(terms.rsa_bits));
    require(key != nullptr, "a key");
    return key;
}

void add_extension(X509* to, X509* issuer, int nid, const std::string& value) {
    if (value.empty()) return;
    X509V3_CTX context;
    X509V3_set_ctx(&context, issuer, to, nullptr, nullptr, 0);
    X509_EXTENSION* made = X509V3_EXT_conf_nid(nullptr, &context, nid, value.c_str());
    require(made != nullptr, value.c_str());
    X509_add_ext(to, made, -1);
    X509_EXTENSION_free(made);
}

void add_dns_name(X509* to, const std::string& bytes) {
    GENERAL_NAMES* names = GENERAL_NAMES_new();
    GENERAL_NAME* name = GENERAL_NAME_new();
    ASN1_IA5STRING* text = ASN1_IA5STRING_new();
    ASN1_STRING_set(text, bytes.data(), static_cast<int>(bytes.size()));
    GENERAL_NAME_set0_value(name, GEN_DNS, text);
    sk_GENERAL_NAME_push(names, name);
    require(X509_add1_ext_i2d(to, NID_subject_alt_name, names, 0, X509V3_ADD_DEFAULT) == 1, "a name of any bytes");
    GENERAL_NAMES_free(names);
}

long seconds(std::chrono::hours h) { return static_cast<long>(std::chrono::seconds(h).count()); }

/// `by` null: by itself.
made_certificate make(const certificate_terms& terms, const made_certificate* by) {
    static std::atomic<long> serial{1000};
    const key_ptr key = make_key(terms);
    const x509_ptr made(X509_new());
    X509* x = made.get();
    X509_set_version(x, 2);
    ASN1_INTEGER_set(X509_get_serialNumber(x), serial++);
    X509_gmtime_adj(X509_getm_notBefore(x), seconds(terms.from));
    X509_gmtime_adj(X509_getm_notAfter(x), seconds(terms.until));
    X509_set_pubkey(x, key.get());
    const auto* name = reinterpret_cast<const unsigned char*>(terms.common_name.c_str());
    X509_NAME_add_entry_by_txt(X509_get_subject_name(x), "CN", MBSTRING_UTF8, name, -1, -1, 0);
    const x509_ptr issuer = by == nullptr ? nullptr : certificate_of(*by);
    X509* issuing = issuer == nullptr ? x : issuer.get();
    X509_set_issuer_name(x, X509_get_subject_name(issuing));
    add_extension(x, issuing, NID_basic_constraints, "critical," + terms.constraints);
    add_extension(x, issuing, NID_name_constraints, terms.name_constraints);
    add_extension(x, issuing, NID_ext_key_usage, terms.usage);
    if (terms.bytes_as_dns_name.empty()) {
        add_extension(x, issuing, NID_subject_alt_name, terms.alternative_names);
    } else {
        add_dns_name(x, terms.bytes_as_dns_name);
    }
    const key_ptr signing = by == nullptr ? nullptr : key_of(*by);
    require(X509_sign(x, signing == nullptr ? key.get() : signing.get(), EVP_get_digestbyname(terms.digest)) > 0,
            "signing");

    const bio_ptr pem(BIO_new(BIO_s_mem()));
    PEM_write_bio_X509(pem.get(), x);
    const bio_ptr secret(BIO_new(BIO_s_mem()));
    PEM_write_bio_PrivateKey(secret.get(), key.get(), nullptr, nullptr, 0, nullptr, nullptr);
    return {text_of(pem), text_of(secret)};
}

bool is_root(const made_certificate& c) {
    const x509_ptr x = certificate_of(c);
    return X509_NAME_cmp(X509_get_issuer_name(x.get()), X509_get_subject_name(x.get())) == 0;
}

}  // namespace

made_certificate issue(const made_certificate& by, const certificate_terms& terms) {
    made_certificate made = make(terms, &by);
    if (!is_root(by)) made.pem += by.pem;
    return made;
}

made_certificate self_signed(const certificate_terms& terms) { return make(terms, nullptr); }

made_certificate authority(const std::string& name, const made_certificate* by, const std::string& name_constraints) {
    const certificate_terms terms{
        .common_name = name, .alternative_names = {}, .constraints = "CA:TRUE", .name_constraints = name_constraints};
    return by == nullptr ? self_signed(terms) : issue(*by, terms);
}

std::string revocation_list(const made_certificate& by, const std::vector<const made_certificate*>& revoked) {
    const x509_ptr issuer = certificate_of(by);
    const crl_ptr list(X509_CRL_new());
    X509_CRL_set_version(list.get(), 1);
    X509_CRL_set_issuer_name(list.get(), X509_get_subject_name(issuer.get()));
    ASN1_TIME* when = X509_gmtime_adj(nullptr, -60);
    X509_CRL_set1_lastUpdate(list.get(), when);
    for (const made_certificate* one : revoked) {
        X509_REVOKED* entry = X509_REVOKED_new();
        X509_REVOKED_set_serialNumber(entry, X509_get_serialNumber(certificate_of(*one).get()));
        X509_REVOKED_set_revocationDate(entry, when);
        X509_CRL_add0_revoked(list.get(), entry);
    }
    X509_gmtime_adj(when, 3600);
    X509_CRL_set1_nextUpdate(list.get(), when);
    ASN1_TIME_free(when);
    require(X509_CRL_sign(list.get(), key_of(by).get(), EVP_sha256()) > 0, "signing a revocation list");
    const bio_ptr pem(BIO_new(BIO_s_mem()));
    PEM_write_bio_X509_CRL(pem.get(), list.get());
    return text_of(pem);
}

std::string encrypted_key(const made_certificate& of, const std::string& password) {
    const bio_ptr pem(BIO_new(BIO_s_mem()));
    PEM_write_bio_PKCS8PrivateKey(pem.get(), key_of(of).get(), EVP_aes_128_cbc(), password.c_str(),
                                  static_cast<int>(password.size()), nullptr, nullptr);
    return text_of(pem);
}

const made_certificate& common_authority() {
    static const made_certificate the_one = authority();
    return the_one;
}

const made_certificate& common_server() {
    static const made_certificate the_one = issue(common_authority());
    return the_one;
}

copse::io::tls_context common_client_context(copse::io::tls_client_options with) {
    if (with.trust.empty()) with.trust.ca_pem = common_authority().pem;
    return copse::io::tls_context::client(with);
}

copse::io::tls_context common_server_context(copse::io::tls_server_options with) {
    if (with.identity.empty()) with.identity = common_server().identity();
    if (with.clients != copse::io::client_certificates::ignored && with.client_trust.empty())
        with.client_trust.ca_pem = common_authority().pem;
    return copse::io::tls_context::server(with);
}

}  // namespace copse_test
