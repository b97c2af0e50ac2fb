// Errors that say which request they belong to.
#pragma once

#include <exception>
#include <string>
#include <string_view>
#include <system_error>

#include <copse/io/error.hpp>
#include <copse/io/http/error.hpp>
#include <copse/io/http/message.hpp>
#include <copse/io/http/url.hpp>

namespace copse::io::http::detail {

inline std::string name_of(const method& m, const url& u) { return m.text() + " " + u.printable(); }

/// `e`'s text without the code's own, which std::system_error adds.
inline std::string said_by(const std::system_error& e) {
    std::string_view text = e.what();
    const std::string code = e.code().message();
    if (text.ends_with(code)) text.remove_suffix(code.size());
    if (text.ends_with(": ")) text.remove_suffix(2);
    return std::string(text);
}

inline std::string joined(const std::string& name, const std::system_error& e) {
    const std::string said = said_by(e);
    return said.empty() ? name : name + ": " + said;
}

/// What the source of a request's body threw: the caller's own, which passes as it is.
struct source_failure {
    std::exception_ptr why;
};

/// What `f` returns; what it throws about the connection or the peer gets the name of the request in front, and stays what
/// it is. Kills, timeout scopes and what is the caller's own pass as they are.
template <class F>
auto told_of(const method& m, const url& u, F f) {
    try {
        return f();
    } catch (const source_failure& failed) {
        std::rethrow_exception(failed.why);
    } catch (const error& e) {
        throw error(static_cast<errc>(e.code().value()), joined(name_of(m, u), e));
    } catch (const timed_out& e) {
        throw timed_out(e.code(), joined(name_of(m, u), e), e.transferred());
    } catch (const std::system_error& e) {
        throw std::system_error(e.code(), joined(name_of(m, u), e));
    }
}

}  // namespace copse::io::http::detail
