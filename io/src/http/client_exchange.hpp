// One request and its response, over one connection.
//
// Invariants:
//   - Only one fiber reads, the caller's; what is sent, and by whom, is the upload's. Others may close it meanwhile.
//   - The connection goes back to the pool only after the last byte of both, with nothing left over.
#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <system_error>

#include <copse/clock.hpp>
#include <copse/io/http/client.hpp>

#include "http/connection_pool.hpp"
#include "http/response_parser.hpp"
#include "http/upload.hpp"
#include "thread_owner.hpp"

namespace copse::io::http::detail {

/// A kept connection ended without a byte of an answer.
class kept_connection_lost : public std::system_error {
public:
    kept_connection_lost()
        : std::system_error(std::make_error_code(std::errc::connection_aborted),
                            "the server closed a kept connection without an answer: nobody knows whether it acted") {}
};

class client_exchange {
public:
    client_exchange(connection_pool::lease over, outgoing what, std::shared_ptr<const client_options> with);
    client_exchange(const client_exchange&) = delete;
    client_exchange& operator=(const client_exchange&) = delete;
    ~client_exchange() { end(); }

    /// Sends, at least begins to, and receives the head of the response.
    void perform(clock::time_point deadline);

    std::size_t read_some(std::span<std::byte> into, clock::time_point deadline);
    std::string read_all(clock::time_point deadline);
    /// Reads what little is left, so that the connection can be used again.
    void drain(clock::time_point deadline);
    void close() noexcept;
    bool is_closed() const noexcept { return closed_; }
    /// Nobody will read any more.
    /// Parks:   as upload::stop.
    void end() noexcept;

    const outgoing& asked() const noexcept { return upload_->asked(); }
    response_head& head() noexcept { return parser_.head(); }
    const client_options& options() const noexcept { return *with_; }

private:
    void read_head(clock::time_point deadline);
    bool receive(clock::time_point deadline);
    std::size_t receive_into(std::span<std::byte> room, clock::time_point deadline);
    std::span<const std::byte> received() const noexcept;
    void finish() noexcept;
    [[noreturn]] void fail_lost();
    void check_reader() const;

    const io::detail::thread_owner owner_;
    std::shared_ptr<const client_options> with_;
    const std::shared_ptr<upload> upload_;
    response_parser parser_;

    std::unique_ptr<std::byte[]> buffer_;
    std::size_t size_;
    std::size_t begin_ = 0;  // of what has been received and not yet parsed
    std::size_t end_ = 0;
    bool closed_ = false;  // nothing more is read, not even what has come
    bool heard_ = false;   // a byte of an answer
    bool reading_ = false;
};

}  // namespace copse::io::http::detail
