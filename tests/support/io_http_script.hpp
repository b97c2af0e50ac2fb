#pragma once

/// A server that says exactly what a test wants, byte by byte: the peer of clients that are tested.

#include "io_leak_check.hpp"

#include <copse/fibers.hpp>
#include <copse/io.hpp>

#include <charconv>
#include <functional>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

namespace copse_test {

/// One connection, seen from the server.
class scripted_connection {
public:
    scripted_connection(copse::io::socket s, std::size_t n) : socket(std::move(s)), number(n) {}

    /// Everything up to `mark`, with it; what there is if the stream ends.
    std::string read_to(std::string_view mark) {
        for (;;) {
            if (const auto at = rest_.find(mark); at != std::string::npos) return take(at + mark.size());
            auto chunk = socket.recv_pooled();
            if (!chunk) return take(rest_.size());
            rest_ += chunk.text();
        }
    }
    std::string read_exactly(std::size_t n) {
        while (rest_.size() < n) {
            auto chunk = socket.recv_pooled();
            if (!chunk) break;
            rest_ += chunk.text();
        }
        return take(n);
    }
    /// A request: head, and body by Content-Length or as the chunks come. Empty at the end of the stream.
    std::string read_request() {
        std::string head = read_to("\r\n\r\n");
        if (const auto at = head.find("Content-Length: "); at != std::string::npos) {
            std::size_t size = 0;
            std::from_chars(head.data() + at + 16, head.data() + head.size(), size);
            head += read_exactly(size);
        } else if (head.find("Transfer-Encoding: chunked") != std::string::npos) {
            head += read_to("0\r\n\r\n");
        }
        return head;
    }
    std::string read_to_end() {
        std::string all = take(rest_.size());
        while (auto chunk = socket.recv_pooled()) all += chunk.text();
        return all;
    }
    void say(std::string_view bytes) { socket.send_all(bytes); }
    /// A whole response with this body.
    void answer(std::string_view body, std::string_view fields = {}, std::string_view status = "200 OK") {
        say("HTTP/1.1 " + std::string(status) + "\r\n" + std::string(fields) +
            "Content-Length: " + std::to_string(body.size()) + "\r\n\r\n" + std::string(body));
    }
    void reset() {
        socket.set_option(copse::io::linger(std::chrono::seconds(0)));
        socket.close();
    }

    copse::io::socket socket;
    std::size_t number;  // 0 for the first

private:
    std::string take(std::size_t n) {
        std::string taken = rest_.substr(0, n);
        rest_.erase(0, taken.size());
        return taken;
    }

    std::string rest_;
};

class script {
public:
    using play = std::function<void(scripted_connection&)>;

    explicit script(play p, const char* where = "127.0.0.1:0")
        : server_(where, [this, p = std::move(p)](copse::io::socket s) {
              scripted_connection c(std::move(s), connections++);
              p(c);
          }) {
        server_.start();
    }

    std::string url(std::string_view path = "/") const {
        return "http://" + to_string(server_.local_endpoint()) + std::string(path);
    }
    std::string address() const { return to_string(server_.local_endpoint()); }

    std::size_t connections = 0;
    std::vector<std::string> heard;  // for the play to write down

private:
    copse::io::stream_server server_;
};

/// Answers each request with "ok".
inline void ok(scripted_connection& c) {
    while (!c.read_request().empty()) c.answer("ok");
}

/// Answers one request with these bytes, then closes.
inline script::play saying(std::string bytes) {
    return [bytes = std::move(bytes)](scripted_connection& c) {
        c.read_request();
        c.say(bytes);
    };
}

/// As error_of, with the category.
inline std::error_code code_of(const std::function<void()>& call) {
    try {
        call();
    } catch (const std::system_error& e) {
        return e.code();
    }
    return {};
}

}  // namespace copse_test
