#include <copse/thread_pool.hpp>

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <cstdio>
#include <cstdlib>
#include <deque>
#include <limits>
#include <mutex>
#include <stdexcept>
#include <thread>

#include <copse/detail/shared_wait.hpp>
#include <copse/shared/semaphore.hpp>

#include "fork.hpp"
#include "hub_core.hpp"
#include "signals_kept_out.hpp"

namespace copse {

namespace detail {

namespace {

// How many calls may run or wait.
std::ptrdiff_t places_of(const thread_pool_options& with) noexcept {
    constexpr auto most = static_cast<std::size_t>(std::numeric_limits<std::ptrdiff_t>::max());
    const std::size_t threads = std::min(with.threads, most);
    return static_cast<std::ptrdiff_t>(threads + std::min(with.queue_limit, most - threads));
}

// A task on its way to a thread and back. It has all the memory that this takes before it leaves: on the way back nothing
// can fail, and nobody is forgotten.
class errand : public shared_object {
public:
    explicit errand(std::shared_ptr<thread_task> of) noexcept
        : shared_object("thread_pool"), task_(of.get()), travelling_(std::move(of)) {}

    class stand;

    bool is_of(const thread_task& task) const noexcept { return task_ == &task; }

    /// On a thread of the pool, once: makes the call.
    void run() noexcept { travelling_->run(); }
    /// After that: its fiber goes on, if it still waits. The task ends on the fiber's thread then, else here.
    void bring_back() noexcept;

private:
    const thread_task* const task_;
    std::shared_ptr<thread_task> travelling_;
    ring<shared_wait> waiting_;  // its fiber, or nobody
};

// The fiber's wait. It stands there before the task leaves: the fiber parks, however fast that is back.
class errand::stand : public shared_wait {
public:
    explicit stand(errand& of) : shared_wait("thread_pool", of, gain::something), of_(of) {
        const guard held(of_.mutex_);
        of_.waiting_.push_back(*this);
    }
    stand(const stand&) = delete;
    stand& operator=(const stand&) = delete;
    ~stand() {
        const guard held(of_.mutex_);
        unlink();
    }

private:
    errand& of_;
};

// Word is ordered, and wakes the hub; if that has ended nobody stands here.
void errand::bring_back() noexcept {
    const std::shared_ptr<thread_task> unwanted = [this] {
        shared_lock held(*this);
        shared_wait* const fiber = waiting_.front();
        if (fiber == nullptr) return std::move(travelling_);
        travelling_.reset();  // the fiber has it
        fiber->claim(held);
        return std::shared_ptr<thread_task>();
    }();
}

}  // namespace

// What a pool and its threads share. The threads are detached: whoever ends the pool waits for their number to be 0.
class pool_threads : public std::enable_shared_from_this<pool_threads> {
public:
    explicit pool_threads(const thread_pool_options& with) : with_(with), places_(places_of(with)) {}

    /// Parks the calling fiber until the task has run.
    void run(const std::shared_ptr<thread_task>& task);

    /// Waits until no thread is left.
    void end() noexcept;

    std::size_t size() {
        const std::lock_guard lock(mutex_);
        return threads_;
    }
    std::size_t queued() {
        const std::lock_guard lock(mutex_);
        return tasks_.size();
    }

private:
    struct last_word;

    void hand_in(const std::shared_ptr<errand>& task);
    void add(const std::shared_ptr<errand>& task);
    void withdraw(const thread_task& task) noexcept;
    void make_thread();
    void work() noexcept;
    void count_ended() noexcept;

    const thread_pool_options with_;
    shared::semaphore places_;  // a call has one from before it is added until it has run, or was withdrawn
    std::mutex mutex_;
    std::condition_variable work_or_end_;
    std::condition_variable none_left_;
    std::deque<std::shared_ptr<errand>> tasks_;  // waiting for a thread
    std::size_t threads_ = 0;                    // that take tasks
    std::size_t alive_ = 0;                      // threads_, and those that end
    std::size_t idle_ = 0;
    std::atomic<std::size_t> waiting_{0};  // fibers
    bool ending_ = false;
};

// Made before anything of copse is used on its thread, so that it ends after copse's own end of the thread.
struct pool_threads::last_word {
    std::shared_ptr<pool_threads> of;
    ~last_word() {
        if (of != nullptr) of->count_ended();
    }
    static thread_local last_word of_this_thread;
};

thread_local pool_threads::last_word pool_threads::last_word::of_this_thread;

namespace {

thread_local pool_threads* pool_of_this_thread = nullptr;

}  // namespace

void pool_threads::run(const std::shared_ptr<thread_task>& task) {
    attend();
    if (pool_of_this_thread == this) return task->run();
    const struct waiting {
        explicit waiting(pool_threads& p) noexcept : pool(p) { ++pool.waiting_; }
        waiting(const waiting&) = delete;
        waiting& operator=(const waiting&) = delete;
        ~waiting() { --pool.waiting_; }
        pool_threads& pool;
    } here(*this);
    const auto leaving = std::make_shared<errand>(task);
    places_.acquire();
    errand::stand w(*leaving);
    // Whatever ends the wait, the task may outlive it.
    const struct awaited {
        awaited(pool_threads& p, const thread_task& t, const wait& by) noexcept : pool(p), task(t), us(by) {}
        awaited(const awaited&) = delete;
        awaited& operator=(const awaited&) = delete;
        ~awaited() {
            if (us.ended != cause::satisfied) pool.withdraw(task);
        }
        pool_threads& pool;
        const thread_task& task;
        const wait& us;
    } by_us(*this, *task, w);
    hand_in(leaving);
    park(w);
}

void pool_threads::hand_in(const std::shared_ptr<errand>& task) {
    try {
        attend();  // a kill may have come with the place
        add(task);
    } catch (...) {
        places_.release();
        throw;
    }
}

// Nobody waits for it any more. If it has not begun it never will.
void pool_threads::withdraw(const thread_task& task) noexcept {
    std::shared_ptr<errand> withdrawn;
    {
        const std::lock_guard lock(mutex_);
        const auto at = std::find_if(tasks_.begin(), tasks_.end(), [&](const auto& t) { return t->is_of(task); });
        if (at == tasks_.end()) return;
        withdrawn = std::move(*at);
        tasks_.erase(at);
    }
    places_.release();
}

void pool_threads::add(const std::shared_ptr<errand>& task) {
    const std::lock_guard lock(mutex_);
    tasks_.push_back(task);
    if (idle_ < tasks_.size() && threads_ < with_.threads) {
        try {
            make_thread();
        } catch (...) {
            if (threads_ != 0) return;  // one of those that there are will come to it
            tasks_.pop_back();
            throw;
        }
    }
    work_or_end_.notify_one();
}

void pool_threads::make_thread() {
    const signals_kept_out inherited;
    std::thread([self = shared_from_this()] {
        last_word::of_this_thread.of = self;
        self->work();
    }).detach();
    ++threads_;
    ++alive_;
}

void pool_threads::work() noexcept {
    pthread_setname_np(pthread_self(), "copse-pool");
    pool_of_this_thread = this;
    std::unique_lock lock(mutex_);
    for (;;) {
        ++idle_;
        const bool woken = work_or_end_.wait_for(lock, with_.idle, [this] { return ending_ || !tasks_.empty(); });
        --idle_;
        if (!woken || tasks_.empty()) break;
        std::shared_ptr<errand> task = std::move(tasks_.front());
        tasks_.pop_front();
        lock.unlock();
        const unsigned forks = forks_so_far();
        task->run();
        if (forks_so_far() != forks)
            std::exit(EXIT_SUCCESS);  // the task has forked: there is nobody to bring it back to
        places_.release();
        task->bring_back();
        task.reset();
        lock.lock();
    }
    --threads_;
}

void pool_threads::count_ended() noexcept {
    const std::lock_guard lock(mutex_);
    if (--alive_ == 0) none_left_.notify_all();
}

void pool_threads::end() noexcept {
    if (waiting_ != 0) {
        std::fputs("copse: a thread_pool ended while a fiber waits for it\n", stderr);
        std::abort();
    }
    std::unique_lock lock(mutex_);
    ending_ = true;
    work_or_end_.notify_all();
    none_left_.wait(lock, [this] { return alive_ == 0; });
    lock.unlock();
}

}  // namespace detail

// In the child of a fork there are none of its threads, and nobody who waits for them: it begins anew.
class thread_pool::inside final : detail::fork_watcher {
public:
    explicit inside(const thread_pool_options& with) : with_(with) {}

    detail::pool_threads& threads() const noexcept { return *threads_; }

private:
    void in_child() noexcept override {
        detail::give_up(threads_);
        threads_ = std::make_shared<detail::pool_threads>(with_);
    }

    const thread_pool_options with_;
    std::shared_ptr<detail::pool_threads> threads_ = std::make_shared<detail::pool_threads>(with_);  // shared with them
    detail::fork_registration at_forks_{*this};
};

thread_pool::thread_pool(const thread_pool_options& with) {
    if (with.threads == 0) throw std::invalid_argument("thread_pool: without threads nothing would ever run");
    inside_ = std::make_unique<inside>(with);
}

thread_pool::~thread_pool() { inside_->threads().end(); }

void thread_pool::run(const std::shared_ptr<detail::thread_task>& task) { inside_->threads().run(task); }

std::size_t thread_pool::size() const { return inside_->threads().size(); }

std::size_t thread_pool::queued() const { return inside_->threads().queued(); }

thread_pool& thread_pool::common() {
    static auto* const all = new thread_pool();  // its threads may run to the very end of the process
    return *all;
}

}  // namespace copse
