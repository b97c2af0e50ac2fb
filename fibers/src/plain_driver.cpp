// The driver of a hub that waits for nothing outside: a condition variable.

#include <chrono>
#include <condition_variable>
#include <mutex>

#include "hub_core.hpp"

namespace copse::detail {

namespace {

class plain_driver final : public idle_driver {
public:
    std::int64_t now() noexcept override { return std::chrono::steady_clock::now().time_since_epoch().count(); }

    void wait(std::int64_t deadline) noexcept override {
        std::unique_lock lock(mutex_);
        if (deadline == never) {
            woken_.wait(lock, [this] { return awake_; });
        } else {
            const auto when = std::chrono::steady_clock::time_point(std::chrono::nanoseconds(deadline));
            woken_.wait_until(lock, when, [this] { return awake_; });
        }
        awake_ = false;
    }

    void poll() noexcept override {}

    void wake() noexcept override {
        {
            const std::lock_guard lock(mutex_);
            awake_ = true;
        }
        woken_.notify_one();
    }

    std::size_t watching() const noexcept override { return 0; }

private:
    std::mutex mutex_;
    std::condition_variable woken_;
    bool awake_ = false;
};

}  // namespace

std::unique_ptr<idle_driver> make_plain_driver() { return std::make_unique<plain_driver>(); }

}  // namespace copse::detail
