// The HTTP server over streams that are made of its sockets, as TLS does.

#include "exceptions.hpp"
#include "io_http_server.hpp"

#include <copse/event.hpp>
#include <copse/timeout.hpp>
#include <copse/virtual_time.hpp>

#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

using namespace std::chrono_literals;
using namespace copse_test;
using namespace std::string_literals;
namespace io = copse::io;
namespace http = copse::io::http;

namespace {

/// Every byte with its letter's case turned: stands for TLS.
class turned {
public:
    explicit turned(io::socket below) : below_(std::move(below)) {}
    std::size_t recv(std::span<std::byte> into) { return turn(into, below_.recv(into)); }
    std::size_t recv_until(std::span<std::byte> into, copse::clock::time_point when) {
        return turn(into, below_.recv_until(into, when));
    }
    void send_all(std::span<const io::const_buffer> pieces) { send_all_until(pieces, copse::clock::now() + 1h); }
    void send_all_until(std::span<const io::const_buffer> pieces, copse::clock::time_point when) {
        for (const io::const_buffer& one : pieces) {
            std::vector<std::byte> bytes(one.data(), one.data() + one.size());
            turn(bytes, bytes.size());
            below_.send_all_until(bytes, when);
        }
    }
    void shutdown(io::shut how) { below_.shutdown(how); }
    void close() { below_.close(); }
    bool is_open() const { return below_.is_open(); }

private:
    static std::size_t turn(std::span<std::byte> bytes, std::size_t n) {
        for (std::byte& b : bytes.first(n)) b ^= std::byte{0x20};
        return n;
    }
    io::socket below_;
};

std::string turned_text(std::string text) {
    for (char& c : text) c = static_cast<char>(c ^ 0x20);
    return text;
}

TEST_F(HttpServer, ServesThroughWhatSecures) {
    serve(
        [](http::exchange& x) {
            EXPECT_TRUE(x.is_secure());
            x.respond(mirror({.body = x.read_body()}));
        },
        {.secure = [](io::socket s) { return io::any_stream(turned(std::move(s))); }});
    io::socket c = client();
    for (int i = 0; i < 2; ++i) {
        c.send_all(turned_text("PUT / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc"));
        EXPECT_EQ(turned_text(recv_text(c)), answer_of("GET / [abc]"));
    }
    auto stopping = copse::spawn([&] { return server_->stop_for(10s); });
    EXPECT_EQ(recv_to_end(c), "");
    EXPECT_TRUE(stopping.get());
}

TEST_F(HttpServer, ASecuredClientIsLeftWithoutAGoodbyeItDoesNotTake) {
    struct mute : turned {
        using turned::turned;
        void shutdown(io::shut /*how*/) { copse::sleep(1h); }
    };
    copse::virtual_time time;
    serve(mirror, {.secure = [](io::socket s) { return io::any_stream(mute(std::move(s))); }});
    io::socket c = client();
    c.send_all(turned_text("nonsense\r\n\r\n"));
    EXPECT_NE(recv_to_end(c), "");
    EXPECT_EQ(time.elapsed(), 2s);
    server_.reset();
}

TEST_F(HttpServer, ASecuredStreamThatBreaksIsEverydayLife) {
    struct torn : turned {
        using turned::turned;
        std::size_t recv_until(std::span<std::byte> into, copse::clock::time_point when) {
            if (++calls == 2) throw std::system_error(std::make_error_code(std::errc::protocol_error));
            if (calls == 3) throw std::logic_error("a mistake");
            return turned::recv_until(into, when);
        }
        int calls = 0;
    };
    error_recorder told;
    serve(mirror, {.secure = [](io::socket s) { return io::any_stream(torn(std::move(s))); }});
    io::socket c = client();
    c.send_all(turned_text("GET / HT"));
    EXPECT_EQ(recv_to_end(c), "");
    EXPECT_EQ(told.count(), 0U);
}

TEST_F(HttpServer, ASecuredStreamIsGivenSmallPieces) {
    struct noted : turned {
        noted(io::socket below, std::size_t& largest) : turned(std::move(below)), most(&largest) {}
        void send_all_until(std::span<const io::const_buffer> pieces, copse::clock::time_point when) {
            std::size_t all = 0;
            for (const io::const_buffer& one : pieces) all += one.size();
            *most = std::max(*most, all);
            turned::send_all_until(pieces, when);
        }
        std::size_t* most;
    };
    std::size_t most = 0;
    const std::string large = pattern(100'000);
    serve([&](const http::request&) { return http::response{.body = large}; },
          {.secure = [&](io::socket s) { return io::any_stream(noted(std::move(s), most)); }});
    const std::string answer = turned_text(ask(turned_text("GET / HTTP/1.1\r\nHost: x\r\n\r\n")));
    EXPECT_EQ(answer.substr(answer.find("\r\n\r\n") + 4), large);
    EXPECT_EQ(most, 16384U);
}

TEST_F(HttpServer, Fault_HT07_NothingIsAnsweredBehindHalfAnInvitation) {
    struct stuck : turned {
        using turned::turned;
        void send_all_until(std::span<const io::const_buffer> /*pieces*/, copse::clock::time_point /*when*/) {
            copse::sleep(1h);
        }
    };
    copse::virtual_time time;
    serve(
        [](http::exchange& x) {
            EXPECT_FALSE(copse::with_timeout(
                1s, [&] { x.read_body(); }, copse::silent));
            EXPECT_THROW(x.respond(http::text("x")), std::logic_error);
        },
        {.secure = [](io::socket s) { return io::any_stream(stuck(std::move(s))); }});
    EXPECT_EQ(
        ask_and_wait(turned_text("PUT / HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\nExpect: 100-continue\r\n\r\n")),
        "");
    EXPECT_EQ(time.elapsed(), 1s);
    EXPECT_EQ(server_->stats().failures, 0U);
    server_.reset();
}

TEST_F(HttpServer, Fault_NT24_AStopEndsHandshakes) {
    copse::virtual_time time;
    serve(mirror, {.secure = [](io::socket s) -> io::any_stream {
              std::array<std::byte, 1> byte;
              if (s.recv(byte) == 0) throw std::system_error(std::make_error_code(std::errc::protocol_error));
              return io::any_stream(std::move(s));
          }});
    io::socket silent = client();
    while (server_->stats().connections == 0) copse::yield();
    EXPECT_EQ(server_->stats().idle, 0U) << "those are between requests";
    auto stopping = copse::spawn([&] { return server_->stop_for(1h); });
    EXPECT_EQ(recv_to_end(silent), "");
    EXPECT_TRUE(stopping.get());
    EXPECT_EQ(time.elapsed(), 0s);
    EXPECT_EQ(server_->stats().failed_handshakes, 0U) << "that was us";
}

TEST_F(HttpServer, Fault_FD05_AStopLeavesTheNumberOfAHandshakeThatClosedItToOthers) {
    copse::event goes_on;
    std::optional<std::pair<io::socket, io::socket>> others;
    serve(mirror, {.secure = [&](io::socket s) -> io::any_stream {
              const int number = s.native_handle();
              s.close();
              others = io::socketpair();
              EXPECT_TRUE(others->first.native_handle() == number || others->second.native_handle() == number);
              goes_on.wait();
              throw std::system_error(std::make_error_code(std::errc::protocol_error));
          }});
    io::socket c = client();
    while (!others) copse::yield();
    server_->stop();
    others->first.send_all("abc");
    EXPECT_EQ(recv_text(others->second), "abc");
    others->second.send_all("def");
    EXPECT_EQ(recv_text(others->first), "def");
    goes_on.set();
    others.reset();
}

TEST_F(HttpServer, Fault_FD05_AStopLeavesTheNumberOfAStreamOverAnotherToOthers) {
    std::optional<std::pair<io::socket, io::socket>> helper;  // as to a process that does TLS
    std::optional<std::pair<io::socket, io::socket>> others;
    serve(mirror, {.secure = [&](io::socket s) {
              const int number = s.native_handle();
              helper = io::socketpair();
              s.close();
              others = io::socketpair();
              EXPECT_TRUE(others->first.native_handle() == number || others->second.native_handle() == number);
              return io::any_stream(std::move(helper->first));
          }});
    io::socket c = client();
    while (server_->stats().idle == 0) copse::yield();
    server_->stop();
    others->first.send_all("abc");
    EXPECT_EQ(recv_text(others->second), "abc");
    others->second.send_all("def");
    EXPECT_EQ(recv_text(others->first), "def");
    helper->second.close();
    others.reset();
}

TEST_F(HttpServer, HandshakesThatFailAreCounted) {
    copse::virtual_time time;
    const error_recorder told;  // of the mistake below
    int calls = 0;
    serve(mirror, {.secure = [&](io::socket s) -> io::any_stream {
              if (++calls == 1) throw std::system_error(std::make_error_code(std::errc::protocol_error));
              std::array<std::byte, 1> byte;
              s.recv(byte);
              return io::any_stream(std::move(s));
          }});
    io::socket one = client();
    EXPECT_EQ(recv_to_end(one), "");
    io::socket two = client();
    EXPECT_EQ(recv_to_end(two), "");
    EXPECT_EQ(time.elapsed(), 10s);
    io::socket three = client();
    EXPECT_EQ(recv_to_end(three), "");
    EXPECT_EQ(server_->stats().failed_handshakes, 3U);
    server_.reset();
}

}  // namespace
