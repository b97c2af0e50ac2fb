// A whole server: what a client sends comes back. Its argument is a port; without one, a free port is picked.
#include <copse/io.hpp>

#include <chrono>
#include <csignal>
#include <iostream>
#include <string>

namespace io = copse::io;
using namespace std::chrono_literals;

// Runs in a fiber for each connection. Whatever waits here, recv or send, lets the other fibers run.
void echo(io::socket& client) {
    while (const auto chunk = client.recv_pooled()) client.send_all(chunk.bytes());
}

int main(int argc, char** argv) {
    const std::string port = argc > 1 ? argv[1] : "0";
    io::stream_server server("127.0.0.1:" + port, echo);
    std::cout << "listening on " << server.local_endpoint() << std::endl;

    // No more connections; those that are open have ten seconds to end, and are served meanwhile. A second signal ends them.
    const auto on_stop = io::on_signal({SIGINT, SIGTERM}, [&] { server.stop_for(server.is_serving() ? 10s : 0s); });
    server.serve_forever();
    std::cout << "stopped\n";
}
