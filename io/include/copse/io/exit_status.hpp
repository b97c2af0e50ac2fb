/// How a process ended.
#pragma once

#include <cstdint>
#include <iosfwd>
#include <string>

namespace copse::io {

/// Exited with a code, or ended by a signal; or nobody knows: a parent that ignores SIGCHLD, or calls wait() for
/// whatever child there is, takes the status away from us.
class exit_status {
public:
    static constexpr exit_status exited_with(int code) noexcept { return {kind::exited, code, false}; }
    static constexpr exit_status ended_by(int signal, bool core_dumped = false) noexcept {
        return {kind::signalled, signal, core_dumped};
    }
    static constexpr exit_status lost() noexcept { return {kind::unknown, 0, false}; }

    /// Exited with 0.
    constexpr bool success() const noexcept { return exited() && number_ == 0; }
    constexpr bool exited() const noexcept { return kind_ == kind::exited; }
    constexpr bool signalled() const noexcept { return kind_ == kind::signalled; }
    constexpr bool known() const noexcept { return kind_ != kind::unknown; }
    /// 0 to 255; -1 unless it exited.
    constexpr int code() const noexcept { return exited() ? number_ : -1; }
    /// 0 unless a signal ended it.
    constexpr int signal() const noexcept { return signalled() ? number_ : 0; }
    constexpr bool core_dumped() const noexcept { return core_dumped_; }

    friend constexpr bool operator==(const exit_status&, const exit_status&) noexcept = default;

private:
    enum class kind : std::uint8_t { exited, signalled, unknown };

    constexpr exit_status(kind k, int number, bool core_dumped) noexcept
        : number_(number), kind_(k), core_dumped_(core_dumped) {}

    int number_;
    kind kind_;
    bool core_dumped_;
};

/// "exited with 2", "ended by SIGKILL", "ended, nobody knows how".
std::string to_string(const exit_status& status);
std::ostream& operator<<(std::ostream& out, const exit_status& status);

}  // namespace copse::io
