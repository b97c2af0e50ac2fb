// Certificates, keys and revocation lists out of files and texts, into an SSL_CTX.
#pragma once

#include <openssl/ssl.h>

#include <copse/io/tls_context.hpp>

namespace copse::io::detail {

/// Throws:  std::system_error for a file, tls_error for what stands in it, std::invalid_argument.
void load_identity(SSL_CTX* into, const tls_identity& from);
void load_trust(SSL_CTX* into, const tls_trust& from);

}  // namespace copse::io::detail
