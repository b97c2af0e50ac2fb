// The connection inside a tls_stream.
#pragma once

#include <memory>

#include <copse/io/tls_stream.hpp>

namespace copse::io::detail {

struct tls_stream_access {
    static std::shared_ptr<tls_connection> connection(const tls_stream& s) noexcept { return s.connection_; }
};

}  // namespace copse::io::detail
