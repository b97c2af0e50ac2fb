#include "http/told_of.hpp"

#include <string_view>
#include <typeinfo>

#include <copse/io/error.hpp>
#include <copse/io/http/error.hpp>
#include <copse/io/tls_error.hpp>

#include "with_origin.hpp"
#ifdef COPSE_HAS_TLS
#include "tls/connection.hpp"
#endif

namespace copse::io::http::detail {

namespace {

std::string joined(const std::string& name, const std::system_error& e) {
    const std::string said = said_by(e);
    return said.empty() ? name : name + ": " + said;
}

/// In a handler of a T: throws one that is made of `parts`, whose it was as before; or if it is somebody's own kind of T, it.
template <class T, class... Parts>
[[noreturn]] void throw_as(const T& caught, const Parts&... parts) {
    if (const auto* known = dynamic_cast<const io::detail::has_origin*>(&caught))
        throw io::detail::with_origin<T>(known->where, parts...);
    if (typeid(caught) != typeid(T)) throw;
    throw T(parts...);
}

}  // namespace

std::string name_of(const method& m, const url& u) { return m.text() + " " + u.printable(); }

std::string said_by(const std::system_error& e) {
    std::string_view text = e.what();
    const std::string code = e.code().message();
    if (text.ends_with(code)) text.remove_suffix(code.size());
    if (text.ends_with(": ")) text.remove_suffix(2);
    return std::string(text);
}

void throw_named(const method& m, const url& u) {
    const auto text_of = [name = name_of(m, u)](const std::system_error& e) { return joined(name, e); };
    try {
        throw;
    } catch (const error& e) {
        throw_as(e, static_cast<errc>(e.code().value()), text_of(e));
    } catch (const timed_out& e) {
        throw_as(e, e.code(), text_of(e), e.transferred());
    } catch (const transfer_error& e) {
        throw_as(e, e.code(), text_of(e), e.transferred());
#ifdef COPSE_HAS_TLS
    } catch (const io::detail::truncation& e) {
        throw io::detail::truncation(text_of(e), e.of);
    } catch (const stream_truncated& e) {
        throw_as(e, text_of(e));
    } catch (const tls_error& e) {
        throw_as(e, e.code(), text_of(e));
#endif
    } catch (const std::system_error& e) {
        throw_as(e, e.code(), text_of(e));
    }
}

}  // namespace copse::io::http::detail
