// Lookups by c-ares: one thread for all of them, which owns the channel and sleeps in poll().
//
// Invariants:
//   - The channel is touched by the engine's thread alone.
//   - Every question is answered once: by c-ares, or, when the channel ends, as abandoned.
#include <ares.h>
#include <netdb.h>
#include <poll.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/time.h>
#include <unistd.h>

#include <cerrno>
#include <map>
#include <mutex>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <copse/io/descriptor.hpp>

#include "failure.hpp"
#include "lookup.hpp"

namespace copse::io::detail {

namespace {

int error_of(int status) noexcept {
    switch (status) {
    case ARES_SUCCESS: return 0;
    case ARES_ENODATA: return EAI_NODATA;
    case ARES_ENOTFOUND:
    case ARES_ENONAME:
    case ARES_EBADNAME: return EAI_NONAME;
    case ARES_ENOMEM: return EAI_MEMORY;
    case ARES_ETIMEOUT:
    case ARES_ECONNREFUSED:
    case ARES_ESERVFAIL: return EAI_AGAIN;
    default: return EAI_FAIL;
    }
}

lookup_outcome failed(int status) {
    const bool ended = status == ARES_EDESTRUCTION || status == ARES_ECANCELLED;
    return {.error = error_of(status), .abandoned = ended};
}

void must(int status, const char* what) {
    if (status != ARES_SUCCESS)
        throw std::invalid_argument(std::string("resolver: ") + what + ": " + ares_strerror(status));
}

/// c-ares is begun once in a process, and never ended.
void begin_library() {
    static const int status = ares_library_init(ARES_LIB_INIT_ALL);
    must(status, "c-ares");
}

/// Takes over what c-ares was given to hold.
std::unique_ptr<lookup_answer> held(void* answer) {
    return std::unique_ptr<lookup_answer>(static_cast<lookup_answer*>(answer));
}

void on_addresses(void* answer, int status, int /*timeouts*/, ares_addrinfo* list) {
    const std::unique_ptr<lookup_answer> to = held(answer);
    const std::unique_ptr<ares_addrinfo, void (*)(ares_addrinfo*)> all(list, ares_freeaddrinfo);
    if (status != ARES_SUCCESS) return (*to)(failed(status));
    lookup_outcome came;
    for (const ares_addrinfo_node* one = list->nodes; one != nullptr; one = one->ai_next)
        came.found.push_back(endpoint::from_native(one->ai_addr, one->ai_addrlen));
    if (came.found.empty()) came.error = EAI_NODATA;
    (*to)(std::move(came));
}

void on_name(void* answer, int status, int /*timeouts*/, char* name, char* /*service*/) {
    const std::unique_ptr<lookup_answer> to = held(answer);
    if (status != ARES_SUCCESS) return (*to)(failed(status));
    (*to)({.name = name});
}

class cares_engine final : public lookup_engine {
public:
    explicit cares_engine(const resolver_options& with) : bell_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
        begin_library();
        if (!bell_) fail(errno, "resolver: eventfd");
        ares_options options{};
        options.sock_state_cb = [](void* self, ares_socket_t fd, int readable, int writable) {
            static_cast<cares_engine*>(self)->watch(fd, readable != 0, writable != 0);
        };
        options.sock_state_cb_data = this;
        must(ares_init_options(&channel_, &options, ARES_OPT_SOCK_STATE_CB), "c-ares");
        try {
            if (!with.servers.empty()) must(ares_set_servers_ports_csv(channel_, with.servers.c_str()), "its servers");
            thread_ = start_thread();
        } catch (...) {
            ares_destroy(channel_);
            throw;
        }
    }

    ~cares_engine() override {
        {
            const std::lock_guard held_now(mutex_);
            ending_ = true;
        }
        ring();
        thread_.join();
        put(questions_);
        ares_destroy(channel_);  // answers all that are left
    }

    void find_addresses(std::string name, int family, lookup_answer answer) override {
        give(std::move(answer), [n = std::move(name), family](ares_channel channel, lookup_answer* to) {
            ares_addrinfo_hints wanted{};
            wanted.ai_family = family;
            wanted.ai_socktype = SOCK_STREAM;
            ares_getaddrinfo(channel, n.c_str(), nullptr, &wanted, on_addresses, to);
        });
    }

    void find_name(const endpoint& address, lookup_answer answer) override {
        give(std::move(answer), [address](ares_channel channel, lookup_answer* to) {
            ares_getnameinfo(channel, address.native(), address.native_size(), ARES_NI_NAMEREQD | ARES_NI_LOOKUPHOST,
                             on_name, to);
        });
    }

private:
    struct question {
        std::function<void(ares_channel, lookup_answer*)> put;
        std::unique_ptr<lookup_answer> answer;  // c-ares holds it once it is put
    };

    /// No signal is for it, but those that it makes itself.
    std::thread start_thread() {
        sigset_t all;
        sigset_t before;
        sigfillset(&all);
        for (const int own : {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT}) sigdelset(&all, own);
        ::pthread_sigmask(SIG_SETMASK, &all, &before);
        const std::unique_ptr<const sigset_t, void (*)(const sigset_t*)> back(
            &before, [](const sigset_t* mask) { ::pthread_sigmask(SIG_SETMASK, mask, nullptr); });
        return std::thread([this] { run(); });
    }

    void give(lookup_answer answer, std::function<void(ares_channel, lookup_answer*)> put) {
        auto held_here = std::make_unique<lookup_answer>(std::move(answer));
        {
            const std::lock_guard held_now(mutex_);
            questions_.push_back({std::move(put), std::move(held_here)});
        }
        ring();
    }

    void ring() noexcept {
        constexpr std::uint64_t once = 1;
        while (::write(bell_.get(), &once, sizeof once) < 0 && errno == EINTR) {}
    }

    void watch(int fd, bool readable, bool writable) {
        if (!readable && !writable) {
            sockets_.erase(fd);
        } else {
            sockets_[fd] = static_cast<short>((readable ? POLLIN : 0) | (writable ? POLLOUT : 0));
        }
    }

    void run() {
        while (ask()) {
            std::vector<pollfd> all{{.fd = bell_.get(), .events = POLLIN, .revents = 0}};
            for (const auto& [fd, events] : sockets_) all.push_back({.fd = fd, .events = events, .revents = 0});
            ::poll(all.data(), all.size(), milliseconds_to_wait());
            process(all);
        }
    }

    /// Puts what has been given to c-ares. Returns: false at the end.
    bool ask() {
        std::vector<question> taken;
        {
            const std::lock_guard held_now(mutex_);
            if (ending_) return false;
            taken.swap(questions_);
        }
        put(taken);
        return true;
    }

    void put(std::vector<question>& taken) {
        for (question& q : taken) q.put(channel_, q.answer.release());
    }

    int milliseconds_to_wait() {
        timeval room{};
        const timeval* const wait = ares_timeout(channel_, nullptr, &room);
        if (wait == nullptr) return -1;
        return static_cast<int>(wait->tv_sec * 1000 + (wait->tv_usec + 999) / 1000);
    }

    /// Also when nothing happened: time has passed.
    void process(const std::vector<pollfd>& all) {
        std::uint64_t rung = 0;
        if (::read(bell_.get(), &rung, sizeof rung) < 0) rung = 0;  // EAGAIN: it was a socket, or the time
        constexpr int broken = POLLERR | POLLHUP | POLLNVAL;
        bool any = false;
        for (const pollfd& one : all) {
            if (one.fd == bell_.get() || one.revents == 0) continue;
            any = true;
            ares_process_fd(channel_, (one.revents & (POLLIN | broken)) != 0 ? one.fd : ARES_SOCKET_BAD,
                            (one.revents & POLLOUT) != 0 ? one.fd : ARES_SOCKET_BAD);
        }
        if (!any) ares_process_fd(channel_, ARES_SOCKET_BAD, ARES_SOCKET_BAD);
    }

    ares_channel channel_ = nullptr;
    std::map<int, short> sockets_;  // of c-ares, and the events that it waits for
    descriptor bell_;               // rung for questions and for the end
    std::mutex mutex_;
    std::vector<question> questions_;  // guarded by mutex_
    bool ending_ = false;              // guarded by mutex_
    std::thread thread_;
};

}  // namespace

std::unique_ptr<lookup_engine> make_cares_engine(const resolver_options& with) {
    return std::make_unique<cares_engine>(with);
}

}  // namespace copse::io::detail
