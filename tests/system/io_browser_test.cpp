// WebSocket with a real browser, both ways: a page of ours talks to our server, and our client drives the browser, whose
// debugging protocol is a WebSocket. Without a browser it is skipped.

#include "io_browser.hpp"
#include "io_leak_check.hpp"

#include <copse/io/http/server.hpp>
#include <copse/io/http/websocket.hpp>
#include <copse/io/line_reader.hpp>
#include <copse/io/process.hpp>

#include <csignal>
#include <filesystem>
#include <string>
#include <string_view>

using namespace std::chrono_literals;
using namespace copse_test;
namespace io = copse::io;
namespace http = copse::io::http;

namespace {

constexpr auto patience = browser_patience;

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

/// The first line that a program says.
std::string line_of(io::pipe_reader& output) {
    io::line_reader lines(std::move(output));
    return std::string(lines.next_for(patience).value());
}

/// Until the page shows this.
void until(http::websocket& page_of, const std::string& shown) {
    std::string now;
    const auto deadline = copse::clock::now() + patience;
    do now = evaluate(page_of, "[...document.querySelectorAll(`li`)].map(e => e.textContent).join(`|`)");
    while (now != shown && copse::clock::now() < deadline);
    EXPECT_EQ(now, shown);
}

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

/// The example's page, with two guests who type.
TEST_F(IoBrowser, TheChatOfTheExamples) {
    const std::string program = COPSE_TEST_EXAMPLES "/io_websocket_chat";
    if (!std::filesystem::exists(program)) GTEST_SKIP() << "the examples are not built";
    auto chromium = browser::start();
    if (!chromium) GTEST_SKIP() << "no browser is installed";
    io::process chat({program, "127.0.0.1:0"}, {.output = io::redirect::pipe});
    const std::string url = "http://" + line_of(chat.output()).substr(std::string("listening on ").size()) + "/";

    auto ann = chromium->open(url);
    until(ann, "someone comes in");
    auto ben = chromium->open(url);
    until(ann, "someone comes in|someone comes in");
    until(ben, "someone comes in");
    evaluate(ben, "line.value = `copse`; say.requestSubmit(); ``");
    until(ann, "someone comes in|someone comes in|copse");
    until(ben, "someone comes in|copse");
    evaluate(ann, "peer.close(); ``");
    until(ben, "someone comes in|copse|someone leaves");

    chat.terminate();
    EXPECT_TRUE(chat.wait_for(patience).value().success());
    until(ben, "someone comes in|copse|someone leaves|closed: 1001");
}

}  // namespace
