/// Processes: programs that are started, fed, read from, waited for and ended.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <csignal>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include <copse/io/detail/limit.hpp>
#include <copse/io/exit_status.hpp>
#include <copse/io/pipe.hpp>
#include <copse/io/process_options.hpp>

namespace copse::io {

namespace detail {
class child;
}  // namespace detail

/// What a process left: how it ended, and what it wrote to the streams that were pipes.
struct process_result {
    exit_status status;
    std::string output;
    std::string errors;
};

/// A process that we have started.
///
/// The program gets its arguments as they are: there is no shell. It is looked for in PATH if its name has no slash. It
/// sees the descriptors 0, 1 and 2 and no other, blocks no signal, and takes SIGPIPE and SIGXFSZ by default; handlers
/// of fork (pthread_atfork) are not called, and it does not matter what other threads do (posix_spawn).
///
///     copse::io::process sort({"sort", "-r"}, {.input = redirect::pipe, .output = redirect::pipe});
///     auto [status, sorted, none] = sort.communicate("a\nc\nb\n");
///
/// Its end is waited for through a pidfd: on any thread, by any number of fibers, whoever handles SIGCHLD. No other
/// child is ever waited for. The object and its pipes belong to the thread that made them.
///
/// A process does not outlive its object unless it is detached: the destructor kills it (SIGKILL, and only it, not
/// those that it has started) and takes its status in the background, so that no zombie stays. So a kill or a timeout
/// of the fiber that holds it, ends it. In the child of a fork the object does nothing to the process, which is the
/// parent's.
class process {
public:
    /// No process.
    process() noexcept;

    /// Starts the program `arguments[0]`. The thread waits until it has begun: about a millisecond.
    /// Parks:   no.
    /// Throws:  std::system_error that names the program: ENOENT, EACCES, ENOEXEC (no shell is tried), E2BIG, ENOMEM,
    ///          EAGAIN; EMFILE; what the opening of a redirection gave; std::invalid_argument for no arguments, a NUL
    ///          in a text, a name in the environment that is empty or has '=', `to_output` of another stream than
    ///          errors, and the number of a socket of ours (see redirect::give). Then nothing has been started and no
    ///          descriptor is left.
    explicit process(const std::vector<std::string>& arguments, const process_options& with = {});
    process(process&& other) noexcept;
    /// Ends ours as the destructor does.
    process& operator=(process&& other) noexcept;
    /// Parks:   no.
    ~process();

    /// There is a process, running or not.
    explicit operator bool() const noexcept { return child_ != nullptr; }
    /// Of a process that has been waited for, the number may be another's by now. 0 if there is none.
    pid_t pid() const noexcept;

    /// Our ends of the streams that were redirected to `pipe`; closed ones otherwise.
    pipe_writer& input() noexcept { return input_; }
    pipe_reader& output() noexcept { return output_; }
    pipe_reader& errors() noexcept { return errors_; }

    /// Waits for its end. A process that waits for us to read its pipe does not end: see communicate.
    /// Parks:   until it has ended.
    /// Returns: how, however often it is asked.
    /// Throws:  empty_handle if there is no process; greenlet_exit when this fiber is killed …
    exit_status wait() const { return *wait_by({}); }
    /// Returns: empty if `length` went by first. A length of 0 gives the others one turn.
    template <class Rep, class Period>
    std::optional<exit_status> wait_for(std::chrono::duration<Rep, Period> length) const {
        return wait_by(detail::limit::within(length));
    }
    template <class Clock, class Duration>
    std::optional<exit_status> wait_until(std::chrono::time_point<Clock, Duration> when) const {
        return wait_by(detail::limit::until(when));
    }
    /// Parks:   no. Returns: empty while it runs.
    std::optional<exit_status> poll() const;

    /// Sends it a signal, and never another process that got its number.
    /// Parks:   no.
    /// Returns: false if it has ended.
    /// Throws:  std::system_error (EINVAL; EPERM: it has changed its user); empty_handle.
    bool kill(int signal = SIGKILL) const;
    bool terminate() const { return kill(SIGTERM); }

    /// Asks it to end (SIGTERM), gives it `length`, kills it then, and waits for its end.
    /// Parks:   until it has ended.
    /// Returns: how it ended.
    template <class Rep, class Period>
    exit_status stop_for(std::chrono::duration<Rep, Period> length) const {
        return stop_by(detail::limit::within(length));
    }

    /// Writes `input` and closes its input, reads output and errors to their ends, all at once so that neither waits
    /// for the other, whatever the sizes, and waits for the process. A process that closes its input early is no error.
    /// The streams end when all that have them have closed them: also what the process has started itself and left
    /// behind.
    /// Parks:   until then.
    /// Returns: what was read, and how it ended. The streams that are no pipes are empty.
    /// Throws:  timed_out; transfer_error(file_too_large) for more than `max_output` bytes of a stream: the process is
    ///          killed then, and nobody waits for the other streams; std::invalid_argument for input without a pipe to
    ///          write it to; concurrent_use if another fiber communicates or uses a pipe; empty_handle.
    /// After:   a kill or time-out: the process runs on, what was read and what is not yet written is kept, and another
    ///          communicate with the same input or none goes on from there. The object must not be moved or end meanwhile.
    process_result communicate(std::string_view input = {}) { return communicate_by(input, {}); }
    template <class Rep, class Period>
    process_result communicate_for(std::chrono::duration<Rep, Period> length, std::string_view input = {}) {
        return communicate_by(input, detail::limit::within(length));
    }
    template <class Clock, class Duration>
    process_result communicate_until(std::chrono::time_point<Clock, Duration> when, std::string_view input = {}) {
        return communicate_by(input, detail::limit::until(when));
    }

    /// Lets it run on by itself. Whoever takes over its pid also takes its status: else it is a zombie from its end to
    /// ours.
    /// Returns: its pid; 0 if there is none.
    pid_t detach() noexcept;

private:
    struct exchange;

    detail::child& use(const char* operation) const;
    std::optional<exit_status> wait_by(detail::limit within) const;
    exit_status stop_by(detail::limit within) const;
    process_result communicate_by(std::string_view input, detail::limit within);
    void end() noexcept;

    std::shared_ptr<detail::child> child_;  // shared with those who wait
    pipe_writer input_;
    pipe_reader output_;
    pipe_reader errors_;
    std::unique_ptr<exchange> exchange_;  // from the first communicate on
    std::size_t max_output_ = 0;
};

/// Runs a program to its end. `automatic` streams: the input is `input`, or empty; output and errors are in the result.
/// A limit in time: `with_timeout(5s, [] { return run({"make"}); })`, which ends the program.
/// Parks:   until it has ended.
/// Throws:  as process and communicate. That it exits with something else than 0 is no error.
process_result run(const std::vector<std::string>& arguments, process_options with = {}, std::string_view input = {});

/// A program did not exit with 0.
class process_failed : public std::runtime_error {
public:
    process_failed(const std::string& text, process_result what)
        : std::runtime_error(text), result_(std::make_shared<const process_result>(std::move(what))) {}
    ~process_failed() override;

    const process_result& result() const noexcept { return *result_; }

private:
    std::shared_ptr<const process_result> result_;  // exceptions are copied, and that must not throw
};

/// The same, for what it writes to its output.
/// Throws:  also process_failed unless it exits with 0: how it ended, and the last of what it wrote to its errors.
std::string check_output(const std::vector<std::string>& arguments, process_options with = {},
                         std::string_view input = {});

}  // namespace copse::io
