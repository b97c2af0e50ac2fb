#pragma once

/// OpenSSL over a socket without anything of ours: a peer that may do what our streams would not.

#include "io_certificates.hpp"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>

#include <copse/io.hpp>

#include <array>
#include <memory>
#include <span>
#include <stdexcept>
#include <string>
#include <utility>

namespace copse_test {

class raw_context {
public:
    explicit raw_context(const SSL_METHOD* method) : ctx_(SSL_CTX_new(method)) {}
    raw_context(const raw_context&) = delete;
    raw_context& operator=(const raw_context&) = delete;
    ~raw_context() { SSL_CTX_free(ctx_); }

    SSL_CTX* get() const { return ctx_; }

    /// Anything goes, weak keys too.
    raw_context& use(const made_certificate& c) {
        SSL_CTX_set_security_level(ctx_, 0);
        BIO* pem = BIO_new_mem_buf(c.pem.data(), static_cast<int>(c.pem.size()));
        X509* own = PEM_read_bio_X509(pem, nullptr, nullptr, nullptr);
        SSL_CTX_use_certificate(ctx_, own);
        X509_free(own);
        while (X509* next = PEM_read_bio_X509(pem, nullptr, nullptr, nullptr)) SSL_CTX_add0_chain_cert(ctx_, next);
        BIO_free(pem);
        BIO* key = BIO_new_mem_buf(c.key.data(), static_cast<int>(c.key.size()));
        EVP_PKEY* read = PEM_read_bio_PrivateKey(key, nullptr, nullptr, nullptr);
        SSL_CTX_use_PrivateKey(ctx_, read);
        EVP_PKEY_free(read);
        BIO_free(key);
        ERR_clear_error();
        return *this;
    }

private:
    SSL_CTX* ctx_;
};

class raw_peer {
public:
    raw_peer(copse::io::socket s, const raw_context& with, bool is_server)
        : socket_(std::move(s)), ssl_(SSL_new(with.get())) {
        SSL_set_bio(ssl_, BIO_new(BIO_s_mem()), BIO_new(BIO_s_mem()));
        is_server ? SSL_set_accept_state(ssl_) : SSL_set_connect_state(ssl_);
    }
    raw_peer(const raw_peer&) = delete;
    raw_peer& operator=(const raw_peer&) = delete;
    ~raw_peer() {
        SSL_free(ssl_);
        ERR_clear_error();
    }

    SSL* ssl() const { return ssl_; }
    copse::io::socket& socket() { return socket_; }

    void ask_for(std::string name) {
        SSL_ctrl(ssl_, SSL_CTRL_SET_TLSEXT_HOSTNAME, TLSEXT_NAMETYPE_host_name, name.data());
    }

    /// Makes `call(ssl)` until it needs nothing more from the other side. Returns: its last result.
    template <class Call>
    int run(Call call) {
        for (;;) {
            ERR_clear_error();
            const int result = call(ssl_);
            const int error = SSL_get_error(ssl_, result);
            flush();
            if (result > 0 || error != SSL_ERROR_WANT_READ) return result;
            feed();
        }
    }

    bool shake_hands() { return run(SSL_do_handshake) == 1; }
    int send(std::string_view text) {
        return run([&](SSL* s) { return SSL_write(s, text.data(), static_cast<int>(text.size())); });
    }
    std::string recv() {
        std::string text(16 * 1024, '\0');
        const int n = run([&](SSL* s) { return SSL_read(s, text.data(), static_cast<int>(text.size())); });
        text.resize(n > 0 ? static_cast<std::size_t>(n) : 0);
        return text;
    }

    /// What OpenSSL has for the other side, not sent yet.
    std::string take_outgoing() {
        char* bytes = nullptr;
        const long size = BIO_get_mem_data(SSL_get_wbio(ssl_), &bytes);
        std::string all(bytes, static_cast<std::size_t>(size));
        BIO_ctrl(SSL_get_wbio(ssl_), BIO_CTRL_RESET, 0, nullptr);
        return all;
    }

    void flush() {
        const std::string all = take_outgoing();
        if (!all.empty()) socket_.send_all(all);
    }

    void feed() {
        std::array<std::byte, 16 * 1024> bytes;
        const std::size_t n = socket_.recv(bytes);
        if (n == 0) throw std::runtime_error("the stream has ended");
        BIO_write(SSL_get_rbio(ssl_), bytes.data(), static_cast<int>(n));
    }

private:
    copse::io::socket socket_;
    SSL* ssl_;
};

}  // namespace copse_test
