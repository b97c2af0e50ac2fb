// Reading certificates.
#pragma once

#include <openssl/x509.h>

#include <string>

#include <copse/io/tls_certificate.hpp>

namespace copse::io::detail {

tls_certificate read_certificate(const X509* from);

/// As RFC 2253 has it, control characters escaped.
std::string subject_of(const X509* from);

}  // namespace copse::io::detail
