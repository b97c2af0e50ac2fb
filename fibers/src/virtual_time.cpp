#include <copse/virtual_time.hpp>

#include <condition_variable>
#include <mutex>

#include "hub_core.hpp"

namespace copse {

class virtual_time::driver final : public idle_driver {
public:
    explicit driver(std::int64_t start) noexcept : start_(start), now_(start) {}

    std::int64_t now() noexcept override { return now_; }

    void wait(std::int64_t deadline) noexcept override {
        if (deadline != detail::never) {
            now_ = std::max(now_, deadline);
            return;
        }
        // Only another thread can end this one, and threads live in real time.
        std::unique_lock lock(mutex_);
        woken_.wait(lock, [this] { return awake_; });
        awake_ = false;
    }

    void poll() noexcept override {}

    void wake() noexcept override {
        const std::lock_guard lock(mutex_);
        awake_ = true;
        woken_.notify_one();
    }

    std::size_t watching() const noexcept override { return 0; }

    std::int64_t elapsed() const noexcept { return now_ - start_; }
    void advance(std::int64_t length) noexcept {
        now_ = length < detail::never - now_ ? now_ + length : detail::never - 1;
    }

private:
    std::int64_t start_;
    std::int64_t now_;
    std::mutex mutex_;
    std::condition_variable woken_;
    bool awake_ = false;
};

virtual_time::virtual_time(std::optional<std::uint64_t> seed) : hub_(hub::current()) {
    if (hub_.stats().timers != 0) throw error("virtual_time: fibers wait for a time of the real clock");
    auto made = std::make_unique<driver>(hub_.driver().now());
    driver_ = made.get();
    before_ = hub_.set_driver(std::move(made));
    hub_.shuffle(seed);
}

virtual_time::~virtual_time() {
    if (&hub_ != detail::this_thread.hub) return;  // a static one: the hub has ended before it, and our driver with it
    hub_.shuffle(std::nullopt);
    hub_.set_driver(std::move(before_));
}

std::chrono::nanoseconds virtual_time::elapsed() const noexcept { return std::chrono::nanoseconds(driver_->elapsed()); }

void virtual_time::advance(std::chrono::nanoseconds length) noexcept { driver_->advance(detail::length_of(length)); }

}  // namespace copse
