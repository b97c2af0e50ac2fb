// The HTTP server and its connections: how long they last, when and how they end, what is counted.

#include "io_foreign_peers.hpp"
#include "io_http_server.hpp"

#include <copse/virtual_time.hpp>

#include <string>

using namespace std::chrono_literals;
using namespace copse_test;
using namespace std::string_literals;
namespace io = copse::io;
namespace http = copse::io::http;

namespace {

TEST_F(HttpServer, AnswersAndKeepsTheConnection) {
    serve();
    io::socket c = client();
    for (int i = 0; i < 3; ++i) {
        c.send_all("GET /a HTTP/1.1\r\nHost: x\r\n\r\n");
        EXPECT_EQ(recv_text(c), answer_of("GET /a []"));
        c.send_all("POST /b HTTP/1.1\r\nhost: x\r\ncontent-length: 3\r\n\r\nabc");
        EXPECT_EQ(recv_text(c), answer_of("POST /b [abc]"));
    }
    EXPECT_EQ(server_->stats().requests, 6U);
    EXPECT_EQ(server_->stats().accepted, 1U);
    EXPECT_EQ(server_->stats().idle, 1U);
}

TEST_F(HttpServer, TellsOfTheClient) {
    serve([](http::exchange& x) {
        EXPECT_EQ(x.peer().address(), "127.0.0.1");
        EXPECT_FALSE(x.is_secure());
        EXPECT_EQ(x.request().headers.get("x-a"), "b");
        EXPECT_EQ(x.request().version, http::version::http_1_0);
        x.respond({.status = 299, .reason = "Fine"});
    });
    EXPECT_EQ(ask_and_wait("GET / HTTP/1.0\r\nX-A:  b \r\n\r\n"),
              "HTTP/1.1 299 Fine\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
}

TEST_F(HttpServer, VersionOneDotZeroKeepsAliveOnlyIfAsked) {
    serve();
    io::socket c = client();
    c.send_all("GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n");
    EXPECT_NE(recv_text(c).find("\r\nConnection: keep-alive\r\n"), std::string::npos);
    c.send_all("GET / HTTP/1.0\r\n\r\n");
    EXPECT_NE(recv_to_end(c).find("\r\nConnection: close\r\n"), std::string::npos);
}

TEST_F(HttpServer, ClosesAfterItsNumberOfRequests) {
    serve(mirror, {.requests_per_connection = 2});
    const std::string one = "GET / HTTP/1.1\r\nHost: x\r\n\r\n";
    const std::string answers = ask_and_wait(one + one + one);
    EXPECT_EQ(answers.find(answer_of("GET / []")), 0U);
    EXPECT_EQ(server_->stats().requests, 2U);
    EXPECT_NE(answers.find("Connection: close"), std::string::npos);
}

TEST_F(HttpServer, HasADate) {
    server_.emplace("127.0.0.1:0", [](const http::request& r) {
        http::response answer;
        if (r.target == "/own") answer.headers.add("Date", "today");
        return answer;
    });
    server_->start();
    const std::string answer = ask("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
    const std::size_t at = answer.find("\r\nDate: ");
    ASSERT_NE(at, std::string::npos);
    EXPECT_EQ(answer.substr(at + 8 + 25, 6), " GMT\r\n") << answer;
    EXPECT_NE(ask("GET /own HTTP/1.1\r\nHost: x\r\n\r\n").find("\r\nDate: today\r\n"), std::string::npos);
}

// The peer may send what it likes, as slowly as it likes.
TEST_F(HttpServer, ALastMomentIsShort) {
    copse::virtual_time time;
    serve([](http::exchange& x) { x.respond(http::text("no")); }, {.body_pause = 0s, .body_rate = 0});
    const auto is_left_after = [&](std::string_view sent, int drops) {
        io::socket c = client();
        c.send_all(sent);
        for (int i = 0; i < drops; ++i) {
            copse::sleep(1s);
            c.send_all("x");
        }
        copse::sleep(500ms);
        return server_->stats().connections == 0;
    };
    EXPECT_TRUE(is_left_after("nonsense\r\n\r\n", 2)) << "after a refusal";
    EXPECT_TRUE(is_left_after("PUT / HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n", 7)) << "a body";
    server_.reset();
}

TEST_F(HttpServer, ALastAnswerIsNotResetByTheNextRequest) {
    copse::event go;
    serve(
        [&](http::exchange& x) {
            go.wait();
            x.respond(http::text("last"));
        },
        {.requests_per_connection = 1});
    io::socket c = client();
    c.send_all("GET /a HTTP/1.1\r\nHost: x\r\n\r\n");
    while (server_->stats().requests != 1) copse::yield();
    c.send_all("GET /b HTTP/1.1\r\nHost: x\r\n\r\n");
    go.set();
    EXPECT_NE(recv_to_end(c).find("\r\n\r\nlast"), std::string::npos);
}

TEST_F(HttpServer, NothingIsServedInsideATunnel) {
    serve([](http::exchange& x) { x.respond({}); });
    EXPECT_EQ(ask_and_wait("CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n\r\nGET / HTTP/1.1\r\nHost: x\r\n\r\n"),
              "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n");
    EXPECT_EQ(server_->stats().requests, 1U);
}

TEST_F(HttpServer, TimeLimits) {
    copse::virtual_time time;
    serve();
    const auto lasts = [&](std::string_view sent, std::string_view answer) {
        const auto before = time.elapsed();
        io::socket c = client();
        c.send_all(sent);
        const std::string got = recv_to_end(c);
        EXPECT_EQ(got.substr(0, answer.size()), answer) << sent;
        EXPECT_EQ(got.empty(), answer.empty()) << got;
        return time.elapsed() - before;
    };
    EXPECT_EQ(lasts("", ""), 5s);
    EXPECT_EQ(lasts("G", "HTTP/1.1 408 "), 10s);
    EXPECT_EQ(lasts("GET / HTTP/1.1\r\nHost: x\r\n", "HTTP/1.1 408 "), 10s);
    EXPECT_EQ(lasts("GET / HTTP/1.1\r\nHost: x\r\n\r\n", "HTTP/1.1 200 "), 60s);
    EXPECT_EQ(lasts("PUT / HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\na", "HTTP/1.1 408 "), 10s)
        << "less than 500 bytes a second";
    server_.reset();
}

TEST_F(HttpServer, Fault_NT10_SlowHeadsAndBodiesAreCut) {
    copse::virtual_time time;
    serve();
    const auto drip = [&](std::string_view head, std::string_view drops, std::chrono::milliseconds every) {
        io::socket c = client();
        c.send_all(head);
        auto dripping = copse::spawn([&] {
            for (const char& one : drops) {
                copse::sleep(every);
                c.send_all(std::string_view(&one, 1));
            }
        });
        const std::string answer = recv_to_end(c);
        dripping.kill();
        return answer.substr(0, 12);
    };
    const auto before = time.elapsed();
    EXPECT_EQ(drip("", "GET / HTTP/1.1\r\nHost: x\r\n\r\n", 900ms), "HTTP/1.1 408");
    EXPECT_EQ(time.elapsed() - before, 10900ms);
    EXPECT_EQ(drip("PUT / HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n", std::string(100, 'a'), 500ms),
              "HTTP/1.1 408");
    server_.reset();
}

TEST_F(HttpServer, Fault_NT10_AClientsTimeIsCountedOverAllReads) {
    copse::virtual_time time;
    const auto cut_after = [&](const http::server_options& with) {
        serve(
            [](http::exchange& x) {
                std::array<std::byte, 4> piece;
                for (;;) {
                    try {
                        if (x.read_body_some_for(piece, 1s) == 0) return;
                    } catch (const io::timed_out&) {
                        // Once more.
                    }
                }
            },
            with);
        const auto before = time.elapsed();
        EXPECT_EQ(refused_with("PUT / HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\na"), 408);
        const auto took = time.elapsed() - before;
        server_.reset();
        return took;
    };
    EXPECT_EQ(cut_after({}), 10s) << "the rate";
    EXPECT_EQ(cut_after({.body_pause = 5s, .body_rate = 0}), 5s) << "the pause";
}

TEST_F(HttpServer, AClientThatTakesNothingIsCut) {
    copse::virtual_time time;
    std::string wrong = "not thrown";
    serve([&](http::exchange& x) {
        try {
            x.respond({.body = std::string(std::size_t{64} << 20, 'x')});
        } catch (const io::timed_out& e) {
            wrong = "";
            throw;
        }
    });
    io::socket c = client();
    c.send_all("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
    copse::sleep(61s);
    EXPECT_EQ(wrong, "");
    EXPECT_EQ(server_->stats().connections, 0U);
    EXPECT_EQ(server_->stats().failures, 0U);
    c.close();
    server_.reset();
}

TEST_F(HttpServer, AClientThatLeavesIsEverydayLife) {
    serve([](const http::request&) { return http::response{.body = std::string(std::size_t{8} << 20, 'x')}; });
    for (const char* sent : {"", "GET /", "GET / HTTP/1.1\r\nHost: x\r\n\r\n",
                             "PUT / HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\na"}) {
        io::socket c = client();
        c.send_all(sent);
        copse::yield();
        c.set_option(io::linger(0s));
        c.close();
    }
    EXPECT_TRUE(server_->stop_for(5s));
    EXPECT_EQ(server_->stats().failures, 0U);
}

TEST_F(HttpServer, StopClosesWhatIsIdleAndFinishesWhatRuns) {
    copse::event go;
    serve([&](const http::request& r) {
        if (r.target == "/slow") go.wait();
        return mirror(r);
    });
    io::socket fresh = client();
    io::socket idle = client();
    idle.send_all("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
    EXPECT_EQ(recv_text(idle), answer_of("GET / []"));
    io::socket busy = client();
    busy.send_all("GET /slow HTTP/1.1\r\nHost: x\r\n\r\nGET /next HTTP/1.1\r\nHost: x\r\n\r\n");
    while (server_->stats().requests != 2) copse::yield();
    auto stopping = copse::spawn([&] { return server_->stop_for(10s); });
    EXPECT_EQ(recv_to_end(idle), "");
    EXPECT_EQ(recv_to_end(fresh), "");
    EXPECT_FALSE(stopping.ready());
    EXPECT_FALSE(server_->is_serving());
    go.set();
    const std::string last = recv_to_end(busy);
    EXPECT_NE(last.find("\r\nConnection: close\r\n"), std::string::npos);
    EXPECT_NE(last.find("GET /slow []"), std::string::npos);
    EXPECT_EQ(last.find("/next"), std::string::npos);
    busy.close();
    EXPECT_TRUE(stopping.get());
    EXPECT_EQ(server_->stats().connections, 0U);
}

TEST_F(HttpServer, OneAddressHasOnlySoManyConnections) {
    const foreign_peers abroad;
    serve(mirror, {.max_per_address = 2});
    io::socket a = client();
    io::socket b = client();
    io::socket c = client();
    EXPECT_EQ(recv_to_end(c), "");
    EXPECT_EQ(server_->stats().refused, 1U);
    a.close();
    while (server_->stats().connections != 1) copse::yield();
    EXPECT_EQ(ask("GET / HTTP/1.1\r\nHost: x\r\n\r\n"), answer_of("GET / []"));
}

TEST_F(HttpServer, ServesUnixSockets) {
    server_.emplace("unix:@copse-http-test-" + std::to_string(::getpid()), mirror, http::server_options{.date = false});
    server_->start();
    EXPECT_EQ(ask("GET / HTTP/1.1\r\nHost: x\r\n\r\n"), answer_of("GET / []"));
}

TEST_F(HttpServer, TheAccessLogSeesEveryAnswer) {
    serve(mirror, {.access_log = [&](const http::access& a) {
              log(a.request != nullptr ? a.request->target : "none", "=", a.status, "/", a.body_bytes);
          }});
    ask("GET /a HTTP/1.1\r\nHost: x\r\n\r\nHEAD /b HTTP/1.1\r\nHost: x\r\n\r\nnonsense\r\n\r\n");
    EXPECT_EQ(log.text(), "/a=200/9 /b=200/0 none=400/16");
}

}  // namespace
