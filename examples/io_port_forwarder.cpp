// Forwards every connection to another address, both ways. Each half ends by itself: who has said all it had to say may go
// on listening, as `ssh`, `nc -N` and HTTP clients do.
//
//     io_port_forwarder HERE THERE     until SIGINT or SIGTERM; then no more connections, and five seconds for the rest
//     io_port_forwarder                forwards to a server of its own once, and ends
//
// Try it with `io_port_forwarder 127.0.0.1:8005 example.org:80`.
#include <copse/fibers.hpp>
#include <copse/io.hpp>

#include <chrono>
#include <csignal>
#include <exception>
#include <iostream>
#include <string>
#include <string_view>
#include <system_error>

namespace io = copse::io;
using namespace std::chrono_literals;

namespace {

// [forward]
// One direction, up to its end. Whatever goes wrong in it ends both: the other would wait for answers that cannot come.
void pump(io::socket& from, io::socket& to) {
    try {
        while (const auto chunk = from.recv_pooled()) to.send_all(chunk.bytes());
        to.shutdown(io::shut::write);
    } catch (const std::system_error&) {
        from.close();
        to.close();
    }
}

// Runs in a fiber for each connection, and ends when both directions have; a kill ends both.
void forward(io::socket& client, const std::string& there) {
    io::socket server = io::connect_for(there, 10s);
    const copse::scoped_fiber answers(copse::spawn([&] { pump(server, client); }));
    pump(client, server);
}
// [/forward]

void test(io::stream_server& forwarder) {
    io::socket s = io::connect(forwarder.local_endpoint());
    s.send_all("many small trees");
    s.shutdown(io::shut::write);  // the question is complete; the answer comes after that
    while (const auto chunk = s.recv_pooled()) std::cout << chunk.text();
    std::cout << '\n';
}

// Answers when it has heard all, which it learns from the half that has ended.
void count(io::socket& client) {
    std::size_t bytes = 0;
    while (const auto chunk = client.recv_pooled()) bytes += chunk.bytes().size();
    client.send_all("I heard " + std::to_string(bytes) + " bytes");
}

void run_self() {
    io::stream_server target("127.0.0.1:0", count);
    target.start();
    io::stream_server forwarder(
        "127.0.0.1:0", [there = to_string(target.local_endpoint())](io::socket& client) { forward(client, there); });
    forwarder.start();
    test(forwarder);
    std::cout << (forwarder.stop_for(5s) ? "stopped, nobody was cut off\n" : "stopped by force\n");
}

void run(std::string_view here, std::string there) {
    io::signal_listener stop({SIGINT, SIGTERM});
    io::stream_server forwarder(here, [&there](io::socket& client) { forward(client, there); });
    forwarder.start();
    std::cout << forwarder.local_endpoint() << " leads to " << there << std::endl;
    stop.wait();
    forwarder.stop_for(5s);
}

}  // namespace

int main(int argc, char** argv) {
    if (argc != 1 && argc != 3) {
        std::cerr << "usage: io_port_forwarder [HERE THERE]\n";
        return 2;
    }
    try {
        argc == 3 ? run(argv[1], argv[2]) : run_self();
        return 0;
    } catch (const std::exception& e) {
        std::cerr << "io_port_forwarder: " << e.what() << '\n';
        return 1;
    }
}
