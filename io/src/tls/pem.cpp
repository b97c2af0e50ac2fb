#include "pem.hpp"

#include <fcntl.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <stdexcept>
#include <string>

#include <copse/io/descriptor.hpp>

#include "openssl_error.hpp"
#include "openssl_handles.hpp"

namespace copse::io::detail {

namespace {

using entry_stack = STACK_OF(X509_INFO);
using entry_stack_ptr =
    std::unique_ptr<entry_stack, decltype([](entry_stack* s) { sk_X509_INFO_pop_free(s, X509_INFO_free); })>;

/// PEM and where it is from, for messages.
struct source {
    std::string text;
    std::string origin;

    ~source() { OPENSSL_cleanse(text.data(), text.size()); }  // it may hold a private key
    source(std::string t, std::string o) : text(std::move(t)), origin(std::move(o)) {}
    source(source&&) = default;
    source& operator=(source&&) = delete;

    bio_ptr open() const {
        bio_ptr reading(BIO_new_mem_buf(text.data(), static_cast<int>(text.size())));
        if (reading == nullptr) throw std::bad_alloc();
        return reading;
    }
};

constexpr off_t longest_file = 16 << 20;  // the authorities of a whole system are 200 KiB

[[noreturn]] void fail_file(int error, const std::string& what, const std::string& path) {
    throw std::system_error(error, std::generic_category(), "tls_context: " + what + " \"" + path + "\"");
}

std::string read_file(const std::string& what, const std::string& path) {
    const descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
    if (!file) fail_file(errno, what, path);
    struct ::stat status {};
    if (::fstat(file.get(), &status) != 0) fail_file(errno, what, path);
    std::string text;
    // Grows once: no copy of a key is left behind.
    text.reserve(static_cast<std::size_t>(std::min(status.st_size, longest_file)));
    for (char piece[4096];;) {
        const ssize_t n = ::read(file.get(), piece, sizeof piece);
        if (n == 0) return text;
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) fail_file(errno, what, path);
        text.append(piece, static_cast<std::size_t>(n));
        OPENSSL_cleanse(piece, sizeof piece);
        if (text.size() > static_cast<std::size_t>(longest_file)) fail_file(EFBIG, what, path);
    }
}

source source_of(const std::string& what, const std::string& file, const std::string& pem) {
    if (!file.empty() && !pem.empty())
        throw std::invalid_argument("tls_context: " + what + "_file and " + what + "_pem are both given");
    if (!pem.empty()) return {pem, what + "_pem"};
    return {read_file(what + "_file", file), what + "_file \"" + file + "\""};
}

/// Never asks on a terminal, as OpenSSL would by itself.
int give_password(char* into, int room, int /*writing*/, void* password) {
    const auto& text = *static_cast<const std::string*>(password);
    if (text.size() > static_cast<std::size_t>(room)) return -1;
    std::copy(text.begin(), text.end(), into);
    return static_cast<int>(text.size());
}

/// The queue says "no start line" when PEM has come to its end.
bool is_end_of_pem() noexcept {
    const unsigned long last = ERR_peek_last_error();
    const bool end = ERR_GET_LIB(last) == ERR_LIB_PEM && ERR_GET_REASON(last) == PEM_R_NO_START_LINE;
    if (end) ERR_clear_error();
    return end;
}

void load_chain(SSL_CTX* into, const source& from) {
    const bio_ptr reading = from.open();
    const x509_ptr own(PEM_read_bio_X509_AUX(reading.get(), nullptr, nullptr, nullptr));
    if (own == nullptr) fail_openssl("tls_context: no certificate in " + from.origin);
    if (SSL_CTX_use_certificate(into, own.get()) != 1) fail_openssl("tls_context: the certificate of " + from.origin);
    while (const x509_ptr next{PEM_read_bio_X509(reading.get(), nullptr, nullptr, nullptr)}) {
        if (SSL_CTX_add1_chain_cert(into, next.get()) != 1) fail_openssl("tls_context: the chain of " + from.origin);
    }
    if (!is_end_of_pem()) fail_openssl("tls_context: the chain of " + from.origin);
}

void load_key(SSL_CTX* into, const source& from, const std::string& password, const char* hint = "") {
    const bio_ptr reading = from.open();
    std::string given = password;
    const key_ptr key(PEM_read_bio_PrivateKey(reading.get(), nullptr, give_password, &given));
    OPENSSL_cleanse(given.data(), given.size());
    if (key == nullptr) fail_openssl("tls_context: no private key that can be read in " + from.origin + hint);
    if (SSL_CTX_use_PrivateKey(into, key.get()) != 1) fail_openssl("tls_context: the private key of " + from.origin);
}

struct loaded {
    int certificates = 0;
    int lists = 0;
};

loaded add_to_store(X509_STORE* store, const source& from) {
    const bio_ptr reading = from.open();
    const entry_stack_ptr all(PEM_X509_INFO_read_bio(reading.get(), nullptr, nullptr, nullptr));
    if (all == nullptr) fail_openssl("tls_context: what stands in " + from.origin);
    loaded count;
    for (int i = 0; i < sk_X509_INFO_num(all.get()); ++i) {
        const X509_INFO* one = sk_X509_INFO_value(all.get(), i);
        if (one->x509 != nullptr) {
            if (X509_STORE_add_cert(store, one->x509) != 1)
                fail_openssl("tls_context: a certificate of " + from.origin);
            ++count.certificates;
        }
        if (one->crl != nullptr) {
            if (X509_STORE_add_crl(store, one->crl) != 1)
                fail_openssl("tls_context: a revocation list of " + from.origin);
            ++count.lists;
        }
    }
    ERR_clear_error();
    return count;
}

/// What a server tells its clients: of whom it takes certificates.
void announce(SSL_CTX* into, const source& from) {
    const bio_ptr reading = from.open();
    while (const x509_ptr one{PEM_read_bio_X509(reading.get(), nullptr, nullptr, nullptr)})
        SSL_CTX_add_client_CA(into, one.get());
    ERR_clear_error();
}

void load_authorities(SSL_CTX* into, const tls_trust& from) {
    const source pem = source_of("ca", from.ca_file, from.ca_pem);
    if (add_to_store(SSL_CTX_get_cert_store(into), pem).certificates == 0)
        throw tls_error(std::make_error_code(std::errc::invalid_argument),
                        "tls_context: no certificate in " + pem.origin);
    announce(into, pem);
}

void load_directory(SSL_CTX* into, const std::string& path) {
    struct ::stat status {};
    if (::stat(path.c_str(), &status) != 0) fail_file(errno, "ca_directory", path);
    if (!S_ISDIR(status.st_mode)) fail_file(ENOTDIR, "ca_directory", path);
    if (X509_STORE_load_path(SSL_CTX_get_cert_store(into), path.c_str()) != 1)
        fail_openssl("tls_context: ca_directory \"" + path + "\"");
}

void load_revocations(SSL_CTX* into, const tls_trust& from) {
    const source pem = source_of("crl", from.crl_file, from.crl_pem);
    X509_STORE* store = SSL_CTX_get_cert_store(into);
    if (add_to_store(store, pem).lists == 0)
        throw tls_error(std::make_error_code(std::errc::invalid_argument),
                        "tls_context: no revocation list in " + pem.origin);
    X509_STORE_set_flags(store, X509_V_FLAG_CRL_CHECK | X509_V_FLAG_CRL_CHECK_ALL);
}

}  // namespace

void load_identity(SSL_CTX* into, const tls_identity& from) {
    ERR_clear_error();
    const bool key_apart = !from.key_file.empty() || !from.key_pem.empty();
    if (from.empty()) {
        if (key_apart) throw std::invalid_argument("tls_context: there is a key, but no certificate");
        return;
    }
    const source chain = source_of("certificate", from.certificate_file, from.certificate_pem);
    load_chain(into, chain);
    if (key_apart) {
        load_key(into, source_of("key", from.key_file, from.key_pem), from.key_password);
    } else {
        load_key(into, chain, from.key_password, ", and neither key_file nor key_pem is given");
    }
    if (SSL_CTX_check_private_key(into) != 1) fail_openssl("tls_context: the key is not that of " + chain.origin);
}

void load_trust(SSL_CTX* into, const tls_trust& from) {
    ERR_clear_error();
    if (!from.ca_file.empty() || !from.ca_pem.empty()) load_authorities(into, from);
    if (!from.ca_directory.empty()) load_directory(into, from.ca_directory);
    if ((from.empty() || from.and_system) && SSL_CTX_set_default_verify_paths(into) != 1)
        fail_openssl("tls_context: the authorities of the system");
    if (!from.crl_file.empty() || !from.crl_pem.empty()) load_revocations(into, from);
    ERR_clear_error();
}

}  // namespace copse::io::detail
