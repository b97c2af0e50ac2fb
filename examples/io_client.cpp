// A client for line servers: sends what is typed, prints what comes back, whichever comes first. Two fibers share the
// connection, one for each direction, and the keyboard is waited for like a socket.
//
//     io_client endpoint       until the server closes the connection; the end of the input (Ctrl-D) tells it so
//     io_client --self-test    talks to a server of its own
//
// Try it with io_upper_server, io_chat_server or io_echo_server.
#include <copse/fibers.hpp>
#include <copse/io/copy.hpp>
#include <copse/io/pipe.hpp>
#include <copse/io/socket.hpp>

#include <exception>
#include <iostream>
#include <span>
#include <string>
#include <string_view>
#include <system_error>

namespace io = copse::io;

namespace {

// [client]
// What is typed, up to its end.
void send_typed(io::socket& server) {
    io::copy(io::standard_input(), server);
    server.shutdown(io::shut::write);
}

void converse(io::socket& server) {
    const auto typing = copse::spawn([&] { send_typed(server); });
    try {
        while (const auto answer = server.recv_pooled()) std::cout << answer.text() << std::flush;
    } catch (const std::system_error& e) {
        std::cerr << e.what() << '\n';
    }
    typing.kill();  // the server has hung up: nobody listens to what is typed
}
// [/client]

// Answers in capitals.
void answer(io::socket& listener) {
    io::socket connection = listener.accept();
    while (const auto chunk = connection.recv_pooled()) {
        std::string text(chunk.text());
        for (char& c : text) {
            if (c >= 'a' && c <= 'z') c = static_cast<char>(c - 'a' + 'A');
        }
        connection.send_all(text);
    }
}

void test() {
    io::socket listener = io::listen("127.0.0.1:0");
    const auto server = copse::spawn([&] { answer(listener); });
    io::socket connection = io::connect(listener.local_endpoint());
    converse(connection);
    server.get();
}

}  // namespace

int main(int argc, char** argv) {
    const std::string_view argument = argc == 2 ? argv[1] : "--help";
    if (argument == "--help") {
        std::cerr << "usage: io_client endpoint | --self-test\n";
        return 2;
    }
    try {
        if (argument == "--self-test") {
            test();
        } else {
            io::socket server = io::connect(argument);
            std::cerr << "connected to " << server.peer_endpoint() << '\n';
            converse(server);
        }
        return 0;
    } catch (const std::exception& e) {
        std::cerr << "io_client: " << e.what() << '\n';
        return 1;
    }
}
