// Boost.Asio and fibers in one thread: the hub runs the io_context, and `use_fiber` parks the fiber until an operation of
// Asio has ended. A server of Asio's talks to a client of copse.
//
//     io_asio_timer
#include <copse/fiber.hpp>
#include <copse/io.hpp>
#include <copse/io/asio_context.hpp>
#include <copse/io/asio_token.hpp>
#include <copse/timeout.hpp>

#include <boost/asio.hpp>

#include <chrono>
#include <iostream>
#include <span>
#include <string>
#include <string_view>

namespace io = copse::io;
namespace asio = boost::asio;
using asio::ip::tcp;
using namespace std::chrono_literals;

// [server]
// Three times the line that it is sent, with a pause after each.
void serve(tcp::acceptor& acceptor) {
    tcp::socket client = acceptor.async_accept(io::use_fiber);
    std::string line;
    asio::async_read_until(client, asio::dynamic_buffer(line), '\n', io::use_fiber);
    asio::steady_timer pause(client.get_executor());
    for (int i = 0; i < 3; ++i) {
        asio::async_write(client, asio::buffer(line), io::use_fiber);
        pause.expires_after(5ms);
        pause.async_wait(io::use_fiber);
    }
}
// [/server]

int main() {
    io::asio_context context;  // nobody runs it but the hub
    tcp::acceptor acceptor(context, {asio::ip::address_v4::loopback(), 0});
    const auto server = copse::spawn([&] { serve(acceptor); });

    io::socket client = io::connect("127.0.0.1:" + std::to_string(acceptor.local_endpoint().port()));
    client.send_all(std::as_bytes(std::span(std::string_view("hello\n"))));
    while (const auto chunk = client.recv_pooled()) std::cout << chunk.text() << std::flush;
    server.get();

    // Errors are thrown, or told if asked for; a limit in time cancels what Asio does.
    boost::system::error_code code;
    const tcp::endpoint was = acceptor.local_endpoint();
    acceptor.close();
    tcp::socket late(context);
    late.async_connect(was, io::use_fiber[code]);
    std::cout << "connect: " << code.message() << '\n';
    try {
        const copse::timeout limit(5ms);
        asio::steady_timer an_hour(context, 1h);
        an_hour.async_wait(io::use_fiber.cancelled_by([&] { an_hour.cancel(); }));
    } catch (const copse::timeout_expired& e) {
        std::cout << e.what() << '\n';
    }
}
