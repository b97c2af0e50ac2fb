#include <copse/io/process.hpp>

#include <cerrno>
#include <cstdint>
#include <exception>
#include <utility>

#include <copse/detail/lookout.hpp>
#include <copse/error.hpp>
#include <copse/fiber.hpp>
#include <copse/io/detail/lane.hpp>
#include <copse/scoped_fiber.hpp>

#include "child.hpp"
#include "failure.hpp"
#include "pipe_access.hpp"

namespace copse::io {

// What communicate has done so far: it may be gone on with.
struct process::exchange {
    /// Until all streams have ended.
    /// Throws:  what the first of them threw that failed; timed_out. Those that go on then are ended.
    void talk(process& of, std::int64_t deadline);

    detail::lane talking;
    std::string input;
    std::size_t written = 0;
    std::string output;
    std::string errors;
};

namespace {

[[noreturn]] void fail_too_much(pid_t pid, const char* stream, std::size_t most) {
    throw transfer_error(std::make_error_code(std::errc::file_too_large),
                         "communicate with process " + std::to_string(pid) + ", more than " + std::to_string(most) +
                             " bytes of " + stream,
                         most);
}

// A stream that failed is closed: else the process would wait for us at it, and those who wait for the process with it.
// A kill or a time-out leaves it as it is: communicate may be gone on with.

void feed(pipe_writer& to, const std::string& text, std::size_t& written) {
    try {
        while (written < text.size()) written += to.write(std::string_view(text).substr(written));
    } catch (const std::system_error& e) {
        to.close();
        if (e.code() != std::errc::broken_pipe) throw;  // it has read as much as it wanted
    }
    to.close();
}

void drain(pipe_reader& from, std::string& into, std::size_t most, const detail::child& of, const char* stream) {
    try {
        while (const pooled_buffer chunk = from.read_pooled()) {
            if (chunk.size() > most - into.size()) {
                of.signal(SIGKILL);
                fail_too_much(of.pid(), stream, most);
            }
            into += chunk.text();
        }
    } catch (const std::system_error&) {
        from.close();
        throw;
    }
    from.close();
}

[[noreturn]] void fail_late(pid_t of) {
    throw timed_out(std::make_error_code(std::errc::timed_out),
                    "communicate with process " + std::to_string(of) + ", its time is over", 0);
}

}  // namespace

process::process(const std::vector<std::string>& arguments, const process_options& with)
    : max_output_(with.max_output) {
    detail::child_pipes pipes;
    child_ = std::make_shared<detail::child>();  // first: nobody would know of a process without it
    child_->adopt(detail::start_child(arguments, with, pipes));
    try {
        if (pipes.input) input_ = detail::pipe_access::writer_of(pipes.input.release());
        if (pipes.output) output_ = detail::pipe_access::reader_of(pipes.output.release());
        if (pipes.errors) errors_ = detail::pipe_access::reader_of(pipes.errors.release());
    } catch (...) {
        end();
        throw;
    }
}

process::process() noexcept = default;
process::process(process&& other) noexcept = default;

process& process::operator=(process&& other) noexcept {
    if (this == &other) return *this;
    end();
    child_ = std::move(other.child_);
    input_ = std::move(other.input_);
    output_ = std::move(other.output_);
    errors_ = std::move(other.errors_);
    exchange_ = std::move(other.exchange_);
    max_output_ = other.max_output_;
    return *this;
}

process::~process() { end(); }

void process::end() noexcept {
    const std::shared_ptr<detail::child> ended = std::move(child_);
    if (ended == nullptr || !ended->is_ours() || ended->look()) return;
    try {
        ended->signal(SIGKILL);
    } catch (const std::system_error&) {
        return;  // it has become another user's, and cannot be ended by us
    }
    try {
        spawn(spawn_options{.name = "end of process " + std::to_string(ended->pid())}, [ended] {
            detail::limit never;
            ended->wait(never);
        });
    } catch (...) {
        ended
            ->wait_blocking();  // no memory for a fiber, or the thread is ending: it has been killed and will not be long
    }
}

// Every stream in a fiber of its own. One that fails ends the others: they may be open for ever, in programs that ours
// has started.
void process::exchange::talk(process& of, std::int64_t deadline) {
    std::exception_ptr failure;
    copse::detail::lookout all("communicate");
    const auto in_fiber = [&](auto work) {
        fiber<void> made = spawn([&failure, work] {
            try {
                work();
            } catch (const std::exception&) {
                if (failure == nullptr) failure = std::current_exception();
            }
        });
        all.add(made);
        return made;
    };
    const detail::child& c = *of.child_;
    const std::size_t most = of.max_output_;
    scoped_fiber<void> feeding;
    scoped_fiber<void> draining;
    scoped_fiber<void> reading;
    if (of.input_) feeding = scoped_fiber<void>(in_fiber([&] { feed(of.input_, input, written); }));
    if (of.errors_) draining = scoped_fiber<void>(in_fiber([&] { drain(of.errors_, errors, most, c, "its errors"); }));
    if (of.output_) reading = scoped_fiber<void>(in_fiber([&] { drain(of.output_, output, most, c, "its output"); }));
    while (all.left() != 0) {
        if (!all.next(deadline)) fail_late(c.pid());
        if (failure != nullptr) std::rethrow_exception(failure);
    }
}

pid_t process::pid() const noexcept { return child_ != nullptr ? child_->pid() : 0; }

detail::child& process::use(const char* operation) const {
    if (child_ == nullptr) throw empty_handle(std::string(operation) + ": there is no process");
    if (!child_->is_ours())
        throw left_in_parent(std::string(operation) + ": process " + std::to_string(child_->pid()) +
                             " is a child of the parent process");
    return *child_;
}

std::optional<exit_status> process::wait_by(detail::limit within) const {
    use("wait");
    const std::shared_ptr<detail::child> held = child_;  // this may end meanwhile
    return held->wait(within);
}

std::optional<exit_status> process::poll() const { return use("poll").look(); }

bool process::kill(int signal) const {
    detail::child& c = use("kill");
    return !c.look() && c.signal(signal);
}

exit_status process::stop_by(detail::limit within) const {
    use("stop_for");
    const std::shared_ptr<detail::child> held = child_;
    held->signal(SIGTERM);
    if (const std::optional<exit_status> status = held->wait(within)) return *status;
    held->signal(SIGKILL);
    detail::limit never;
    return *held->wait(never);
}

process_result process::communicate_by(std::string_view input, detail::limit within) {
    use("communicate");
    const std::shared_ptr<detail::child> held = child_;
    if (exchange_ == nullptr) {
        if (!input.empty() && !input_)
            throw std::invalid_argument("communicate: its input is no pipe of ours, or closed already");
        exchange_ = std::make_unique<exchange>();
        exchange_->input = input;
    }
    std::optional<exit_status> status;
    {
        const detail::lane::use alone(exchange_->talking, "communicate");
        if (!input.empty() && input != exchange_->input)
            throw std::invalid_argument("communicate goes on with the input that it was given first");
        exchange_->talk(*this, within.deadline());
        if (!(status = held->wait(within))) fail_late(held->pid());
    }
    const std::unique_ptr<exchange> done = std::move(exchange_);
    return {*status, std::move(done->output), std::move(done->errors)};
}

pid_t process::detach() noexcept {
    const std::shared_ptr<detail::child> let_go = std::move(child_);
    return let_go != nullptr ? let_go->pid() : 0;
}

}  // namespace copse::io
