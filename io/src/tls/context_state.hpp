// What a tls_context is: an SSL_CTX that is never changed once it is built, and what copse keeps beside it.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string_view>
#include <vector>

#include <copse/io/tls_context.hpp>

#include "openssl_handles.hpp"
#include "session_store.hpp"
#include "ticket_keys.hpp"

namespace copse::io::detail {

struct tls_context_state {
    ssl_context_ptr ssl;
    bool is_server = false;
    int verify_mode = SSL_VERIFY_PEER;
    int min_version = TLS1_2_VERSION;
    int max_version = TLS1_3_VERSION;
    bool check_host = true;            // of a client
    std::vector<unsigned char> alpn;   // as it goes over the wire: each with its length before it
    std::vector<unsigned char> realm;  // of a server: sessions of another one are not resumed here
    std::function<std::optional<tls_context>(std::string_view)> choose;
    std::chrono::nanoseconds handshake_timeout{};
    std::unique_ptr<session_store> sessions;  // of a client
    std::unique_ptr<ticket_keys> tickets;     // of a server
};

struct tls_context_access {
    static const std::shared_ptr<const tls_context_state>& state(const tls_context& c) noexcept { return c.state_; }
    static tls_context make(std::shared_ptr<const tls_context_state> s) noexcept { return tls_context(std::move(s)); }
};

}  // namespace copse::io::detail
