// What the fields of a head say about where its body ends and what becomes of the connection. Stricter than the parser
// below it: what two readers could understand in two ways (request smuggling) is refused, never guessed.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include <copse/io/http/message.hpp>

namespace copse::io::http::detail {

class framing {
public:
    /// Each field of the head, in its order. The views must last until `conclude_request`.
    /// Throws:  error.
    void note(std::string_view name, std::string_view value);

    /// All have been noted.
    /// Throws:  error: bad_host, bad_framing, bad_start_line for a target of the wrong form.
    void conclude_request(std::string_view method, std::string_view target, version v);
    /// For a response only the fields of the body matter.
    void conclude_response(version v) const;

    /// The announced length; empty if none was.
    std::optional<std::uint64_t> length() const noexcept { return length_; }
    bool is_chunked() const noexcept { return chunked_; }
    bool has_body() const noexcept { return chunked_ || length_.value_or(0) != 0; }
    /// By the version's default and what Connection says.
    bool keeps_alive(version v) const noexcept { return !close_ && (v == version::http_1_1 || keep_alive_); }
    bool expects_continue() const noexcept { return expects_continue_; }
    /// Upgrade is there, and Connection names it.
    bool wants_upgrade() const noexcept { return upgrade_ && connection_upgrade_; }

private:
    void note_length(std::string_view value);
    void note_coding(std::string_view value);
    void note_host(std::string_view value);
    void note_connection(std::string_view value);
    void check_target(std::string_view method, std::string_view target) const;

    std::optional<std::uint64_t> length_;
    std::optional<std::string_view> host_;
    bool chunked_ = false;
    bool close_ = false;
    bool keep_alive_ = false;
    bool expects_continue_ = false;
    bool upgrade_ = false;
    bool connection_upgrade_ = false;
};

/// Whether a trailer of this name must not be believed: it belongs into the head, where it would have been acted on.
bool is_forbidden_trailer(std::string_view name) noexcept;

}  // namespace copse::io::http::detail
