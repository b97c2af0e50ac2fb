// Finds the end of a message's head while its bytes come, and refuses at once what no head can be: so nobody waits for
// the end of something that has none, and the parser is given whole heads only.
#pragma once

#include <cstddef>
#include <string_view>

#include <copse/io/http/message.hpp>

namespace copse::io::http::detail {

class head_scanner {
public:
    explicit head_scanner(const limits& with) noexcept : limits_(with) {}

    /// For the next message.
    void reset() noexcept { line_ = searched_ = lines_ = 0; }

    /// `so_far`: all that has come of the message, what came before included.
    /// Returns: the length of the head with its empty line; 0 if that has not come.
    /// Throws:  error: bad_start_line, bad_field, method_not_known, target_too_long, header_too_large.
    std::size_t look(std::string_view so_far);

private:
    void end_line(std::string_view so_far, std::size_t newline);
    void check_length(std::string_view so_far, std::size_t length) const {
        if (length > limits_.header_block) refuse_length(so_far);
    }
    [[noreturn]] void refuse_length(std::string_view so_far) const;

    const limits& limits_;
    std::size_t line_ = 0;      // where the current line begins
    std::size_t searched_ = 0;  // up to here there is no further line end
    std::size_t lines_ = 0;     // that have ended
};

}  // namespace copse::io::http::detail
