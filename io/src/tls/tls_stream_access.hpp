// What a tls_server does with streams that is nobody else's business.
#pragma once

#include <memory>

#include <copse/io/tls_stream.hpp>

namespace copse::io::detail {

struct tls_stream_access {
    /// As tls_stream::server. After a throw `choice_failed` tells whether it comes from the program's own `choose`.
    static tls_stream server(any_stream below, const tls_context& with, bool& choice_failed);

    /// The one inside.
    static std::shared_ptr<tls_connection> connection(const tls_stream& s) noexcept { return s.connection_; }
};

}  // namespace copse::io::detail
