#include "http/secure_default.hpp"

#include <system_error>

namespace copse::io::http::detail {

any_stream secure_by_default(any_stream /*plain*/, const std::string& host) {
    throw std::system_error(std::make_error_code(std::errc::protocol_not_supported),
                            "TLS to " + host + ": client_options::secure is not set");
}

}  // namespace copse::io::http::detail
