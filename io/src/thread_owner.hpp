// Whose thread an object is.
#pragma once

#include <string>
#include <thread>

#include <copse/error.hpp>

namespace copse::io::detail {

/// The thread that made it.
class thread_owner {
public:
    /// To be asked before anything is changed.
    /// Throws:  wrong_thread.
    void check(const std::string& whose) const {
        if (id_ != std::this_thread::get_id()) throw wrong_thread(whose + ": it belongs to another thread");
    }

private:
    const std::thread::id id_ = std::this_thread::get_id();
};

}  // namespace copse::io::detail
