// What is asked about a name, whoever is asked: the system on threads, or name servers by c-ares.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include <copse/io/endpoint.hpp>
#include <copse/io/resolver.hpp>

namespace copse::io::detail {

/// What a lookup came to. Each who asked throws an exception of their own: threads share none.
struct lookup_outcome {
    std::vector<endpoint> found{};
    std::string name{};      // of an address
    int error = 0;           // of getaddrinfo
    int error_number = 0;    // with EAI_SYSTEM
    bool abandoned = false;  // nobody answers any more: who waits asks again
};

/// Called once, on whichever thread has the answer. Must not throw.
using lookup_answer = std::function<void(lookup_outcome)>;

/// Asks name servers by itself.
class lookup_engine {
public:
    lookup_engine() = default;
    lookup_engine(const lookup_engine&) = delete;
    lookup_engine& operator=(const lookup_engine&) = delete;
    /// What has no answer yet is abandoned.
    virtual ~lookup_engine() = default;

    virtual void find_addresses(std::string name, int family, lookup_answer answer) = 0;
    virtual void find_name(const endpoint& address, lookup_answer answer) = 0;
};

/// Throws:  std::invalid_argument if copse was built without c-ares, or for servers that are none.
std::unique_ptr<lookup_engine> make_cares_engine(const resolver_options& with);

}  // namespace copse::io::detail
