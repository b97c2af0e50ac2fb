// OpenSSL's error queue, which all fibers of a thread share: it is empty before each call, and whatever a call left in it is
// taken out before anybody else can run.
#pragma once

#include <string>
#include <string_view>
#include <system_error>

#include <copse/io/tls_error.hpp>

namespace copse::io::detail {

/// What the last call left, and the queue is empty afterwards. `openssl_category()`.
std::error_code take_openssl_error() noexcept;

/// Throws it.
[[noreturn]] void fail_openssl(std::string_view text);

/// "what with "host"".
std::string about(std::string_view what, std::string_view host);

}  // namespace copse::io::detail
