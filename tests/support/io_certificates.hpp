#pragma once

/// Certificates made for one test run, good ones and bad ones. Nothing of it is ever written down.

#include <chrono>
#include <string>
#include <vector>

#include <copse/io/tls_context.hpp>

namespace copse_test {

/// What a certificate shall say. Extensions are in the words of openssl.cnf.
struct certificate_terms {
    std::string common_name = "localhost";
    std::string alternative_names = "DNS:localhost,IP:127.0.0.1,IP:::1";  ///< empty: none
    std::string bytes_as_dns_name{};                                      ///< instead of those: any bytes
    std::string constraints = "CA:FALSE";
    std::string name_constraints{};
    std::string usage{};  ///< "clientAuth"
    std::chrono::hours from{-1};
    std::chrono::hours until{1};
    unsigned rsa_bits = 0;  ///< 0: an elliptic curve's key, P-256
    const char* digest = "SHA256";
};

/// Both in PEM; the chain up to the root, without it, after the certificate.
struct made_certificate {
    std::string pem;
    std::string key;

    copse::io::tls_identity identity() const { return {.certificate_pem = pem, .key_pem = key}; }
};

made_certificate issue(const made_certificate& by, const certificate_terms& terms = {});
made_certificate self_signed(const certificate_terms& terms = {});
/// A root, or with `by` an authority below it.
made_certificate authority(const std::string& name = "roots of copse", const made_certificate* by = nullptr,
                           const std::string& name_constraints = {});

/// A list of `by`, on which `revoked` stands.
std::string revocation_list(const made_certificate& by, const std::vector<const made_certificate*>& revoked);

std::string encrypted_key(const made_certificate& of, const std::string& password);

/// Of this run, made once.
const made_certificate& common_authority();
/// Issued by it for localhost, 127.0.0.1 and ::1.
const made_certificate& common_server();

/// Contexts that believe in the common authority; a server that is the common one.
copse::io::tls_context common_client_context(copse::io::tls_client_options with = {});
copse::io::tls_context common_server_context(copse::io::tls_server_options with = {});

}  // namespace copse_test
