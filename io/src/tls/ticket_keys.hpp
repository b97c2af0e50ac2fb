// The keys under which a server hands its clients their sessions as tickets. OpenSSL by itself would keep one for ever, and
// whoever got hold of it could then read every session that was ever resumed.
//
// A key is used for `lifetime`, and for reading for as long again. Shared by the threads that share a context.
#pragma once

#include <openssl/evp.h>
#include <openssl/ssl.h>

#include <array>
#include <chrono>
#include <mutex>

namespace copse::io::detail {

class ticket_keys {
public:
    /// Throws:  tls_error if there is no randomness.
    explicit ticket_keys(std::chrono::seconds lifetime);
    ticket_keys(const ticket_keys&) = delete;
    ticket_keys& operator=(const ticket_keys&) = delete;
    ~ticket_keys();

    /// As OpenSSL asks for it (SSL_CTX_set_tlsext_ticket_key_evp_cb): sets up cipher and MAC.
    /// Returns: 1; 0 if a ticket to be read is under no key that is known; 2 if it is, and a new one is due; -1 at an error.
    int seal(unsigned char* name, unsigned char* iv, EVP_CIPHER_CTX* cipher, EVP_MAC_CTX* mac) noexcept;
    int open(const unsigned char* name, const unsigned char* iv, EVP_CIPHER_CTX* cipher, EVP_MAC_CTX* mac) noexcept;

private:
    struct key {
        std::array<unsigned char, 16> name;
        std::array<unsigned char, 32> cipher;
        std::array<unsigned char, 32> mac;
    };

    static bool make(key& k) noexcept;
    bool rotate() noexcept;

    const std::chrono::steady_clock::duration lifetime_;
    std::mutex mutex_;  // held for a few hundred nanoseconds, never across a switch
    key now_{};
    key before_{};
    bool has_before_ = false;
    std::chrono::steady_clock::time_point made_;
};

}  // namespace copse::io::detail
