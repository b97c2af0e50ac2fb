// Fibers that send one after the other.
#pragma once

#include <string>
#include <system_error>

#include <copse/io/detail/limit.hpp>
#include <copse/io/error.hpp>
#include <copse/mutex.hpp>

namespace copse::io::detail {

/// A turn among them, until the end of the scope. The time goes on to run for what is done in it.
class turn_of {
public:
    /// Throws:  timed_out, which names the operation, if its time is over before its turn has come.
    turn_of(copse::mutex& of, limit& within, const char* operation) : of_(of) {
        const auto until = within.point();
        if (!until) {
            of.lock();
        } else if (!of.try_lock_until(*until)) {
            throw timed_out(std::make_error_code(std::errc::timed_out),
                            std::string(operation) + ": its time was over before its turn came", 0);
        }
    }
    turn_of(const turn_of&) = delete;
    turn_of& operator=(const turn_of&) = delete;
    ~turn_of() { of_.unlock(); }

private:
    copse::mutex& of_;
};

}  // namespace copse::io::detail
