// What a client reads, from bytes to a head and the bytes of a body. Beast's parser, with the framing checked more strictly
// than Beast does: whoever reuses a connection must know where a body ends.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>

#include <copse/io/http/message.hpp>

namespace copse::io::http::detail {

struct response_head {
    int status = 0;
    http::version version = http::version::http_1_1;
    std::string reason;
    fields headers;
    std::optional<std::uint64_t> content_length;
};

/// Of one response; a 1xx is one of its own. Never parks.
///
/// Throws:  error, after which it is of no use.
class response_parser {
public:
    response_parser(const method& asked, const limits& accepted);
    response_parser(response_parser&&) noexcept;
    response_parser& operator=(response_parser&&) noexcept;
    ~response_parser();

    struct progress {
        std::size_t taken = 0;    // of the input
        std::size_t written = 0;  // of the body
    };

    /// Takes of `input` what makes sense so far: nothing of a line that is not complete. Bytes of the body go where there is
    /// room.
    progress put(std::span<const std::byte> input, std::span<std::byte> room);
    /// The stream has ended.
    void end();

    bool has_head() const noexcept;
    bool done() const noexcept;
    /// Another request may follow; to be asked when it is done.
    bool keeps_alive() const noexcept;
    response_head& head() noexcept;

private:
    class impl;
    std::unique_ptr<impl> impl_;
};

}  // namespace copse::io::http::detail
