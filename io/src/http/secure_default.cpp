#include "http/secure_default.hpp"

#ifdef COPSE_HAS_TLS

#include <utility>

#include <copse/io/tls_context.hpp>
#include <copse/io/tls_stream.hpp>

namespace copse::io::http::detail {

any_stream secure_by_default(any_stream plain, const std::string& host) {
    // Reading the authorities of the system takes milliseconds: once for all. A context may be used by all threads.
    static const tls_context believes_the_system = tls_context::client({.alpn = {"http/1.1"}});
    return tls_stream::client(std::move(plain), believes_the_system, host);
}

}  // namespace copse::io::http::detail

#else

#include <system_error>

namespace copse::io::http::detail {

any_stream secure_by_default(any_stream /*plain*/, const std::string& host) {
    throw std::system_error(std::make_error_code(std::errc::protocol_not_supported),
                            "TLS to " + host + ": copse was built without it, and `secure` is not set");
}

}  // namespace copse::io::http::detail

#endif
