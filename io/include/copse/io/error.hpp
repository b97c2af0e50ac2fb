/// What room 2 throws when the operating system, the peer or the clock says no.
///
/// All of it is a `std::system_error` whose text names operation, descriptor and peer:
/// "recv on fd 7 from 127.0.0.1:4000: Connection reset by peer". Compare `code()` with `std::errc`.
#pragma once

#include <cstddef>
#include <string>
#include <system_error>

namespace copse::io {

/// An operation on several bytes ended before all were moved.
class transfer_error : public std::system_error {
public:
    transfer_error(std::error_code code, const std::string& text, std::size_t transferred)
        : std::system_error(code, text), transferred_(transferred) {}
    ~transfer_error() override;

    /// How many bytes this call has moved: read into the buffer, or taken by the kernel. The peer need not have seen them.
    [[nodiscard]] std::size_t transferred() const noexcept { return transferred_; }

private:
    std::size_t transferred_;
};

/// The operation's time was over: `code()` is `std::errc::timed_out`. The object stays usable.
/// A connection that the kernel gave up for want of answers is a plain std::system_error of the same code.
class timed_out : public transfer_error {
public:
    using transfer_error::transfer_error;
    ~timed_out() override;
};

/// The errors of getaddrinfo, such as "Name or service not known".
const std::error_category& name_category() noexcept;

}  // namespace copse::io
