// The body of a request as a stream that can be read, for what reads any of them.

#include "io_http_script.hpp"
#include "io_http_server.hpp"

#include <copse/io/buffered_stream.hpp>
#include <copse/io/byte_stream.hpp>
#include <copse/io/copy.hpp>
#include <copse/io/line_reader.hpp>
#include <copse/virtual_time.hpp>

#include <array>
#include <string>
#include <string_view>

using namespace std::chrono_literals;
using namespace copse_test;
namespace io = copse::io;
namespace http = copse::io::http;

namespace {

static_assert(io::readable<http::body_reader>);
static_assert(!io::writable<http::body_reader>);

const std::string put = "PUT / HTTP/1.1\r\nHost: x\r\n";

TEST_F(HttpServer, ABodyCanBeCopied) {
    const std::string large = pattern(100'000);
    auto [near, far] = io::socketpair();
    serve([&to = near](http::exchange& x) {
        const auto n = io::copy(x.body(), to);
        to.shutdown(io::shut::write);
        EXPECT_EQ(io::copy(x.body(), to), 0U) << "its end stays";
        x.respond(http::text(std::to_string(n)));
    });
    auto copied = copse::spawn([&from = far] { return recv_to_end(from); });
    EXPECT_EQ(ask(put + "Content-Length: 100000\r\n\r\n" + large), answer_of("100000"));
    EXPECT_EQ(copied.get(), large);
}

TEST_F(HttpServer, TheLinesOfABodyCanBeRead) {
    serve([](http::exchange& x) {
        std::string lines;
        for (const std::string_view line : io::line_reader(x.body())) lines.append(line).append("|");
        x.respond(http::text(lines));
    });
    EXPECT_EQ(ask(put + "Transfer-Encoding: chunked\r\n\r\n5\r\na\nb\r\n\r\n2\r\ncd\r\n0\r\n\r\n"),
              answer_of("a|b|cd|"));
    EXPECT_EQ(ask(put + "\r\n"), answer_of("")) << "there is none";
}

TEST_F(HttpServer, AnEndThatWasNotAnnouncedIsNoneOfTheBody) {
    serve([](http::exchange& x) {
        auto [near, far] = io::socketpair();
        EXPECT_EQ(error_of([&, &to = near] { io::copy(x.body(), to); }),
                  make_error_code(http::errc::message_incomplete).default_error_condition());
        x.respond(http::text("cut"));
    });
    const std::string answer = ask(put + "Content-Length: 9\r\n\r\nabc");
    EXPECT_NE(answer.find("\r\n\r\ncut"), std::string::npos) << answer;
}

// What follows must not be taken for the end of the body, nor for a request.
TEST_F(HttpServer, Fault_HT05_AfterABadChunkThereIsNoMore) {
    serve([](http::exchange& x) {
        const auto read = [&] { x.read_body(); };
        EXPECT_EQ(code_of(read), make_error_code(http::errc::bad_chunk));
        EXPECT_EQ(code_of(read), make_error_code(http::errc::message_incomplete));
        x.respond(http::text("caught"));
    });
    for (const char* chunks : {"0\r\nX: a\r\n b\r\n\r\n", "zz\r\nabc\r\n0\r\n\r\n"}) {
        const std::string answer =
            ask_and_wait(put + "Transfer-Encoding: chunked\r\n\r\n" + chunks + "GET / HTTP/1.1\r\nHost: x\r\n\r\n");
        EXPECT_NE(answer.find("\r\nConnection: close\r\n\r\ncaught"), std::string::npos) << answer;
        EXPECT_EQ(answer.rfind("HTTP/1.1"), 0U) << answer;
    }
}

// That one is well framed: what is not wanted can be passed over.
TEST_F(HttpServer, ABodyThatIsTooLargeForItsHandlerMayBeDropped) {
    serve([](http::exchange& x) {
        x.limit_body(3);
        const auto read = [&] { x.read_body(); };
        EXPECT_EQ(code_of(read), make_error_code(http::errc::body_too_large));
        x.respond(http::text("caught"));
    });
    const std::string one = put + "Content-Length: 4\r\n\r\nabcd";
    EXPECT_EQ(ask(one + one), answer_of("caught") + answer_of("caught"));
}

TEST_F(HttpServer, AReaderOfABodyHasItsOwnTime) {
    copse::virtual_time time;
    serve([](http::exchange& x) {
        std::array<std::byte, 8> piece;
        http::body_reader body = x.body();
        EXPECT_EQ(error_of([&] { body.read_for(piece, 1s); }), std::errc::timed_out);
        EXPECT_EQ(error_of([&] { body.read_until(piece, copse::clock::now() + 1s); }), std::errc::timed_out);
        EXPECT_EQ(body.read(piece), 1U) << "nothing was lost";
        EXPECT_TRUE(body.is_open());
        body.close();
        EXPECT_EQ(error_of([&] { body.read(piece); }), std::errc::bad_file_descriptor);
        x.respond(http::text("fine"));
    });
    io::socket c = client();
    c.send_all(put + "Content-Length: 1\r\n\r\n");
    copse::sleep(3s);
    c.send_all("a");
    EXPECT_EQ(recv_text(c), answer_of("fine"));
    server_.reset();
}

}  // namespace
