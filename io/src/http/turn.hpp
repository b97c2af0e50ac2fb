// What one request needs while it is read and answered. Connections borrow it from their server for that time only,
// last given back, first taken: a thousand that are idle hold nothing, and those that are served one after the other
// share what is hot in the cache, with the memory that its strings have grown to.
#pragma once

#include <cstddef>
#include <memory>
#include <utility>
#include <vector>

#include <copse/io/http/server.hpp>

#include "http/framing.hpp"
#include "http/head_scanner.hpp"
#include "http/reply.hpp"
#include "http/request_body.hpp"
#include "http/request_parser.hpp"

namespace copse::io::http::detail {

struct turn {
    explicit turn(const server_options& with)
        : parser(with.limits), scanner(with.limits), body(parser, with), answer(with) {}

    request_parser parser;
    head_scanner scanner;
    http::request request;
    framing frame;
    request_body body;
    reply answer;
};

class turn_pool {
public:
    explicit turn_pool(const server_options& with) noexcept : with_(with) {}

    std::unique_ptr<turn> take() {
        if (spare_.empty()) return std::make_unique<turn>(with_);
        std::unique_ptr<turn> last = std::move(spare_.back());
        spare_.pop_back();
        return last;
    }

    void give_back(std::unique_ptr<turn> t) {
        if (spare_.size() == most_kept || t->request.body.capacity() > largest_kept) return;
        t->scanner.reset();
        spare_.push_back(std::move(t));
    }

private:
    static constexpr std::size_t most_kept = 64;
    static constexpr std::size_t largest_kept = 64 * 1024;

    const server_options& with_;
    std::vector<std::unique_ptr<turn>> spare_;
};

}  // namespace copse::io::http::detail
