/// What a certificate says.
#pragma once

#include <chrono>
#include <string>
#include <vector>

namespace copse::io {

/// A certificate, read: a value of its own. Texts are the peer's words: names are escaped as RFC 2253 has it, and what is no
/// printable ASCII is left out of the lists.
struct tls_certificate {
    std::string subject;                 ///< "CN=example.com,O=Example"
    std::string issuer;                  ///< as the subject
    std::string serial;                  ///< in hexadecimal
    std::vector<std::string> dns_names;  ///< of the subject's alternative names
    std::vector<std::string> addresses;  ///< of the same: "127.0.0.1", "::1"
    std::string sha256;                  ///< the fingerprint: 64 digits, lower case
    std::string pem;                     ///< all of it
    std::chrono::system_clock::time_point not_before{};
    std::chrono::system_clock::time_point not_after{};
};

}  // namespace copse::io
