// A chat in the browser: a page, and a WebSocket by which it talks. What one guest says, all hear.
//
//     io_websocket_chat endpoint     serves until SIGINT or SIGTERM, say at 127.0.0.1:8080; open http://127.0.0.1:8080/
//     io_websocket_chat              lets two guests talk, and ends
#include <copse/fibers.hpp>
#include <copse/io/http/server.hpp>
#include <copse/io/http/websocket.hpp>
#include <copse/io/signal_listener.hpp>

#include <chrono>
#include <csignal>
#include <exception>
#include <iostream>
#include <list>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>

namespace io = copse::io;
namespace http = copse::io::http;
using namespace std::chrono_literals;

namespace {

constexpr std::string_view page = R"(<!doctype html>
<meta charset="utf-8"><title>chat</title>
<ul id="said"></ul>
<form id="say"><input id="line" autofocus placeholder="say something"></form>
<script>
  const peer = new WebSocket(location.href.replace(/^http/, "ws") + "chat");
  const show = text => {
    const entry = document.createElement("li");
    entry.textContent = text;
    document.getElementById("said").append(entry);
  };
  peer.onmessage = message => show(message.data);
  peer.onclose = closed => show("closed: " + closed.code);
  document.getElementById("say").onsubmit = () => {
    peer.send(document.getElementById("line").value);
    document.getElementById("line").value = "";
    return false;
  };
</script>
)";

// [guest]
// One who listens. Between the room and the wire is a queue, so that a guest with a slow line delays nobody else.
struct guest {
    static constexpr std::size_t patience = 256;  // messages that may wait for a slow guest

    http::websocket& wire;
    copse::queue<std::string> to_hear{patience};

    void hear(const std::string& text) {
        if (to_hear.closed()) return;
        if (!to_hear.try_put(text)) wire.abort();  // does not keep up
    }
    void write() {
        try {
            for (const std::string& text : to_hear) wire.send_text(text);
            wire.close_for(1s, 1001);
        } catch (const std::system_error&) {
            // gone; the reader learns it too
        }
    }
};
// [/guest]

// [room]
class room {
public:
    // The handler of /chat: lasts as long as the guest stays.
    void receive(http::exchange& asked) {
        auto wire = http::websocket::accept(asked, {.ping_interval = 20s, .idle_timeout = 60s});
        guest g{wire};
        const auto place = guests_.insert(guests_.end(), &g);
        auto writer = copse::spawn([&g] { g.write(); });
        try {
            say("someone comes in");
            while (const auto message = wire.receive()) say(message->data);
        } catch (...) {
            leave(place, writer);
            throw;
        }
        leave(place, writer);
    }

    // No more is said. Each guest hears what was, and then that the server is going away (1001).
    void close() {
        for (guest* const g : guests_) g->to_hear.close();
    }

private:
    void say(const std::string& text) {
        for (guest* const g : guests_) g->hear(text);
    }

    void leave(std::list<guest*>::iterator place, copse::fiber<void>& writer) {
        guests_.erase(place);
        writer.kill();
        say("someone leaves");
    }

    std::list<guest*> guests_;
};
// [/room]

void test(const io::endpoint& server) {
    const std::string url = "ws://" + to_string(server) + "/chat";
    const auto hear = [](std::string_view who, http::websocket& from) {
        std::cout << who << " hears: " << from.receive().value().data << '\n';
    };
    auto ann = http::websocket::connect(url);
    hear("ann", ann);
    auto ben = http::websocket::connect(url);
    hear("ann", ann);
    hear("ben", ben);
    ann.send_text("who knows a word for a small wood?");
    hear("ann", ann);
    hear("ben", ben);
    ben.send_text("copse");
    hear("ann", ann);
    hear("ben", ben);
    std::cout << "ben says goodbye: " << (ben.close() ? "answered" : "not answered") << '\n';
    hear("ann", ann);
    ann.close();
}

void run(std::optional<std::string_view> where) {
    io::signal_listener stop({SIGINT, SIGTERM});
    room lobby;
    // [serve]
    http::server server(where.value_or("127.0.0.1:0"), [&](http::exchange& x) {
        if (x.request().path() == "/chat") return lobby.receive(x);
        x.respond(x.request().path() == "/" ? http::html(std::string(page)) : http::text("not here\n", 404));
    });
    // [/serve]
    server.start();
    std::cout << "listening on " << server.local_endpoint() << std::endl;
    if (where) {
        stop.wait();
    } else {
        test(server.local_endpoint());
    }
    lobby.close();
    server.stop_for(2s);
}

}  // namespace

int main(int argc, char** argv) {
    if (argc > 2 || (argc == 2 && std::string_view(argv[1]) == "--help")) {
        std::cerr << "usage: io_websocket_chat [endpoint]\n";
        return 2;
    }
    try {
        run(argc == 2 ? std::optional<std::string_view>(argv[1]) : std::nullopt);
        return 0;
    } catch (const std::exception& e) {
        std::cerr << "io_websocket_chat: " << e.what() << '\n';
        return 1;
    }
}
