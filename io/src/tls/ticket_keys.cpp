#include "ticket_keys.hpp"

#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/params.h>
#include <openssl/rand.h>

#include <algorithm>

#include "openssl_error.hpp"

namespace copse::io::detail {

namespace {

bool set_mac(EVP_MAC_CTX* mac, std::array<unsigned char, 32>& key) noexcept {
    char digest[] = "SHA256";
    const OSSL_PARAM terms[] = {OSSL_PARAM_construct_octet_string(OSSL_MAC_PARAM_KEY, key.data(), key.size()),
                                OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest, 0),
                                OSSL_PARAM_construct_end()};
    return EVP_MAC_CTX_set_params(mac, terms) == 1;
}

}  // namespace

ticket_keys::ticket_keys(std::chrono::seconds lifetime) : lifetime_(lifetime) {
    if (!make(now_)) fail_openssl("tls_context: a key for tickets");
    made_ = std::chrono::steady_clock::now();
}

ticket_keys::~ticket_keys() {
    OPENSSL_cleanse(&now_, sizeof now_);
    OPENSSL_cleanse(&before_, sizeof before_);
}

bool ticket_keys::make(key& k) noexcept {
    return RAND_bytes(k.name.data(), static_cast<int>(k.name.size())) == 1 &&
           RAND_bytes(k.cipher.data(), static_cast<int>(k.cipher.size())) == 1 &&
           RAND_bytes(k.mac.data(), static_cast<int>(k.mac.size())) == 1;
}

bool ticket_keys::rotate() noexcept {
    const auto now = std::chrono::steady_clock::now();
    const auto age = now - made_;
    if (age < lifetime_) return true;
    key fresh;
    if (!make(fresh)) return false;
    has_before_ = age < 2 * lifetime_;  // an older one has had its time too
    before_ = now_;
    now_ = fresh;
    made_ = now;
    OPENSSL_cleanse(&fresh, sizeof fresh);
    return true;
}

int ticket_keys::seal(unsigned char* name, unsigned char* iv, EVP_CIPHER_CTX* cipher, EVP_MAC_CTX* mac) noexcept {
    const std::lock_guard lock(mutex_);
    const EVP_CIPHER* aes = EVP_aes_256_cbc();
    if (!rotate() || RAND_bytes(iv, EVP_CIPHER_get_iv_length(aes)) != 1) return -1;
    std::copy(now_.name.begin(), now_.name.end(), name);
    return EVP_EncryptInit_ex2(cipher, aes, now_.cipher.data(), iv, nullptr) == 1 && set_mac(mac, now_.mac) ? 1 : -1;
}

int ticket_keys::open(const unsigned char* name, const unsigned char* iv, EVP_CIPHER_CTX* cipher,
                      EVP_MAC_CTX* mac) noexcept {
    const std::lock_guard lock(mutex_);
    if (!rotate()) return -1;
    const bool newest = std::equal(now_.name.begin(), now_.name.end(), name);
    if (!newest && !(has_before_ && std::equal(before_.name.begin(), before_.name.end(), name))) return 0;
    key& k = newest ? now_ : before_;
    if (EVP_DecryptInit_ex2(cipher, EVP_aes_256_cbc(), k.cipher.data(), iv, nullptr) != 1 || !set_mac(mac, k.mac))
        return -1;
    return newest ? 1 : 2;
}

}  // namespace copse::io::detail
