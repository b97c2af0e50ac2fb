// The tasks of an imap, between the fiber that reads the input and the one that takes the results.
//
//   reader    await_room, make_task, spawn, add … end
//   consumer  next … (abandon)
#pragma once

#include <cstddef>
#include <exception>
#include <memory>

#include <copse/detail/fiber_core.hpp>
#include <copse/detail/wait.hpp>
#include <copse/fiber.hpp>
#include <copse/semaphore.hpp>

namespace copse::detail {

enum class result_order : bool { of_input, of_finish };

class task_line;

struct task_place : wait_link {};

/// A task that has been started and not been taken. Owned by the line.
struct task final : observer, task_place {
    explicit task(task_line& in);
    task_line& of;
    any_fiber work;
    bool finished = false;
};

class task_line {
public:
    /// Throws:  std::invalid_argument for a bound of 0.
    task_line(result_order order, std::size_t bound);
    task_line(const task_line&) = delete;
    task_line& operator=(const task_line&) = delete;
    ~task_line();

    bool begun() const noexcept { return !reader_.empty(); }
    void begin(any_fiber reader) noexcept;

    /// Parks:   until the bound allows one more task.
    void await_room() { room_.acquire(); }
    std::unique_ptr<task> make_task() { return std::make_unique<task>(*this); }
    void add(std::unique_ptr<task> made, any_fiber work) noexcept;
    /// No more tasks come; why, if there is a reason.
    void end(std::exception_ptr failure) noexcept;

    /// Takes the next finished task, in order.
    /// Parks:   until there is one, or none can come.
    /// Returns: empty if none comes any more.
    any_fiber next();
    /// Why the input ended; null if it just did, and from the second time on.
    std::exception_ptr take_failure() noexcept { return std::exchange(failure_, nullptr); }

    /// Kills reader and tasks, and waits for them.
    void abandon() noexcept;

private:
    friend struct task;
    static void told(observer& o) noexcept;
    void note_finished(task& t) noexcept;
    task* first_finished() const noexcept;
    bool over() const noexcept { return ended_ && under_way_.empty() && finished_.empty(); }
    void tell_consumers() noexcept;
    any_fiber take(task& t) noexcept;

    // However the reader ends: one that is killed before it runs says nothing itself.
    struct reader_end final : observer {
        explicit reader_end(task_line& in) noexcept;
        task_line& of;
    };

    const result_order order_;
    semaphore room_;
    reader_end at_the_end_{*this};
    any_fiber reader_;
    ring<task_place> under_way_;  // of_input: also those that have finished
    ring<task_place> finished_;   // of_finish: in that order
    wait_list consumers_;
    std::exception_ptr failure_;
    bool ended_ = false;
};

}  // namespace copse::detail
