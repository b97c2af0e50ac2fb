#pragma once

/// An HTTP server for a test, and clients that speak to it byte by byte.

#include "io_leak_check.hpp"

#include <copse/io/http/server.hpp>

#include <chrono>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

namespace copse_test {

/// Answers with what it was asked.
inline copse::io::http::response mirror(const copse::io::http::request& asked) {
    return copse::io::http::text(asked.method.text() + " " + asked.target + " [" + asked.body + "]");
}

class HttpServer : public io_leak_check {
protected:
    template <class F>
    copse::io::http::server& serve(F handler, copse::io::http::server_options with = {}) {
        with.date = false;
        server_.emplace("127.0.0.1:0", std::move(handler), with);
        server_->start();
        return *server_;
    }
    copse::io::http::server& serve() { return serve(mirror); }

    copse::io::socket client() { return copse::io::connect(server_->local_endpoint()); }

    /// Sends it and says that this was all. Returns: everything that comes back.
    std::string ask(std::string_view raw) {
        copse::io::socket c = client();
        c.send_all(raw);
        c.shutdown(copse::io::shut::write);
        return recv_to_end(c);
    }
    /// The same, but the server must close by itself.
    std::string ask_and_wait(std::string_view raw) {
        copse::io::socket c = client();
        c.send_all(raw);
        return recv_to_end(c);
    }
    /// The status of the only answer that the server gives before it closes by itself; 0 if that is not what happens.
    int refused_with(std::string_view raw) {
        const std::string answer = ask_and_wait(raw);
        if (answer.rfind("HTTP/1.1 ") != 0 || answer.find("\r\nConnection: close\r\n") == std::string::npos) return 0;
        return std::stoi(answer.substr(9, 3));
    }

    void TearDown() override {
        if (server_) {
            EXPECT_TRUE(server_->stop_for(std::chrono::seconds(10)));
            server_.reset();
        }
        io_leak_check::TearDown();
    }

    std::optional<copse::io::http::server> server_;
};

inline std::string answer_of(std::string_view body) {
    return "HTTP/1.1 200 OK\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: " +
           std::to_string(body.size()) + "\r\n\r\n" + std::string(body);
}

/// Everything up to the end of a head and `length` bytes.
inline std::string recv_answer(copse::io::socket& from, std::size_t length) {
    std::string all;
    for (std::size_t end = 0; (end = all.find("\r\n\r\n")) == std::string::npos || all.size() < end + 4 + length;) {
        const std::string more = recv_text(from);
        if (more.empty()) break;
        all += more;
    }
    return all;
}

}  // namespace copse_test
