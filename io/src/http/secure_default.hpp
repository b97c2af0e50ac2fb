// TLS where the caller has not said how.
#pragma once

#include <string>

#include <copse/io/any_stream.hpp>

namespace copse::io::http::detail {

/// Parks:   during the handshake.
/// Throws:  what refuses the peer; std::system_error(protocol_not_supported) if copse was built without TLS.
any_stream secure_by_default(any_stream plain, const std::string& host);

}  // namespace copse::io::http::detail
