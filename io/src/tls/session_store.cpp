#include "session_store.hpp"

#include <algorithm>
#include <exception>
#include <iterator>
#include <utility>

namespace copse::io::detail {

void session_store::put(const std::string& host, session_ptr session) noexcept {
    if (most_ == 0 || session == nullptr || SSL_SESSION_is_resumable(session.get()) != 1) return;
    try {
        std::list<kept> one;
        one.push_back({host, std::move(session)});
        const std::lock_guard lock(mutex_);
        make_room(host);
        newest_first_.splice(newest_first_.begin(), one);
    } catch (const std::exception&) {
        // The next connection shakes hands in full.
    }
}

void session_store::make_room(const std::string& host) {
    const auto of_host = [&](const kept& k) { return k.host == host; };
    if (static_cast<std::size_t>(std::count_if(newest_first_.begin(), newest_first_.end(), of_host)) >=
        most_of_one_host) {
        const auto oldest = std::find_if(newest_first_.rbegin(), newest_first_.rend(), of_host);
        newest_first_.erase(std::next(oldest).base());
    }
    if (newest_first_.size() >= most_) newest_first_.pop_back();
}

session_ptr session_store::take(const std::string& host) noexcept {
    const std::lock_guard lock(mutex_);
    const auto found =
        std::find_if(newest_first_.begin(), newest_first_.end(), [&](const kept& k) { return k.host == host; });
    if (found == newest_first_.end()) return nullptr;
    session_ptr session = std::move(found->session);
    newest_first_.erase(found);
    return session;
}

}  // namespace copse::io::detail
