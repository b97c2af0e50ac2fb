// A flag that says that somebody is within.
#pragma once

namespace copse::io::http::detail {

/// Set as long as one lives.
class flagged {
public:
    explicit flagged(bool& flag) noexcept : flag_(flag) { flag_ = true; }
    flagged(const flagged&) = delete;
    flagged& operator=(const flagged&) = delete;
    ~flagged() { flag_ = false; }

private:
    bool& flag_;
};

}  // namespace copse::io::http::detail
