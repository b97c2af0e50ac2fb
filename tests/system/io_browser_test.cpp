// WebSocket with a real browser, both ways: a page of ours talks to our server, and our client drives the browser, whose
// debugging protocol is a WebSocket. Without a browser it is skipped.

#include "io_installed.hpp"
#include "io_leak_check.hpp"

#include <copse/io/http/client.hpp>
#include <copse/io/http/server.hpp>
#include <copse/io/http/websocket.hpp>
#include <copse/io/process.hpp>

#include <stdlib.h>

#include <array>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>

using namespace std::chrono_literals;
using namespace copse_test;
namespace io = copse::io;
namespace http = copse::io::http;

namespace {

constexpr auto patience = 40s;

/// Sends each line that it hears back, and counts; says goodbye at "bye".
constexpr std::string_view page = R"(<!doctype html><title>waiting</title><script>
  const peer = new WebSocket(location.href.replace(/^http/, "ws") + "talk");
  let heard = [];
  peer.onmessage = message => {
    heard.push(message.data);
    if (message.data === "bye") peer.close(4001, "enough"); else peer.send(message.data + "!");
  };
  peer.onclose = closed => { document.title = heard.join(" ") + " " + closed.code + " " + closed.wasClean; };
</script>)";

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
        process_.stop_for(10s);
        std::error_code ignored;
        std::filesystem::remove_all(folder_, ignored);
    }

    /// Opens the page and returns the WebSocket by which it is driven.
    http::websocket open(const std::string& url) {
        http::client client({.max_idle = 0});
        const std::string told = client.request({.method = "PUT", .url = "http://" + where_ + "/json/new?" + url}).body;
        const std::string key = "\"webSocketDebuggerUrl\": \"";
        const std::size_t at = told.find(key) + key.size();
        return http::websocket::connect_for(told.substr(at, told.find('"', at) - at), patience);
    }

private:
    explicit browser(const char* program) {
        char name[] = "/tmp/copse-browser-XXXXXX";
        folder_ = ::mkdtemp(name);
        process_ =
            io::process({program, "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
                         "--remote-debugging-port=0", "--user-data-dir=" + folder_, "about:blank"},
                        {.input = io::redirect::null, .output = io::redirect::null, .errors = io::redirect::pipe});
        const std::string before = "listening on ws://";
        std::string said;
        std::array<char, 1024> bytes;
        for (std::size_t at = 0;
             (at = said.find(before)) == std::string::npos || said.find('\n', at) == std::string::npos;) {
            const std::size_t n = process_.errors().read_for(std::as_writable_bytes(std::span(bytes)), patience);
            if (n == 0) throw std::runtime_error("the browser ended: " + said);
            said.append(bytes.data(), n);
        }
        const std::size_t from = said.find(before) + before.size();
        where_ = said.substr(from, said.find('/', from) - from);
    }

    std::string folder_;
    std::string where_;
    io::process process_;
};

/// What an expression of JavaScript says in the page.
std::string evaluate(http::websocket& page_of, const std::string& expression) {
    page_of.send_text(R"({"id": 1, "method": "Runtime.evaluate", "params": {"expression": ")" + expression + R"("}})");
    while (auto m = page_of.receive_for(patience)) {
        const std::string key = R"("value":")";
        if (m->data.find(R"("id":1)") == std::string::npos) continue;
        const std::size_t at = m->data.find(key) + key.size();
        return m->data.substr(at, m->data.find('"', at) - at);
    }
    return "the browser has gone";
}

/// The first WebSocket of a process makes descriptors of Asio's.
struct websocket_warm_up {
    websocket_warm_up() {
        http::server server("127.0.0.1:0", [](http::exchange& x) { http::websocket::accept(x).receive(); });
        server.start();
        http::websocket::connect("ws://" + to_string(server.local_endpoint()) + "/").close();
        server.stop_for(10s);
        io::run({"true"});
    }
};

class IoBrowser : private websocket_warm_up, public io_leak_check {};

TEST_F(IoBrowser, APageTalksToOurServerAndOurClientToTheBrowser) {
    auto chromium = browser::start();
    if (!chromium) GTEST_SKIP() << "no browser is installed";
    copse::event ended;
    unsigned code = 0;
    std::string said;
    http::server server("127.0.0.1:0", [&](http::exchange& x) {
        if (x.request().path() != "/talk") return x.respond(http::html(std::string(page)));
        auto wire = http::websocket::accept(x);
        for (const std::string text : {"many", "small", "\xC3\xA4ste"}) {
            wire.send_text(text);
            said += wire.receive_for(patience).value().data;
        }
        wire.send_text("bye");
        while (wire.receive_for(patience)) {}
        code = wire.close_code();
        ended.set();
    });
    server.start();
    {
        auto driven = chromium->open("http://" + to_string(server.local_endpoint()) + "/");
        EXPECT_TRUE(ended.wait_for(patience));
        EXPECT_EQ(said, "many!small!\xC3\xA4ste!");
        EXPECT_EQ(code, 4001U);
        std::string title;
        do title = evaluate(driven, "document.title");
        while (title == "waiting");
        EXPECT_EQ(title, R"(many small \u00e4ste bye 4001 true)") << "as JSON has it";
        driven.close();
    }
    EXPECT_TRUE(server.stop_for(10s));
}

}  // namespace
