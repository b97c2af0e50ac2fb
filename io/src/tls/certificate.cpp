#include "certificate.hpp"

#include <arpa/inet.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include <algorithm>
#include <ctime>
#include <new>
#include <string_view>

#include "openssl_handles.hpp"

namespace copse::io::detail {

namespace {

/// What `print` writes into a BIO.
template <class Print>
std::string printed(Print print) {
    const bio_ptr into(BIO_new(BIO_s_mem()));
    if (into == nullptr) throw std::bad_alloc();
    print(into.get());
    char* text = nullptr;
    const long size = BIO_get_mem_data(into.get(), &text);
    return size <= 0 ? std::string() : std::string(text, static_cast<std::size_t>(size));
}

std::string text_of(const X509_NAME* name) {
    return printed([&](BIO* into) { X509_NAME_print_ex(into, name, 0, XN_FLAG_RFC2253); });
}

std::chrono::system_clock::time_point point_of(const ASN1_TIME* time) {
    std::tm parts{};
    if (ASN1_TIME_to_tm(time, &parts) != 1) return {};
    // In seconds: what lies beyond 2262 does not fit the clock's nanoseconds.
    constexpr std::time_t last =
        std::chrono::seconds(std::chrono::nanoseconds::max() / std::chrono::nanoseconds(1000000000)).count();
    return std::chrono::system_clock::time_point(
        std::chrono::seconds(std::clamp<std::time_t>(::timegm(&parts), -last, last)));
}

std::string hex(const unsigned char* bytes, std::size_t size) {
    constexpr char digits[] = "0123456789abcdef";
    std::string text;
    for (const unsigned char* b = bytes; b != bytes + size; ++b) {
        text += digits[*b >> 4];
        text += digits[*b & 15];
    }
    return text;
}

std::string fingerprint_of(const X509* from) {
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned size = 0;
    return X509_digest(from, EVP_sha256(), digest, &size) == 1 ? hex(digest, size) : std::string();
}

std::string serial_of(const X509* from) {
    return printed([&](BIO* into) { i2a_ASN1_INTEGER(into, X509_get0_serialNumber(from)); });
}

std::string pem_of(const X509* from) {
    return printed([&](BIO* into) { PEM_write_bio_X509(into, from); });
}

void add_name(const ASN1_IA5STRING* name, std::vector<std::string>& to) {
    const auto* bytes = reinterpret_cast<const char*>(ASN1_STRING_get0_data(name));
    const std::string_view text(bytes, static_cast<std::size_t>(ASN1_STRING_length(name)));
    const bool plain = std::all_of(text.begin(), text.end(), [](char c) { return c > ' ' && c < 0x7f; });
    if (plain) to.emplace_back(text);
}

void add_address(const ASN1_OCTET_STRING* address, std::vector<std::string>& to) {
    const int size = ASN1_STRING_length(address);
    const int family = size == 4 ? AF_INET : size == 16 ? AF_INET6 : AF_UNSPEC;
    char text[INET6_ADDRSTRLEN];
    if (family != AF_UNSPEC && ::inet_ntop(family, ASN1_STRING_get0_data(address), text, sizeof text) != nullptr)
        to.emplace_back(text);
}

using names_ptr = std::unique_ptr<GENERAL_NAMES, freed_by<&GENERAL_NAMES_free>>;

void read_names(const X509* from, tls_certificate& into) {
    const names_ptr all(static_cast<GENERAL_NAMES*>(X509_get_ext_d2i(from, NID_subject_alt_name, nullptr, nullptr)));
    if (all == nullptr) return;
    for (int i = 0; i < sk_GENERAL_NAME_num(all.get()); ++i) {
        const GENERAL_NAME* one = sk_GENERAL_NAME_value(all.get(), i);
        if (one->type == GEN_DNS) add_name(one->d.dNSName, into.dns_names);
        if (one->type == GEN_IPADD) add_address(one->d.iPAddress, into.addresses);
    }
}

}  // namespace

std::string subject_of(const X509* from) { return text_of(X509_get_subject_name(from)); }

tls_certificate read_certificate(const X509* from) {
    tls_certificate read;
    read.subject = subject_of(from);
    read.issuer = text_of(X509_get_issuer_name(from));
    read.serial = serial_of(from);
    read_names(from, read);
    read.sha256 = fingerprint_of(from);
    read.pem = pem_of(from);
    read.not_before = point_of(X509_get0_notBefore(from));
    read.not_after = point_of(X509_get0_notAfter(from));
    return read;
}

}  // namespace copse::io::detail
