// From an address to a stream: what comes before the first byte of HTTP.
#pragma once

#include <functional>
#include <string>

#include <copse/clock.hpp>
#include <copse/io/any_stream.hpp>
#include <copse/io/endpoint.hpp>
#include <copse/io/http/url.hpp>
#include <copse/io/socket.hpp>

namespace copse::io::http::detail {

using address_filter = std::function<bool(const endpoint&)>;                                  // …::allow_address
using socket_maker = std::function<socket(const url& to)>;                                    // client_options::connect
using stream_securer = std::function<any_stream(any_stream plain, const std::string& host)>;  // …::secure

/// With `own`, or as everybody does if that is empty, to an address that `allowed` allows if it is not.
/// Parks:   until it is connected.
socket dial(const url& to, const socket_maker& own, const address_filter& allowed, clock::time_point deadline);

/// TLS over it, by `own` or by the default.
/// Parks:   until hands are shaken.
any_stream secure(socket plain, const std::string& host, const stream_securer& own, clock::time_point deadline);

}  // namespace copse::io::http::detail
