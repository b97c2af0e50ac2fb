// Requests, parsed by Boost.Beast and checked by `framing`. Only request_parser.cpp sees Beast.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string_view>

#include <copse/io/http/message.hpp>

#include "http/framing.hpp"

namespace copse::io::http::detail {

class request_parser {
public:
    /// `with` must last as long as this.
    explicit request_parser(const limits& with);
    request_parser(const request_parser&) = delete;
    request_parser& operator=(const request_parser&) = delete;
    ~request_parser();

    /// Parses a head that is whole. What of a former one is in `into` is dropped, its memory kept.
    /// Throws:  error.
    framing parse_head(std::string_view head, request& into);

    struct progress {
        std::size_t consumed;  // of the input
        std::size_t produced;  // into the buffer
        bool done;             // the body is at its end
    };
    /// Decodes chunks; one step. `trailers` gets the harmless ones.
    /// Throws:  error: bad_chunk, body_too_large, header_too_large.
    progress decode(std::string_view input, std::span<std::byte> into, fields& trailers);
    /// What the chunks may hold together; before the first `decode`.
    void limit_body(std::uint64_t bytes);

private:
    struct state;
    std::unique_ptr<state> state_;
};

}  // namespace copse::io::http::detail
