#include "openssl_error.hpp"

#include <openssl/err.h>

#include <new>

namespace copse::io::detail {

std::error_code take_openssl_error() noexcept {
    const unsigned long packed = ERR_peek_last_error();  // the first ones are of the layers below, and say less
    ERR_clear_error();
    return {static_cast<int>(packed), openssl_category()};
}

void fail_openssl(std::string_view text) {
    if (ERR_GET_REASON(ERR_peek_last_error()) == ERR_R_MALLOC_FAILURE) {
        ERR_clear_error();
        throw std::bad_alloc();
    }
    throw tls_error(take_openssl_error(), std::string(text));
}

std::string about(std::string_view what, std::string_view host) {
    std::string text(what);
    if (!host.empty()) text.append(" with \"").append(host).append("\"");
    return text;
}

}  // namespace copse::io::detail
