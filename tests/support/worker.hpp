#pragma once

/// A second thread that a test drives step by step: every step has ended when `run` returns, so the log stays in order and
/// needs no lock.

#include <condition_variable>
#include <functional>
#include <mutex>
#include <thread>
#include <utility>

namespace copse_test {

class worker {
public:
    worker() : thread_([this] { take_steps(); }) {}
    worker(const worker&) = delete;
    worker& operator=(const worker&) = delete;
    ~worker() { finish(); }

    /// Runs `step` on the thread, in its main greenlet, and waits for its end. It must not throw.
    void run(std::function<void()> step) {
        std::unique_lock lock(mutex_);
        step_ = std::move(step);
        changed_.notify_all();
        changed_.wait(lock, [this] { return !step_; });
    }

    /// Ends the thread, with all that ends with it.
    void finish() {
        if (!thread_.joinable()) return;
        {
            const std::lock_guard lock(mutex_);
            finished_ = true;
            changed_.notify_all();
        }
        thread_.join();
    }

private:
    void take_steps() {
        std::unique_lock lock(mutex_);
        for (;;) {
            changed_.wait(lock, [this] { return step_ || finished_; });
            if (!step_) return;
            const std::function<void()> step = step_;
            lock.unlock();
            step();
            lock.lock();
            step_ = nullptr;
            changed_.notify_all();
        }
    }

    std::mutex mutex_;
    std::condition_variable changed_;
    std::function<void()> step_;  // not empty: to be run, or running
    bool finished_ = false;
    std::thread thread_;
};

/// Runs `f` on a thread of its own and waits for the end of that thread.
template <class F>
void in_thread(F&& f) {
    std::thread(std::forward<F>(f)).join();
}

}  // namespace copse_test
