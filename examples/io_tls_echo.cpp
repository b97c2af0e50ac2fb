// An echo that nobody else can read: a server with a certificate of its own, and a client that believes in just that one.
//
//     io_tls_echo [folder]     serves 127.0.0.1:8443 with folder/own.pem, certificate and key, until SIGINT or SIGTERM
//     io_tls_echo              makes a certificate for this one run, serves itself once, and ends
//
// Try it with `openssl s_client -connect 127.0.0.1:8443`.
#include <copse/io/process.hpp>
#include <copse/io/signal_listener.hpp>
#include <copse/io/tls_server.hpp>
#include <copse/io/tls_stream.hpp>

#include <chrono>
#include <csignal>
#include <exception>
#include <iostream>
#include <string>

namespace io = copse::io;
using namespace std::chrono_literals;

namespace {

// [serve]
// Runs in a fiber for each connection, after its handshake.
void echo(io::tls_stream& client) {
    while (const auto chunk = client.recv_pooled()) client.send_all(chunk.bytes());
}
// [/serve]

/// Certificate and key, by the program openssl: a real server has them from an authority.
std::string make_certificate() {
    return io::check_output({"openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
                             "-noenc", "-days", "1", "-subj", "/CN=localhost", "-addext",
                             "subjectAltName=DNS:localhost", "-out", "-", "-keyout", "-"});
}

void serve_itself() {
    const std::string own = make_certificate();
    io::tls_server server("127.0.0.1:0", io::tls_context::server({.identity = {.certificate_pem = own}}), echo);
    server.start();

    // [connect]
    const auto ours = io::tls_context::client({.trust = {.ca_pem = own}});
    auto connection = io::connect_tls("localhost:" + std::to_string(server.local_endpoint().port()), ours);
    connection.send_all("many small trees");
    const auto returned = connection.recv_pooled();
    // [/connect]
    std::cout << "returned:  " << returned.text() << "\ncipher:    " << connection.cipher()
              << "\nserved by: " << connection.peer_certificate()->subject << '\n';
    connection.close();

    // [strangers]
    try {
        io::connect_tls(to_string(server.local_endpoint()), io::tls_context::client());
    } catch (const io::tls_error& e) {
        std::cout << "a client that has never heard of it: " << e.code().message() << '\n';
    }
    // [/strangers]
    server.stop_for(1s);
}

void serve(const std::string& folder) {
    io::signal_listener stop({SIGINT, SIGTERM});
    io::tls_server server("127.0.0.1:8443",
                          io::tls_context::server({.identity = {.certificate_file = folder + "/own.pem"}}), echo);
    server.start();
    std::cout << "listening on " << server.local_endpoint() << std::endl;
    stop.wait();
    server.stop_for(1s);
}

}  // namespace

int main(int argc, char** argv) {
    try {
        argc > 1 ? serve(argv[1]) : serve_itself();
        return 0;
    } catch (const std::exception& e) {
        std::cerr << "io_tls_echo: " << e.what() << '\n';
        return 1;
    }
}
