#pragma once

/// Calls a function when it is destroyed. A moved-from one does nothing.

#include <functional>
#include <utility>

namespace copse_test {

class at_end {
public:
    explicit at_end(std::function<void()> call) : call_(std::move(call)) {}
    at_end(at_end&& other) noexcept : call_(std::exchange(other.call_, nullptr)) {}
    at_end& operator=(at_end&&) = delete;
    ~at_end() {
        if (call_) call_();
    }

private:
    std::function<void()> call_;
};

}  // namespace copse_test
