// Whose thread an object is.
#pragma once

#include <string>
#include <string_view>
#include <thread>

#include <copse/detail/wait.hpp>
#include <copse/error.hpp>
#include <copse/shield.hpp>

namespace copse::io::detail {

/// The thread that made it.
class thread_owner {
public:
    /// To be asked before anything is changed.
    /// Throws:  wrong_thread.
    void check(std::string_view whose) const {
        if (id_ != std::this_thread::get_id())
            throw wrong_thread(std::string(whose) + ": it belongs to another thread");
    }

    /// The same for what will wait. Kills are left to that.
    /// Throws:  wrong_thread; blocking_in_hub.
    void check_may_wait(std::string_view whose) const {
        check(whose);
        const shield kept_back;
        copse::detail::attend();
    }

private:
    const std::thread::id id_ = std::this_thread::get_id();
};

}  // namespace copse::io::detail
