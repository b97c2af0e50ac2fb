#include <copse/workers.hpp>

#include <pthread.h>

#include <mutex>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include <copse/error.hpp>
#include <copse/fiber.hpp>
#include <copse/shared/event.hpp>
#include <copse/shared/semaphore.hpp>

#include "fork.hpp"
#include "hub_core.hpp"

namespace copse {

namespace detail {

// What the workers and who made them share.
struct crew {
    explicit crew(std::size_t n) : doors(n), left(n) {}

    void work(std::size_t i, const std::function<void(std::size_t, std::stop_token)>& body) noexcept;
    void call(std::size_t i, const std::function<void(std::size_t, std::stop_token)>& body) noexcept;
    void note_failure(std::exception_ptr error) noexcept;
    void count_ended(std::size_t ended) noexcept;
    void join_threads();

    std::stop_source stop;
    shared::semaphore arrived{0};                  // one for each that has its hub, or failed to make it
    std::vector<std::shared_ptr<hub_door>> doors;  // each written before its worker has arrived
    shared::event over;                            // all have ended, or will never begin

    std::mutex mutex;
    std::size_t left;            // guarded by mutex
    std::exception_ptr failure;  // guarded by mutex: the first
    bool seen = false;           // guarded by mutex: a join has thrown it

    std::mutex joining;
    std::vector<std::thread> threads;  // guarded by joining
};

namespace {

// Made on its thread before anything of copse is used there, so that it ends after copse's own end of the thread.
struct last_word_of_worker {
    std::shared_ptr<crew> of;
    ~last_word_of_worker() {
        if (of != nullptr) of->count_ended(1);
    }
};

thread_local last_word_of_worker this_worker;

// The calling thread's error handler.
void tell(const std::exception_ptr& error) noexcept {
    try {
        thread_state::here().report(error, greenlet());
    } catch (const thread_exited&) {  // nobody listens any more
    }
}

}  // namespace

void crew::work(std::size_t i, const std::function<void(std::size_t, std::stop_token)>& body) noexcept {
    pthread_setname_np(pthread_self(), ("copse-w" + std::to_string(i % 100'000)).c_str());
    bool has_hub = false;
    try {
        doors[i] = hub_core::here().door();
        has_hub = true;
    } catch (...) {
        note_failure(std::current_exception());
    }
    arrived.release();
    if (has_hub) call(i, body);
}

void crew::call(std::size_t i, const std::function<void(std::size_t, std::stop_token)>& body) noexcept {
    try {
        body(i, stop.get_token());
    } catch (const greenlet_exit&) {  // a quiet end
    } catch (...) {
        note_failure(std::current_exception());
    }
}

void crew::note_failure(std::exception_ptr error) noexcept {
    {
        const std::lock_guard held(mutex);
        if (failure == nullptr) failure = std::exchange(error, nullptr);
    }
    stop.request_stop();
    if (error != nullptr) tell(error);
}

void crew::count_ended(std::size_t ended) noexcept {
    bool last = false;
    {
        const std::lock_guard held(mutex);
        last = (left -= ended) == 0;
    }
    if (last) over.set();
}

void crew::join_threads() {
    const std::lock_guard held(joining);
    for (std::thread& t : threads) {
        if (t.joinable()) t.join();
    }
}

}  // namespace detail

// What the object holds, in parent and child.
class workers::inside final : detail::fork_watcher {
public:
    explicit inside(std::size_t n) : crew(std::make_shared<detail::crew>(n)) {}

    std::shared_ptr<detail::crew> crew;  // shared with the threads

private:
    void in_child() noexcept override {
        const std::size_t n = crew->doors.size();
        detail::give_up(crew);
        detail::give_up(detail::this_worker.of);  // if it is a worker that forked: its end is nobody's business
        crew = std::make_shared<detail::crew>(n);
        for (auto& door : crew->doors) door = std::make_shared<detail::hub_door>();
        crew->note_failure(std::make_exception_ptr(left_in_parent("workers: fork left them in the parent process")));
        crew->seen = true;
        crew->count_ended(n);
    }

    detail::fork_registration at_forks_{*this};
};

detail::crew& workers::crew() const noexcept { return *inside_->crew; }

workers::workers(const body& f, std::size_t n) {
    if (n == 0) throw std::invalid_argument("workers: without threads nothing would ever run");
    if (f == nullptr) detail::throw_null_callable("workers");
    detail::attend();
    const shield to_the_end;
    inside_ = std::make_unique<inside>(n);
    detail::crew& c = crew();
    std::size_t made = 0;
    try {
        for (; made < n; ++made) {
            c.threads.reserve(n);
            c.threads.emplace_back([crew = inside_->crew, made, mine = f]() mutable {
                detail::this_worker.of = crew;
                const body own = std::move(mine);
                crew->work(made, own);
            });
        }
    } catch (...) {
        c.stop.request_stop();
        c.count_ended(n - made);
        c.over.wait();
        c.join_threads();
        throw;
    }
    for (std::size_t i = 0; i < n; ++i) c.arrived.acquire();
}

workers::~workers() {
    detail::crew& c = crew();
    c.stop.request_stop();
    try {
        const shield to_the_end;
        c.over.wait();
    } catch (const error&) {  // nothing may park here: the thread itself waits, next
    }
    c.join_threads();
    if (c.failure != nullptr && !c.seen) detail::tell(c.failure);
}

void workers::join() { join_within(std::chrono::nanoseconds::max()); }

bool workers::join_within(std::chrono::nanoseconds length) {
    detail::crew& c = crew();
    if (detail::this_worker.of == inside_->crew)
        throw self_deadlock("workers: joined by one of them, which would wait for itself");
    if (!c.over.wait_for(length)) return false;
    c.join_threads();
    std::unique_lock held(c.mutex);
    if (c.failure == nullptr) return true;
    c.seen = true;
    const std::exception_ptr thrown = c.failure;
    held.unlock();
    std::rethrow_exception(thrown);
}

bool workers::request_stop() noexcept { return crew().stop.request_stop(); }

bool workers::stop_requested() const noexcept { return crew().stop.stop_requested(); }

std::size_t workers::size() const noexcept { return crew().doors.size(); }

hub_handle workers::hub(std::size_t i) const {
    if (i >= size()) {
        throw std::out_of_range("workers: there is no number " + std::to_string(i) + " of " + std::to_string(size()));
    }
    if (crew().doors[i] == nullptr) throw thread_exited("workers: number " + std::to_string(i) + " never had a hub");
    return hub_handle::through(crew().doors[i]);
}

}  // namespace copse
