// Starting a program. posix_spawn does it without a copy of our memory, without pthread_atfork, and tells what exec says.
//
// Everything here is CLOEXEC from its making on, so that programs that other threads start meanwhile see none of it.
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <stdexcept>
#include <string_view>
#include <utility>

#include <copse/io/socket.hpp>

#include "child.hpp"
#include "failure.hpp"
#include "reactor.hpp"
#include "system_calls.hpp"

extern char** environ;  // NOLINT: POSIX wants it declared by hand

namespace copse::io {

redirect redirect::give(socket&& connection) {
    auto given = std::make_shared<const io::descriptor>(connection.release());
    const int fd = given->get();
    if (fd < 0) detail::fail(EBADF, "redirect::give of a closed socket");
    const int flags = ::fcntl(fd, F_GETFL);
    if (flags < 0 || ::fcntl(fd, F_SETFL, flags & ~O_NONBLOCK) != 0) detail::fail(errno, "redirect::give", fd);
    redirect to(number, {}, fd, false);
    to.given_ = std::move(given);
    return to;
}

environment current_environment() {
    environment all;
    for (char** at = ::environ; at != nullptr && *at != nullptr; ++at) {
        const std::string_view text(*at);
        const std::size_t end = text.find('=', 1);  // a name that begins with '=' is one of Windows'
        if (end != std::string_view::npos) all.emplace(text.substr(0, end), text.substr(end + 1));
    }
    return all;
}

namespace detail {

namespace {

using strings = std::vector<std::string>;

void must_have_no_nul(const std::string& text, const std::string& what) {
    if (text.find('\0') != std::string::npos) throw std::invalid_argument("process: a NUL in " + what);
}

std::vector<char*> pointers_to(strings& texts) {
    std::vector<char*> all;
    all.reserve(texts.size() + 1);
    for (std::string& text : texts) all.push_back(text.data());
    all.push_back(nullptr);
    return all;
}

strings checked(const strings& arguments) {
    if (arguments.empty()) throw std::invalid_argument("process: no arguments, not even a program");
    for (std::size_t i = 0; i < arguments.size(); ++i) must_have_no_nul(arguments[i], "argument " + std::to_string(i));
    return arguments;
}

strings texts_of(const environment& env) {
    strings texts;
    texts.reserve(env.size());
    for (const auto& pair : env) {
        if (pair.first.empty() || pair.first.find('=') != std::string::npos)
            throw std::invalid_argument("process: \"" + pair.first + "\" is no name in an environment");
        must_have_no_nul(pair.first + pair.second, "the environment, at " + pair.first);
        texts.push_back(pair.first + '=' + pair.second);
    }
    return texts;
}

void check(int error, const char* what) {
    if (error != 0) fail(error, std::string("process: ") + what);
}

/// What the child does before it becomes the program.
class actions {
public:
    actions() { check(::posix_spawn_file_actions_init(&all_), "posix_spawn_file_actions_init"); }
    actions(const actions&) = delete;
    actions& operator=(const actions&) = delete;
    ~actions() { ::posix_spawn_file_actions_destroy(&all_); }

    void change_directory(const std::string& to) {
        must_have_no_nul(to, "cwd");
        check(::posix_spawn_file_actions_addchdir_np(&all_, to.c_str()), "cwd");
    }
    void duplicate(int from, int to) { check(::posix_spawn_file_actions_adddup2(&all_, from, to), "redirection"); }
    void close_from(int first) { check(::posix_spawn_file_actions_addclosefrom_np(&all_, first), "closefrom"); }

    const posix_spawn_file_actions_t* get() const noexcept { return &all_; }

private:
    posix_spawn_file_actions_t all_;
};

/// Signals are its own affair: none is blocked, and those that programs like ours ignore for their own sake are not
/// ignored.
class attributes {
public:
    explicit attributes(bool new_group) {
        check(::posix_spawnattr_init(&all_), "posix_spawnattr_init");
        sigset_t none;
        sigset_t by_default;
        sigemptyset(&none);
        sigemptyset(&by_default);
        sigaddset(&by_default, SIGPIPE);
        sigaddset(&by_default, SIGXFSZ);
        const int group = new_group ? POSIX_SPAWN_SETPGROUP : 0;
        ::posix_spawnattr_setsigmask(&all_, &none);
        ::posix_spawnattr_setsigdefault(&all_, &by_default);
        ::posix_spawnattr_setflags(&all_, static_cast<short>(POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF | group));
    }
    attributes(const attributes&) = delete;
    attributes& operator=(const attributes&) = delete;
    ~attributes() { ::posix_spawnattr_destroy(&all_); }

    const posix_spawnattr_t* get() const noexcept { return &all_; }

private:
    posix_spawnattr_t all_;
};

/// A duplicate above the standard streams: the child puts those in place one after the other, and none must be in the way.
descriptor above_streams(int fd, const char* what) {
    constexpr int first = 3;
    descriptor high(::fcntl(fd, F_DUPFD_CLOEXEC, first));
    if (!high) fail(errno, what, fd);
    return high;
}

bool is_owned_here(int fd) {
    const entry* const known = reactor::here().table().find(fd);
    return known != nullptr && known->owned;
}

/// Of a pipe of ours, which does not block, a program gets an open file of its own that does: it expects nothing else.
/// A socket cannot be opened again.
descriptor for_program(int fd) {
    struct stat about {};
    const int flags = ::fcntl(fd, F_GETFL);
    const bool may_surprise = flags >= 0 && (flags & O_NONBLOCK) != 0 && ::fstat(fd, &about) == 0;
    if (may_surprise && S_ISSOCK(about.st_mode) && is_owned_here(fd))
        throw std::invalid_argument(
            describe("process: redirection", fd) +
            ": a socket of ours, which does not block: the program could not use it. Hand it over "
            "with redirect::give, or copy through redirect::pipe");
    if (may_surprise && S_ISFIFO(about.st_mode)) {
        const std::string again = "/proc/self/fd/" + std::to_string(fd);
        // Without waiting for the other end, which may have gone.
        const descriptor own(::open(again.c_str(), (flags & O_ACCMODE) | O_NONBLOCK | O_CLOEXEC));
        if (own && ::fcntl(own.get(), F_SETFL, flags & ~O_NONBLOCK) == 0)
            return above_streams(own.get(), "process: redirection");
    }
    return above_streams(fd, "process: redirection");
}

descriptor open_path(const redirect& to, int stream) {
    must_have_no_nul(to.name(), "the name of a file");
    const int how = stream == 0 ? O_RDONLY : O_WRONLY | O_CREAT | (to.appends() ? O_APPEND : O_TRUNC);
    constexpr mode_t for_all = 0666;  // less the umask
    descriptor file(::open(to.name().c_str(), how | O_CLOEXEC, for_all));
    if (!file) fail(errno, "process: open " + to.name());
    return file;
}

// Only our end does not block: the other one's O_NONBLOCK would surprise the program.
descriptor make_pipe(int stream, descriptor& ours) {
    int both[2];
    if (sys.pipe2(both, O_CLOEXEC) != 0) fail(errno, "process: pipe");
    descriptor reader(both[0]);
    descriptor writer(both[1]);
    ours = std::move(stream == 0 ? writer : reader);
    if (sys.set_nonblocking(ours.get()) != 0) fail(errno, "process: pipe");
    return std::move(stream == 0 ? reader : writer);
}

/// What the child gets as `stream`; none: what we have there.
descriptor open_stream(const redirect& to, int stream, descriptor& ours) {
    switch (to.what()) {
    case redirect::pipe: return above_streams(make_pipe(stream, ours).get(), "process: pipe");
    case redirect::path: return above_streams(open_path(to, stream).get(), "process: redirection");
    case redirect::null: {
        const descriptor null(::open("/dev/null", (stream == 0 ? O_RDONLY : O_WRONLY) | O_CLOEXEC));
        if (!null) fail(errno, "process: open /dev/null");
        return above_streams(null.get(), "process: redirection");
    }
    case redirect::number: return for_program(to.fd());
    case redirect::to_output:
        if (stream != STDERR_FILENO) throw std::invalid_argument("process: only errors can go to the output");
        break;
    case redirect::automatic:
    case redirect::inherit: break;
    }
    return {};
}

std::string describe_start(const std::string& program, const std::string& cwd) {
    return "start of \"" + program + '"' + (cwd.empty() ? "" : " in \"" + cwd + '"');
}

}  // namespace

pid_t start_child(const std::vector<std::string>& arguments, const process_options& with, child_pipes& pipes) {
    strings texts = checked(arguments);
    strings env_texts = with.env ? texts_of(*with.env) : strings();
    const std::vector<char*> argv = pointers_to(texts);
    const std::vector<char*> env = pointers_to(env_texts);

    const std::array<descriptor, 3> streams{open_stream(with.input, STDIN_FILENO, pipes.input),
                                            open_stream(with.output, STDOUT_FILENO, pipes.output),
                                            open_stream(with.errors, STDERR_FILENO, pipes.errors)};
    actions before;
    if (!with.cwd.empty()) before.change_directory(with.cwd);
    for (int stream = 0; stream < 3; ++stream) {
        const descriptor& given = streams[static_cast<std::size_t>(stream)];
        if (given) before.duplicate(given.get(), stream);
    }
    if (with.errors.what() == redirect::to_output) before.duplicate(STDOUT_FILENO, STDERR_FILENO);
    before.close_from(STDERR_FILENO + 1);
    const attributes how(with.new_group);

    pid_t pid = 0;
    const int error =
        ::posix_spawnp(&pid, argv.front(), before.get(), how.get(), argv.data(), with.env ? env.data() : ::environ);
    if (error != 0) fail(error, describe_start(arguments.front(), with.cwd));
    return pid;
}

}  // namespace detail
}  // namespace copse::io
