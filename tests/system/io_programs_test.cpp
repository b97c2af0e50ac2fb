// Our sockets with other people's programs: socat and ncat. What is not installed is skipped.

#include "io_installed.hpp"
#include "io_leak_check.hpp"

#include <copse/io/datagram_server.hpp>
#include <copse/io/process.hpp>
#include <copse/io/stream_server.hpp>

#include <unistd.h>

#include <optional>
#include <string>
#include <string_view>
#include <vector>

using namespace std::chrono_literals;
using namespace copse_test;
namespace io = copse::io;

namespace {

void echo(io::socket s) {
    while (const auto chunk = s.recv_pooled()) s.send_all(chunk.bytes());
}

/// What the program answers when it is told `input`, in 20 s at most.
std::string answer_of(const std::vector<std::string>& program, std::string_view input) {
    const auto done = copse::with_timeout(20s, [&] { return io::run(program, {}, input); });
    EXPECT_TRUE(done.status.success()) << program.front() << ' ' << done.status << '\n' << done.errors;
    return done.output;
}

struct processes_before {
    processes_before() { io::run({"true"}); }
};

class IoPrograms : private processes_before, public io_leak_check {
protected:
    const std::string said = pattern(200'000);
};

TEST_F(IoPrograms, SocatOverTcpAndUnix) {
    NEEDS("socat");
    const std::string name = "copse-programs-" + std::to_string(::getpid());
    io::stream_server tcp("127.0.0.1:0", echo);
    io::stream_server tcp6("[::1]:0", echo);
    io::stream_server local("unix:@" + name, echo);
    for (io::stream_server* const each : {&tcp, &tcp6, &local}) each->start();
    EXPECT_TRUE(answer_of({"socat", "-t20", "-", "TCP:" + to_string(tcp.local_endpoint())}, said) == said);
    EXPECT_TRUE(answer_of({"socat", "-t20", "-", "TCP6:" + to_string(tcp6.local_endpoint())}, said) == said);
    EXPECT_TRUE(answer_of({"socat", "-t20", "-", "ABSTRACT-CONNECT:" + name}, said) == said);
    for (io::stream_server* const each : {&tcp, &tcp6, &local}) EXPECT_TRUE(each->stop_for(10s));
}

TEST_F(IoPrograms, SocatOverUdp) {
    NEEDS("socat");
    copse::event heard;
    std::string told;
    io::datagram_server server("127.0.0.1:0", [&](io::incoming_datagram& d) {
        told = d.text();
        heard.set();
        d.reply(d.bytes());
    });
    server.start();
    io::process client({"socat", "-", "UDP:" + to_string(server.local_endpoint())},
                       {.input = io::redirect::pipe, .output = io::redirect::pipe});
    client.input().write_all("many small trees");
    std::string back(16, '\0');
    EXPECT_EQ(client.output().read_exactly_for(std::as_writable_bytes(std::span(back)), 20s), 16U);
    EXPECT_EQ(back, "many small trees");
    client.kill();
    client.wait();
    EXPECT_TRUE(heard.wait_for(10s));
    EXPECT_EQ(told, "many small trees");
    EXPECT_TRUE(server.stop_for(10s));
}

TEST_F(IoPrograms, OurClientAndTheServerOfSocat) {
    NEEDS("socat");
    const std::string name = "copse-programs-server-" + std::to_string(::getpid());
    io::process server({"socat", "ABSTRACT-LISTEN:" + name, "EXEC:cat"}, {.input = io::redirect::null});
    io::socket client;
    while (!client) {
        try {
            client = io::connect("unix:@" + name);
        } catch (const std::system_error& e) {
            ASSERT_EQ(e.code(), std::errc::connection_refused);  // it has not begun to listen
            copse::yield();
        }
    }
    client.set_timeout(20s);
    auto writer = copse::spawn([&] {
        client.send_all(said);
        client.shutdown(io::shut::write);
    });
    EXPECT_TRUE(recv_to_end(client) == said);
    writer.get();
    EXPECT_TRUE(server.wait_for(10s));
}

TEST_F(IoPrograms, Ncat) {
    NEEDS("ncat");
    io::stream_server server("127.0.0.1:0", echo);
    server.start();
    EXPECT_TRUE(answer_of({"ncat", "127.0.0.1", std::to_string(server.local_endpoint().port())}, said) == said);
    EXPECT_TRUE(server.stop_for(10s));
}

}  // namespace
