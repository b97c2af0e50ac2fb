// The head of a request, as RFC 9112 writes it. Nothing is made good that two readers could understand in two ways: a blank
// too many is an error.
#pragma once

#include <string_view>

#include <copse/io/http/message.hpp>

#include "http/framing.hpp"

namespace copse::io::http::detail {

/// `head` is whole, with its empty line. What of a former request is in `into` is dropped, its memory kept.
/// Throws:  error.
framing parse_request_head(std::string_view head, const limits& with, request& into);

}  // namespace copse::io::http::detail
