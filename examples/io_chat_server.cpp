// A chat: what one guest says, all the others hear. Two fibers for each guest: one reads what the guest says, one writes
// what the guest is to hear. Between them is a queue, so that a guest with a slow line delays nobody else.
//
//     io_chat_server [endpoint]     serves until SIGINT or SIGTERM; 127.0.0.1:8003 unless given; port 0 picks a free one
//     io_chat_server --self-test    lets three guests talk, and ends
//
// Try it with `io_client 127.0.0.1:8003` in several terminals.
#include <copse/fibers.hpp>
#include <copse/io/line_reader.hpp>
#include <copse/io/signal_listener.hpp>
#include <copse/io/socket.hpp>
#include <copse/io/stream_server.hpp>

#include <chrono>
#include <csignal>
#include <exception>
#include <functional>
#include <iostream>
#include <list>
#include <memory>
#include <string>
#include <string_view>
#include <system_error>

namespace io = copse::io;
using namespace std::chrono_literals;

namespace {

// [guest]
struct guest {
    static constexpr std::size_t patience = 256;  // lines that may wait for a slow guest

    explicit guest(io::socket s) : connection(std::move(s)) {}

    void hear(const std::string& line) {
        // Never waits. Who does not keep up is shown the door: its reader sees that the connection is closed.
        if (!outbox.closed() && !outbox.try_put(line + '\n')) connection.close();
    }

    std::string name;
    io::socket connection;
    copse::queue<std::string> outbox{patience};
};

// Runs in a fiber of its own; ends when the outbox is closed and empty, or the guest is gone.
void write_outbox(guest& to) {
    try {
        for (const std::string& line : to.outbox) to.connection.send_all(line);
    } catch (const std::system_error&) {
        // gone; the reader learns it too
    }
}
// [/guest]

// [room]
class room {
public:
    // Runs in a fiber for each connection, until the guest leaves. Both fibers keep the guest: whoever ends last ends it.
    void receive(io::socket connection) {
        const auto g = std::make_shared<guest>(std::move(connection));
        copse::spawn([g] { write_outbox(*g); });
        const presence here(*this, *g);
        g->hear("your name?");
        io::line_reader lines(std::ref(g->connection), longest_line);
        if (const auto name = lines.next()) {
            enter(*g, std::string(*name));
            for (const std::string_view line : lines) tell(g->name + ": " + std::string(line), g.get());
        }
    }

private:
    static constexpr std::size_t longest_line = 4096;

    // However the reader ends, by a farewell, an error or a kill: the guest leaves.
    class presence {
    public:
        presence(room& r, guest& g) : room_(r), guest_(g) {}
        presence(const presence&) = delete;
        presence& operator=(const presence&) = delete;
        ~presence() { room_.leave(guest_); }

    private:
        room& room_;
        guest& guest_;
    };

    void enter(guest& g, const std::string& name) {
        g.name = name;
        g.hear("welcome, " + name + "; here already: " + std::to_string(guests_.size()));
        tell(name + " comes in");
        guests_.push_back(&g);
    }

    void leave(guest& g) {
        g.outbox.close();
        if (guests_.remove(&g) != 0) tell(g.name + " leaves");
    }

    void tell(const std::string& line, const guest* but = nullptr) {
        for (guest* g : guests_) {
            if (g != but) g->hear(line);
        }
    }

    std::list<guest*> guests_;  // those that have given a name
};
// [/room]

// A guest for the self-test: prints what it hears.
class visitor {
public:
    visitor(const io::endpoint& server, std::string_view name)
        : name_(name), connection_(io::connect(server)), lines_(std::ref(connection_)) {
        hear();
        say(name);
        hear();
    }
    void say(std::string_view line) { connection_.send_all(std::string(line) + '\n'); }
    void hear() { std::cout << name_ << " hears: " << lines_.next().value() << '\n'; }
    void go() { connection_.close(); }

private:
    std::string_view name_;
    io::socket connection_;
    io::line_reader lines_;
};

void test(const io::endpoint& server) {
    visitor ann(server, "ann");
    visitor ben(server, "ben");
    ann.hear();
    visitor cem(server, "cem");
    ann.hear();
    ben.hear();
    ann.say("who knows a word for a small wood?");
    ben.hear();
    cem.hear();
    cem.say("copse");
    ann.hear();
    ben.hear();
    ben.go();
    ann.hear();
    cem.hear();
}

void run(std::string_view argument) {
    const bool self_test = argument == "--self-test";
    io::signal_listener stop({SIGINT, SIGTERM});
    room lobby;
    io::stream_server server(self_test ? "127.0.0.1:0" : argument,
                             [&](io::socket connection) { lobby.receive(std::move(connection)); });
    server.start();
    std::cout << "listening on " << server.local_endpoint() << std::endl;
    if (self_test) {
        test(server.local_endpoint());
    } else {
        stop.wait();
    }
    server.stop_for(1s);
}

}  // namespace

int main(int argc, char** argv) {
    if (argc > 2 || (argc == 2 && std::string_view(argv[1]) == "--help")) {
        std::cerr << "usage: io_chat_server [endpoint | --self-test]\n";
        return 2;
    }
    try {
        run(argc == 2 ? argv[1] : "127.0.0.1:8003");
        return 0;
    } catch (const std::exception& e) {
        std::cerr << "io_chat_server: " << e.what() << '\n';
        return 1;
    }
}
