// Errors that say which request they belong to.
#pragma once

#include <exception>
#include <string>
#include <system_error>

#include <copse/io/http/message.hpp>
#include <copse/io/http/url.hpp>

namespace copse::io::http::detail {

std::string name_of(const method& m, const url& u);

/// `e`'s text without the code's own, which std::system_error adds.
std::string said_by(const std::system_error& e);

/// In a handler of a std::system_error: throws it again, as what it is, with the name of the request in front. What is of a
/// type that only its owner can make is thrown as it is.
[[noreturn]] void throw_named(const method& m, const url& u);

/// What the source of a request's body threw: the caller's own, which passes as it is.
struct source_failure {
    std::exception_ptr why;
};

/// What `f` returns; what it throws about the connection or the peer gets the name of the request in front. Kills, timeout
/// scopes and what is the caller's own pass as they are.
template <class F>
auto told_of(const method& m, const url& u, F f) {
    try {
        return f();
    } catch (const source_failure& failed) {
        std::rethrow_exception(failed.why);
    } catch (const std::system_error&) {
        throw_named(m, u);
    }
}

}  // namespace copse::io::http::detail
