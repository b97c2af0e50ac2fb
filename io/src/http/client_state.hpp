// What all requests of a client share.
#pragma once

#include <memory>
#include <optional>

#include <copse/io/http/client.hpp>

#include "http/client_exchange.hpp"
#include "http/connection_pool.hpp"

namespace copse::io::http::detail {

class client_state {
public:
    explicit client_state(client_options with);
    ~client_state() { retire(); }
    client_state(const client_state&) = delete;
    client_state& operator=(const client_state&) = delete;

    response request(client_request what, std::optional<io::detail::limit> within);
    response_stream open(client_request what, std::optional<io::detail::limit> within);

    void close_idle() noexcept { pool_->close_kept(); }
    /// What is kept is closed, and nothing is kept any more; requests go on.
    void retire() noexcept { pool_->retire(); }
    client_stats stats() const noexcept;

private:
    std::unique_ptr<client_exchange> follow(client_request what, clock::time_point deadline);
    std::unique_ptr<client_exchange> answer(const url& to, const client_request& what, clock::time_point deadline);
    std::unique_ptr<client_exchange> ask_once(const url& to, const client_request& what, clock::time_point deadline,
                                              bool fresh);
    std::optional<url> redirected(client_exchange& e, const client_request& what) const;
    std::string head_of(const url& to, const client_request& what) const;

    std::shared_ptr<const client_options> with_;
    std::shared_ptr<connection_pool> pool_;
    client_stats stats_;
};

}  // namespace copse::io::http::detail
