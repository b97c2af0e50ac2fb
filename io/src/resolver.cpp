// Invariant: a lookup stands among those that run from the moment that somebody asks until it is settled, once.
#include <copse/io/resolver.hpp>

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <map>
#include <memory>
#include <mutex>
#include <new>
#include <optional>
#include <stdexcept>
#include <system_error>
#include <utility>

#include <copse/io/error.hpp>
#include <copse/shared/async_result.hpp>
#include <copse/spawn.hpp>
#include <copse/thread_pool.hpp>

#include "failure.hpp"
#include "lookup.hpp"
#include "name_lookup.hpp"
#include "named_time.hpp"
#include "system_calls.hpp"

namespace copse::io {

namespace {

using addresses = std::vector<endpoint>;
using outcome = detail::lookup_outcome;
using steady = std::chrono::steady_clock;

[[noreturn]] void fail_lookup(int error, int error_number, const std::string& name) {
    if (error == EAI_SYSTEM) detail::fail(error_number, "looking up " + name);
    throw std::system_error(error, name_category(), "looking up " + name);
}

[[noreturn]] void fail_late(const std::string& name) {
    throw timed_out(std::make_error_code(std::errc::timed_out), "looking up " + name + ", its time is over", 0);
}

outcome ask_the_system(const std::string& name, int family) {
    addrinfo wanted{};
    wanted.ai_family = family;
    wanted.ai_socktype = SOCK_STREAM;
    wanted.ai_flags = AI_ADDRCONFIG;
    addrinfo* list = nullptr;
    if (const int error = detail::sys.getaddrinfo(name.c_str(), nullptr, &wanted, &list); error != 0)
        return {.error = error, .error_number = errno};
    const std::unique_ptr<addrinfo, void (*)(addrinfo*)> all(list, detail::sys.freeaddrinfo);
    outcome answer;
    for (const addrinfo* one = list; one != nullptr; one = one->ai_next)
        answer.found.push_back(endpoint::from_native(one->ai_addr, one->ai_addrlen));
    if (answer.found.empty()) answer.error = EAI_NODATA;
    return answer;
}

outcome ask_for_name(const endpoint& address) {
    char name[NI_MAXHOST];
    const int error =
        detail::sys.getnameinfo(address.native(), address.native_size(), name, sizeof name, nullptr, 0, NI_NAMEREQD);
    if (error != 0) return {.error = error, .error_number = errno};
    return {.name = name};
}

void check(std::string_view host, int family) {
    const auto refuse = [](const std::string& why) { throw std::invalid_argument("resolve: " + why); };
    if (host.empty()) refuse("the name is empty");
    if (host.find('\0') != std::string_view::npos) refuse("the name has a NUL in it");
    if (host.size() >= NI_MAXHOST) refuse("the name is " + std::to_string(host.size()) + " bytes long");
    if (family != AF_UNSPEC && family != AF_INET && family != AF_INET6)
        refuse("family " + std::to_string(family) + " is neither AF_INET nor AF_INET6");
}

// What need not be asked for; else empty.
addresses known_here(const std::string& host, int family) {
    if (host == "localhost") {
        if (family != AF_UNSPEC) return {endpoint::loopback(0, family)};
        return {endpoint::loopback(0), endpoint::loopback(0, AF_INET6)};
    }
    addrinfo wanted{};
    wanted.ai_family = family;
    wanted.ai_socktype = SOCK_STREAM;
    wanted.ai_flags = AI_NUMERICHOST;
    addrinfo* found = nullptr;
    if (detail::sys.getaddrinfo(host.c_str(), nullptr, &wanted, &found) != 0) return {};
    const std::unique_ptr<addrinfo, void (*)(addrinfo*)> all(found, detail::sys.freeaddrinfo);
    return {endpoint::from_native(found->ai_addr, found->ai_addrlen)};
}

}  // namespace

namespace {

using key = std::pair<std::string, int>;
using answer = copse::shared::async_result<outcome>;

// What is being looked up, and what has been.
class answers {
public:
    explicit answers(const resolver_options& with) : keep_(with.keep), most_(with.names) {}

    /// Returns: the answer, and whether it is for the caller to bring it about.
    std::pair<std::shared_ptr<answer>, bool> find_or_begin(const key& name) {
        const std::lock_guard held(mutex_);
        if (const auto at = running_.find(name); at != running_.end()) return {at->second, false};
        if (const auto at = kept_.find(name); at != kept_.end() && steady::now() < at->second.until)
            return {at->second.found, false};
        auto begun = std::make_shared<answer>();
        running_.emplace(name, begun);
        return {std::move(begun), true};
    }

    void end(const key& name, const std::shared_ptr<answer>& found, bool successful) noexcept {
        const std::lock_guard held(mutex_);
        running_.erase(name);
        if (!successful || keep_ <= std::chrono::nanoseconds::zero() || most_ == 0) return;
        if (kept_.size() >= most_ && kept_.find(name) == kept_.end()) make_room();
        try {
            kept_[name] = {found, steady::now() + keep_};
        } catch (const std::bad_alloc&) {
            return;  // without memory nothing is kept, and who waits is answered all the same
        }
    }

    void forget() {
        const std::lock_guard held(mutex_);
        kept_.clear();
    }

    std::size_t running() const {
        const std::lock_guard held(mutex_);
        return running_.size();
    }

private:
    struct kept_answer {
        std::shared_ptr<answer> found;
        steady::time_point until;
    };

    // Those that are too old go; if there are none, the oldest.
    void make_room() {
        std::erase_if(kept_, [now = steady::now()](const auto& each) { return each.second.until <= now; });
        if (kept_.size() < most_) return;
        kept_.erase(std::min_element(kept_.begin(), kept_.end(),
                                     [](const auto& a, const auto& b) { return a.second.until < b.second.until; }));
    }

    const std::chrono::nanoseconds keep_;
    const std::size_t most_;
    mutable std::mutex mutex_;
    std::map<key, std::shared_ptr<answer>> running_;  // guarded by mutex_
    std::map<key, kept_answer> kept_;                 // guarded by mutex_
};

// A lookup. Kept on another thread, so that no hub that is busy delays the others; abandoned if it never comes there.
class promise {
public:
    /// For one who waits alone.
    explicit promise(std::shared_ptr<answer> to) : answer_(std::move(to)) {}
    /// For all who ask `in` for this name.
    promise(std::shared_ptr<answer> to, std::shared_ptr<answers> in, key name)
        : in_(std::move(in)), name_(std::move(name)), answer_(std::move(to)) {}
    promise(const promise&) = delete;
    promise& operator=(const promise&) = delete;
    ~promise() {
        if (in_ != nullptr) in_->end(name_, answer_, outcome_.error == 0 && !outcome_.abandoned);
        answer_->set(std::move(outcome_));
    }

    void keep(outcome came) noexcept { outcome_ = std::move(came); }
    template <class Ask>
    void keep_by(const Ask& ask) noexcept {
        try {
            keep(ask());
        } catch (...) {
            keep({.error = EAI_MEMORY});
        }
    }

private:
    const std::shared_ptr<answers> in_;  // or null. Not the desk: its threads must not be what ends it
    const key name_;                     // in there
    const std::shared_ptr<answer> answer_;
    outcome outcome_{.abandoned = true};
};

}  // namespace

class resolver::desk : public std::enable_shared_from_this<desk> {
public:
    explicit desk(const resolver_options& with)
        : table(std::make_shared<answers>(with)),
          threads_({.threads = with.threads, .queue_limit = thread_pool_options::unlimited}),
          engine_(with.engine == resolver_engine::cares ? detail::make_cares_engine(with) : nullptr) {}

    bool is_of_this_process() const noexcept { return process_ == ::getpid(); }

    /// Returns: empty at the deadline.
    std::optional<addresses> ask(const key& name, detail::limit& within) {
        constexpr int attempts = 3;  // there may be no thread to be had
        for (int i = 0; i < attempts; ++i) {
            const auto [found, is_ours] = table->find_or_begin(name);
            if (is_ours) begin(name, promised(name, found));
            if (!found->wait_until(clock::time_point(std::chrono::nanoseconds(within.deadline())))) return std::nullopt;
            outcome came = found->get();
            if (came.abandoned) continue;
            if (came.error != 0) fail_lookup(came.error, came.error_number, name.first);
            return std::move(came.found);
        }
        fail_lookup(EAI_AGAIN, 0, name.first);
    }

    /// Returns: empty at the deadline.
    std::optional<outcome> ask_name(const endpoint& address, detail::limit& within) {
        const clock::time_point deadline{std::chrono::nanoseconds(within.deadline())};
        const auto came = std::make_shared<answer>();
        auto made = std::make_shared<promise>(came);  // nobody else may hold it: it is told of by its end
        if (engine_ != nullptr) {
            engine_->find_name(address, [p = std::move(made)](outcome o) { p->keep(std::move(o)); });
        } else {
            keep_on_a_thread(std::move(made), [address] { return ask_for_name(address); });
        }
        if (!came->wait_until(deadline)) return std::nullopt;
        return came->get();
    }

    const std::shared_ptr<answers> table;

private:
    // Whoever else waits for the answer asks again if it cannot even be promised.
    std::shared_ptr<promise> promised(const key& name, const std::shared_ptr<answer>& to) {
        try {
            return std::make_shared<promise>(to, table, name);
        } catch (...) {
            table->end(name, to, false);
            to->set({.abandoned = true});
            throw;
        }
    }

    void begin(const key& name, std::shared_ptr<promise> made) {
        if (engine_ != nullptr)
            return engine_->find_addresses(name.first, name.second,
                                           [p = std::move(made)](outcome came) { p->keep(std::move(came)); });
        keep_on_a_thread(std::move(made), [n = name] { return ask_the_system(n.first, n.second); });
    }

    // In a fiber of its own: who asked may be killed meanwhile, and a call whose time is over must not hold up the end of
    // the threads.
    template <class Ask>
    void keep_on_a_thread(std::shared_ptr<promise> made, Ask ask) {
        spawn({.name = "resolver"}, [held = shared_from_this(), p = std::move(made), a = std::move(ask)]() mutable {
            held->threads_.apply([q = std::move(p), b = std::move(a)] { q->keep_by(b); });
        });
    }

    const pid_t process_ = ::getpid();
    thread_pool threads_;
    const std::unique_ptr<detail::lookup_engine> engine_;
};

namespace {

const resolver_options& checked(const resolver_options& with) {
    detail::check_times("resolver", {{"keep", with.keep}});
    if (with.threads == 0) throw std::invalid_argument("resolver: `threads` is 0: nobody would ask");
    return with;
}

}  // namespace

resolver::resolver(const resolver_options& with)
    : with_(checked(with)), desk_(new std::shared_ptr<desk>(std::make_shared<desk>(with))) {}

resolver::~resolver() {
    const auto* const last = desk_.load();
    if ((*last)->is_of_this_process()) delete last;
}

std::shared_ptr<resolver::desk> resolver::here() const {
    std::shared_ptr<desk>* now = desk_.load();
    while (!(*now)->is_of_this_process()) {
        auto fresh = std::make_unique<std::shared_ptr<desk>>(std::make_shared<desk>(with_));
        if (desk_.compare_exchange_strong(now, fresh.get())) now = fresh.release();
    }
    return *now;
}

std::vector<endpoint> resolver::resolve_by(std::string_view host, std::uint16_t port, int family,
                                           detail::limit within) {
    check(host, family);
    const std::string name(host);
    std::optional<addresses> found = known_here(name, family);
    const std::shared_ptr<desk> held = here();
    if (found->empty()) found = held->ask({name, family}, within);
    if (!found) fail_late(name);
    for (endpoint& each : *found) each.set_port(port);
    return std::move(*found);
}

std::string resolver::name_of_by(const endpoint& address, detail::limit within) {
    const std::shared_ptr<desk> held = here();  // as long as somebody waits
    std::optional<outcome> came = held->ask_name(address, within);
    if (!came) fail_late(to_string(address));
    if (came->abandoned) came->error = EAI_AGAIN;
    if (came->error != 0) fail_lookup(came->error, came->error_number, to_string(address));
    return std::move(came->name);
}

void resolver::forget() { here()->table->forget(); }

std::size_t resolver::running() const { return here()->table->running(); }

resolver& resolver::common() {
    static auto* const all = new resolver();  // its threads may run to the very end of the process
    return *all;
}

std::vector<endpoint> detail::resolver_access::resolve(std::string_view host, std::uint16_t port, limit within) {
    return resolver::common().resolve_by(host, port, AF_UNSPEC, within);
}

}  // namespace copse::io
