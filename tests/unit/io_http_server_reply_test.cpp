// Answers that were begun and come to nothing.

#include "exceptions.hpp"
#include "io_http_server.hpp"

#include <copse/io/any_stream.hpp>
#include <copse/io/descriptor.hpp>

#include <sys/mman.h>
#include <unistd.h>

#include <stdexcept>
#include <string>

using namespace std::chrono_literals;
using namespace copse_test;
namespace io = copse::io;
namespace http = copse::io::http;

namespace {

const std::string get = "GET / HTTP/1.1\r\nHost: x\r\n\r\n";

// While the head has not left there is time for another.
TEST_F(HttpServer, Fault_HT13_AnAnswerOfWhichNothingWasSentIsReplaced) {
    error_recorder told;
    serve([](http::exchange& x) {
        http::response head{.status = 201};
        head.headers.add("Of", "the first");
        x.start(head);
        throw std::runtime_error("broken");
    });
    for (const char* version : {"1.0", "1.1"}) {
        const std::string answer =
            ask_and_wait("GET / HTTP/" + std::string(version) + "\r\nHost: x\r\nConnection: keep-alive\r\n\r\n");
        EXPECT_EQ(answer, "HTTP/1.1 500 Internal Server Error\r\nContent-Type: text/plain; charset=utf-8\r\n"
                          "Content-Length: 26\r\nConnection: close\r\n\r\n500 Internal Server Error\n");
    }
    EXPECT_EQ(told.count(), 2U);
}

TEST_F(HttpServer, Fault_HT10_AnnouncedAndNothingWrittenIs500) {
    error_recorder told;
    serve([](http::exchange& x) { x.start({}, 10); });
    EXPECT_EQ(refused_with(get), 500);
    EXPECT_EQ(ask("HEAD / HTTP/1.1\r\nHost: x\r\n\r\n"), "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n");
    EXPECT_EQ(told.count(), 1U);
}

TEST_F(HttpServer, Fault_HT10_AnEmptyLengthIsNone) {
    serve([](const http::request&) {
        http::response answer{.body = "body"};
        answer.headers.add("Content-Length", "");
        return answer;
    });
    EXPECT_EQ(ask("HEAD / HTTP/1.1\r\nHost: x\r\n\r\n"), "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n");
}

// The client has broken its body, which the handler knows; what it asks next has broken by itself.
TEST_F(HttpServer, Fault_HT13_AResetBySomebodyElseIsAFailureAlsoThen) {
    error_recorder told;
    serve([](http::exchange& x) {
        EXPECT_THROW(x.read_body(), http::error);
        auto [near, far] = tcp_pair();
        far.set_option(io::linger(0s));
        far.close();
        recv_text(near);
    });
    EXPECT_EQ(refused_with("PUT / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"), 500);
    EXPECT_EQ(told.count(), 1U);
}

// Where it is copied piece by piece, too.
TEST_F(HttpServer, Fault_HT10_OfAFileThatIsTooLongNothingIsSent) {
    struct passing {
        io::socket below;
        std::size_t recv(std::span<std::byte> into) { return below.recv(into); }
        std::size_t recv_until(std::span<std::byte> into, copse::clock::time_point when) {
            return below.recv_until(into, when);
        }
        void send_all(std::span<const io::const_buffer> pieces) { below.send_all(pieces); }
        void send_all_until(std::span<const io::const_buffer> pieces, copse::clock::time_point when) {
            below.send_all_until(pieces, when);
        }
        void shutdown(io::shut how) { below.shutdown(how); }
        void close() { below.close(); }
        bool is_open() const noexcept { return below.is_open(); }
    };
    io::descriptor file(::memfd_create("large", MFD_CLOEXEC));
    ASSERT_EQ(::ftruncate(file.get(), 100'000), 0);
    serve(
        [&](http::exchange& x) {
            x.start({}, 50'000);
            EXPECT_THROW(x.write_file(file.get(), 0, 100'000), std::logic_error);
            x.write_file(file.get(), 0, 50'000);
        },
        {.secure = [](io::socket s) { return io::any_stream(passing{std::move(s)}); }});
    const std::string answer = ask(get);
    EXPECT_EQ(answer, "HTTP/1.1 200 OK\r\nContent-Length: 50000\r\n\r\n" + std::string(50'000, '\0'));
}

}  // namespace
