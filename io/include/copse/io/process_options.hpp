/// How a process is started.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include <copse/io/descriptor.hpp>

namespace copse::io {

class socket;

/// Where a standard stream of a process leads: `.output = redirect::pipe`, `.errors = redirect::file("log")`.
class redirect {
public:
    enum class kind : std::uint8_t {
        automatic,  ///< inherit; in `run` and `check_output`: what they are for
        inherit,    ///< our own
        pipe,       ///< to us: process::input(), output(), errors()
        null,       ///< /dev/null
        to_output,  ///< of errors: where the output goes
        path,       ///< see file() and append()
        number,     ///< see descriptor() and give()
    };
    using enum kind;

    /// One of the first five.
    redirect(kind k = kind::automatic) noexcept
        : kind_(k) {}  // NOLINT(google-explicit-constructor): reads as it is meant

    /// Read from the file, or written to it from its start: it is made, or made empty.
    static redirect file(std::string name) { return {path, std::move(name), -1, false}; }
    /// Written to its end; it is made if need be.
    static redirect append(std::string name) { return {path, std::move(name), -1, true}; }
    /// A descriptor of ours, of which the process gets a duplicate. It stays ours, and open. Whether it blocks is a matter
    /// of the open file, which both have then: programs expect that it does. An end of a pipe is therefore opened anew for
    /// the process; anything else it gets as it is. That cannot be done for sockets: one that a `socket` of this thread
    /// has is refused when the process is started (std::invalid_argument). Give it away, or use a pipe and copy_both.
    static redirect descriptor(int fd) { return {number, {}, fd, false}; }
    /// A connection that the process has instead of us: `const auto visitor = redirect::give(std::move(s));`, and then
    /// `{.input = visitor, .output = visitor}`. It blocks from here on. Ours is closed with the last copy of the redirect.
    /// Throws:  as socket::release; std::system_error (EBADF) for a closed one.
    static redirect give(socket&& connection);

    kind what() const noexcept { return kind_; }
    const std::string& name() const noexcept { return name_; }
    int fd() const noexcept { return fd_; }
    bool appends() const noexcept { return appends_; }

private:
    redirect(kind k, std::string name, int fd, bool appends)
        : name_(std::move(name)), fd_(fd), kind_(k), appends_(appends) {}

    std::string name_;
    std::shared_ptr<const io::descriptor> given_;  // has fd_
    int fd_ = -1;
    kind kind_;
    bool appends_ = false;
};

/// Names and values.
using environment = std::map<std::string, std::string>;

/// Ours, as it is now: `auto env = current_environment(); env["LANG"] = "C";`
environment current_environment();

/// Designated initialisers read well: `{.cwd = "/tmp", .output = redirect::pipe}`.
struct process_options {
    std::string cwd{};                 ///< where it begins; empty: where we are
    std::optional<environment> env{};  ///< all of its environment; none: ours
    redirect input{};
    redirect output{};
    redirect errors{};
    bool new_group = false;                     ///< leads a process group of its own: no Ctrl-C of our terminal
    std::size_t max_output = 64 * 1024 * 1024;  ///< bytes of a stream that `communicate` and `run` keep
};

}  // namespace copse::io
