#pragma once

/// Looking into exceptions that arrive as pointers, as values, or in the error handler.

#include <copse/greenlet.hpp>

#include <cstddef>
#include <cstdint>
#include <exception>
#include <string>
#include <utility>
#include <vector>

namespace copse_test {

/// What an exception says: the text of a std::exception or a greenlet_exit, the number of an int.
inline std::string what_of(const std::exception_ptr& exception) {
    if (exception == nullptr) return "nothing";
    try {
        std::rethrow_exception(exception);
    } catch (const std::exception& e) {
        return e.what();
    } catch (const copse::greenlet_exit& e) {
        return e.what();
    } catch (int number) {
        return "int " + std::to_string(number);
    } catch (...) {
        return "unknown";
    }
}

/// What `call` throws: "nothing" if it does not.
template <class F>
std::string what_is_thrown_by(F&& call) {
    try {
        std::forward<F>(call)();
    } catch (...) {
        return what_of(std::current_exception());
    }
    return "nothing";
}

/// Whether a payload is what a greenlet delivers that was ended by greenlet_exit.
inline bool holds_exit(const copse::value& v) {
    const auto* exception = v.get_if<std::exception_ptr>();
    if (exception == nullptr) return false;
    try {
        std::rethrow_exception(*exception);
    } catch (const copse::greenlet_exit&) {
        return true;
    } catch (...) {
        return false;
    }
}

/// Keeps what the thread's error handler is given, as long as it lives.
class error_recorder {
public:
    struct entry {
        std::exception_ptr exception;
        std::string what;
        std::uint64_t greenlet_id;  // 0: none was named
    };

    error_recorder()
        : before_(copse::set_error_handler([this](const std::exception_ptr& e, const copse::greenlet& g) {
              entries_.push_back({e, what_of(e), g.empty() ? 0 : g.id()});
          })) {}
    error_recorder(const error_recorder&) = delete;
    error_recorder& operator=(const error_recorder&) = delete;
    ~error_recorder() { copse::set_error_handler(std::move(before_)); }

    std::size_t count() const { return entries_.size(); }
    const entry& operator[](std::size_t at) const { return entries_.at(at); }

private:
    std::vector<entry> entries_;
    copse::error_handler before_;
};

}  // namespace copse_test
