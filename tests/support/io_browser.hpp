// A browser without a window, driven by our own WebSocket client: its debugging protocol is one.
#pragma once

#include "io_installed.hpp"

#include <copse/io/http/client.hpp>
#include <copse/io/http/websocket.hpp>
#include <copse/io/process.hpp>

#include <stdlib.h>

#include <array>
#include <chrono>
#include <filesystem>
#include <optional>
#include <span>
#include <stdexcept>
#include <string>
#include <system_error>

namespace copse_test {

constexpr auto browser_patience = std::chrono::seconds(40);

/// A browser without a window, in a folder of its own.
class browser {
public:
    static std::optional<browser> start() {
        for (const char* name : {"chromium", "chromium-browser", "google-chrome"}) {
            if (is_installed(name)) return browser(name);
        }
        return std::nullopt;
    }
    browser(browser&&) = default;
    browser& operator=(browser&&) = delete;
    ~browser() {
        if (!process_) return;
        process_.stop_for(std::chrono::seconds(10));
        std::error_code ignored;
        std::filesystem::remove_all(folder_, ignored);
    }

    /// Opens the page and returns the WebSocket by which it is driven.
    copse::io::http::websocket open(const std::string& url) {
        copse::io::http::client client({.max_idle = 0});
        const std::string told = client.request({.method = "PUT", .url = "http://" + where_ + "/json/new?" + url}).body;
        const std::string key = "\"webSocketDebuggerUrl\": \"";
        const std::size_t at = told.find(key) + key.size();
        return copse::io::http::websocket::connect_for(told.substr(at, told.find('"', at) - at), browser_patience);
    }

private:
    explicit browser(const char* program) {
        char name[] = "/tmp/copse-browser-XXXXXX";
        folder_ = ::mkdtemp(name);
        process_ =
            copse::io::process({program, "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
                                "--remote-debugging-port=0", "--user-data-dir=" + folder_, "about:blank"},
                               {.input = copse::io::redirect::null,
                                .output = copse::io::redirect::null,
                                .errors = copse::io::redirect::pipe});
        const std::string before = "listening on ws://";
        std::string said;
        std::array<char, 1024> bytes;
        for (std::size_t at = 0;
             (at = said.find(before)) == std::string::npos || said.find('\n', at) == std::string::npos;) {
            const std::size_t n =
                process_.errors().read_for(std::as_writable_bytes(std::span(bytes)), browser_patience);
            if (n == 0) throw std::runtime_error("the browser ended: " + said);
            said.append(bytes.data(), n);
        }
        const std::size_t from = said.find(before) + before.size();
        where_ = said.substr(from, said.find('/', from) - from);
    }

    std::string folder_;
    std::string where_;
    copse::io::process process_;
};

/// What an expression of JavaScript, without quotation marks, says in the page: a string, as JSON has it.
inline std::string evaluate(copse::io::http::websocket& page_of, const std::string& expression) {
    page_of.send_text(R"({"id": 1, "method": "Runtime.evaluate", "params": {"expression": ")" + expression + R"("}})");
    while (auto m = page_of.receive_for(browser_patience)) {
        const std::string key = R"("value":")";
        if (m->data.find(R"("id":1)") == std::string::npos) continue;
        const std::size_t at = m->data.find(key) + key.size();
        return m->data.substr(at, m->data.find('"', at) - at);
    }
    return "the browser has gone";
}

}  // namespace copse_test
