// The HTTP server, byte by byte: what it takes for a request, what it answers, when it closes.

#include "at_end.hpp"
#include "exceptions.hpp"
#include "io_leak_check.hpp"

#include <copse/io/http/server.hpp>
#include <copse/timeout.hpp>
#include <copse/virtual_time.hpp>

#include <functional>
#include <optional>
#include <string>
#include <vector>

using namespace std::chrono_literals;
using namespace copse_test;
using namespace std::string_literals;
namespace io = copse::io;
namespace http = copse::io::http;

namespace {

/// Answers with what it was asked.
http::response mirror(const http::request& asked) {
    return http::text(asked.method.text() + " " + asked.target + " [" + asked.body + "]");
}

class HttpServer : public io_leak_check {
protected:
    template <class F>
    http::server& serve(F handler, http::server_options with = {}) {
        with.date = false;
        server_.emplace("127.0.0.1:0", std::move(handler), with);
        server_->start();
        return *server_;
    }
    http::server& serve() { return serve(mirror); }

    io::socket client() { return io::connect(server_->local_endpoint()); }

    /// Sends it and says that this was all. Returns: everything that comes back.
    std::string ask(std::string_view raw) {
        io::socket c = client();
        c.send_all(raw);
        c.shutdown(io::shut::write);
        return recv_to_end(c);
    }
    /// The same, but the server must close by itself.
    std::string ask_and_wait(std::string_view raw) {
        io::socket c = client();
        c.send_all(raw);
        return recv_to_end(c);
    }
    /// The status of the only answer that the server gives before it closes by itself; 0 if that is not what happens.
    int refused_with(std::string_view raw) {
        const std::string answer = ask_and_wait(raw);
        if (answer.rfind("HTTP/1.1 ") != 0 || answer.find("\r\nConnection: close\r\n") == std::string::npos) return 0;
        return std::stoi(answer.substr(9, 3));
    }

    void TearDown() override {
        if (server_) {
            EXPECT_TRUE(server_->stop_for(10s));
            server_.reset();
        }
        io_leak_check::TearDown();
    }

    std::optional<http::server> server_;
};

std::string answer_of(std::string_view body) {
    return "HTTP/1.1 200 OK\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: " +
           std::to_string(body.size()) + "\r\n\r\n" + std::string(body);
}

/// Everything up to the end of a head and `length` bytes.
std::string recv_answer(io::socket& from, std::size_t length) {
    std::string all;
    for (std::size_t end = 0; (end = all.find("\r\n\r\n")) == std::string::npos || all.size() < end + 4 + length;) {
        const std::string more = recv_text(from);
        if (more.empty()) break;
        all += more;
    }
    return all;
}

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

TEST_F(HttpServer, TakesARequestByteByByte) {
    serve();
    io::socket c = client();
    c.set_option(io::no_delay(true));
    for (const char byte :
         "\r\nPUT /x HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n00\r\n\r\n"s) {
        c.send_all(std::string_view(&byte, 1));
        copse::yield();
    }
    EXPECT_EQ(recv_text(c), answer_of("PUT /x [abc]"));
}

TEST_F(HttpServer, TakesRequestsCutAnywhere) {
    serve([](http::exchange& x) { x.respond(mirror({.method = x.request().method, .body = x.read_body()})); });
    const std::string sent =
        "\r\nPUT / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
        "3;a=b\r\nabc\r\nA\r\n0123456789\r\n0\r\nSum: 1\r\n\r\n"
        "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nxyzHEAD / HTTP/1.1\r\nHost: x\r\n\r\n";
    const std::string wanted = ask(sent);
    EXPECT_EQ(wanted.find(answer_of("PUT / [abc0123456789]") + answer_of("POST / [xyz]") + "HTTP/1.1 200 OK\r\n"), 0U);
    copse::virtual_time time;
    for (std::size_t cut = 1; cut < sent.size(); ++cut) {
        io::socket c = client();
        c.send_all(sent.substr(0, cut));
        copse::sleep(1ms);  // virtual: until the server waits for the rest
        c.send_all(sent.substr(cut));
        c.shutdown(io::shut::write);
        EXPECT_EQ(recv_to_end(c), wanted) << "cut at " << cut;
    }
    server_->stop_for(0s);
    server_.reset();
}

// Whatever comes, the server answers in HTTP, or not at all, and goes on.
TEST_F(HttpServer, BearsRandomRequests) {
    serve();
    const std::vector<std::string> seeds = {
        "GET / HTTP/1.1\r\nHost: x\r\nAccept: */*\r\n\r\n",
        "PUT / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3;a=\"b\"\r\nabc\r\n0\r\nSum: 1\r\n\r\n",
        "POST http://x/ HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\nxyz"};
    unsigned random = 1;
    const auto below = [&](std::size_t n) {
        random = random * 1664525U + 1013904223U;
        return (random >> 8) % n;
    };
    const std::string bytes = "\r\n \t:;,=\"%0aF\x7f\x80/-"s + '\0';
    for (int i = 0; i < 600; ++i) {
        std::string sent = seeds[below(seeds.size())] + seeds[below(seeds.size())];
        for (std::size_t changes = 1 + below(4); changes != 0; --changes) {
            const std::size_t at = below(sent.size());
            switch (below(4)) {
            case 0: sent[at] = bytes[below(bytes.size())]; break;
            case 1: sent.insert(at, 1, bytes[below(bytes.size())]); break;
            case 2: sent.erase(at, 1 + below(3)); break;
            default: sent.insert(at, sent.substr(at, below(20))); break;
            }
        }
        const std::string got = ask(sent);
        EXPECT_TRUE(got.empty() || got.rfind("HTTP/1.1 ", 0) == 0) << got;
        EXPECT_EQ(server_->stats().failures, 0U) << sent;
    }
    EXPECT_EQ(ask(seeds[0]), answer_of("GET / []"));
}

TEST_F(HttpServer, HandlersComeInSeveralShapes) {
    const auto visit = [&](auto handler) {
        serve(std::move(handler));
        EXPECT_EQ(ask("GET / HTTP/1.1\r\nHost: x\r\n\r\n"), answer_of("bye"));
        server_.reset();
    };
    visit([](const http::request&) { return http::text("bye"); });
    visit([](http::exchange& x) { x.respond(http::text("bye")); });
    visit([](http::exchange& x) { return http::text(x.request().body + "bye"); });
    visit([held = std::make_unique<int>(7)](const http::request&) { return http::text(*held == 7 ? "bye" : "?"); });
    EXPECT_THROW(serve(std::function<void(http::exchange&)>()), copse::null_callable);
    EXPECT_THROW(serve(mirror, {.limits = {.header_block = 0}}), std::invalid_argument);
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

// HT08.
TEST_F(HttpServer, Fault_HT08_PipelinedRequestsAreAnsweredInOrder) {
    serve([](const http::request& r) {
        if (r.target.size() % 2 == 0) copse::yield();
        return mirror(r);
    });
    std::string sent;
    std::string wanted;
    for (int i = 0; i < 100; ++i) {
        const std::string number = "/" + std::to_string(i);
        const std::string body(static_cast<std::size_t>(i), 'b');
        if (i % 3 == 0) {
            sent += "GET " + number + " HTTP/1.1\r\nHost: x\r\n\r\n";
            wanted += answer_of("GET " + number + " []");
        } else if (i % 3 == 1) {
            sent +=
                "POST " + number + " HTTP/1.1\r\nHost: x\r\nContent-Length: " + std::to_string(i) + "\r\n\r\n" + body;
            wanted += answer_of("POST " + number + " [" + body + "]");
        } else {
            sent += "POST " + number + " HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0\r\n\r\n";
            wanted += answer_of("POST " + number + " [ab]");
        }
    }
    EXPECT_EQ(ask(sent), wanted);
}

TEST_F(HttpServer, Fault_HT08_NothingIsServedAfterConnectionClose) {
    serve();
    const std::string answers =
        ask_and_wait("GET /1 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\nGET /2 HTTP/1.1\r\nHost: x\r\n\r\n");
    EXPECT_NE(answers.find("GET /1 []"), std::string::npos);
    EXPECT_EQ(answers.find("/2"), std::string::npos);
    EXPECT_EQ(server_->stats().requests, 1U);
}

TEST_F(HttpServer, Fault_HT08_GarbageAfterARequestIsRefused) {
    serve();
    const std::string answers =
        ask_and_wait("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nab\x01garbage\r\n\r\n");
    EXPECT_EQ(answers.find(answer_of("POST / [ab]")), 0U);
    EXPECT_NE(answers.find("HTTP/1.1 400 Bad Request\r\n"), std::string::npos);
}

// HT01.
TEST_F(HttpServer, Fault_HT01_LengthAndCodingTogetherAreRefused) {
    serve();
    const auto post = [&](const std::string& fields, const std::string& version = "1.1") {
        return refused_with("POST / HTTP/" + version + "\r\nHost: x\r\n" + fields + "\r\n0\r\n\r\n");
    };
    EXPECT_EQ(post("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n"), 400);
    EXPECT_EQ(post("Transfer-Encoding: chunked\r\nContent-Length: 5\r\n"), 400);
    EXPECT_EQ(post("Transfer-Encoding: gzip\r\nContent-Length: 5\r\n"), 400);
    for (const char* coding : {"gzip", "gzip, chunked", "chunked, identity", "identity", "xchunked", "chunkedx", "",
                               "\"chunked\"", "chunked, chunked", "chunked;q=1",
                               "\x0b"
                               "chunked"})
        EXPECT_EQ(post("Transfer-Encoding: "s + coding + "\r\n"), 400) << coding;
    EXPECT_EQ(post("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n"), 400);
    EXPECT_EQ(post("Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n"), 400);
    EXPECT_EQ(post("Transfer-Encoding : chunked\r\n"), 400);
    EXPECT_EQ(post("Transfer-Encoding: chunked\r\n", "1.0"), 400);
    EXPECT_EQ(server_->stats().requests, 0U);
    EXPECT_EQ(ask("POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: CHUNKED\r\n\r\n0\r\n\r\n"), answer_of("POST / []"));
}

// HT02.
TEST_F(HttpServer, Fault_HT02_OnlyOneDecimalLengthIsAccepted) {
    serve();
    for (const char* length :
         {"Content-Length: 2\r\nContent-Length: 2", "Content-Length: 2\r\nContent-Length: 3", "Content-Length: 2, 2",
          "Content-Length: 2,3", "Content-Length: +2", "Content-Length: -1", "Content-Length: 0x2",
          "Content-Length:", "Content-Length: 2 2", "Content-Length: 2a", "Content-Length: 18446744073709551616",
          "Content-Length: 99999999999999999999999", "Content-Length: 2.0", "Content-Length: ,2"})
        EXPECT_EQ(refused_with("POST / HTTP/1.1\r\nHost: x\r\n"s + length + "\r\n\r\nab"), 400) << length;
    EXPECT_EQ(server_->stats().requests, 0U);
    EXPECT_EQ(ask("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 002\r\n\r\nab"), answer_of("POST / [ab]"));
}

// HT03.
TEST_F(HttpServer, Fault_HT03_MalformedHeadsAreRefused) {
    serve();
    const std::string start = "GET / HTTP/1.1\r\n";
    for (const std::string& head : {start + "Host : x\r\n\r\n",
                                    start + "Host: x\r\n: y\r\n\r\n",
                                    start + "Host: x\r\nA\r\n\r\n",
                                    start + "Host: x\r\n folded\r\n\r\n",
                                    start + "Host: x\r\nA: b\r\n folded\r\n\r\n",
                                    start + "Host: x\r\n\tfolded: y\r\n\r\n",
                                    start + " Host: x\r\n\r\n",
                                    start + "Host: x\nA: b\r\n\r\n",
                                    "GET / HTTP/1.1\nHost: x\n\n"s,
                                    start + "Host: x\r\nA: b\rc\r\n\r\n",
                                    start + "Host: x\r\nA: b\0c\r\n\r\n"s,
                                    start + "Host: x\r\nA: b\x01\r\n\r\n",
                                    start + "Host: x\r\nA\x80: b\r\n\r\n",
                                    start + "Host: x\r\nA B: c\r\n\r\n",
                                    start + "Host: x\r\n\"A\": c\r\n\r\n",
                                    start + "Host: x\r\r\n\r\n",
                                    "GET /\x01 HTTP/1.1\r\nHost: x\r\n\r\n"s,
                                    "GET /\xc3\xbc HTTP/1.1\r\nHost: x\r\n\r\n"s,
                                    "GET /a b HTTP/1.1\r\nHost: x\r\n\r\n"s,
                                    "GET  / HTTP/1.1\r\nHost: x\r\n\r\n"s,
                                    "GET /  HTTP/1.1\r\nHost: x\r\n\r\n"s,
                                    "GET\t/ HTTP/1.1\r\nHost: x\r\n\r\n"s,
                                    "GET / HTTP/1.1 \r\nHost: x\r\n\r\n"s,
                                    "GET /\r\n\r\n"s,
                                    "GET / http/1.1\r\nHost: x\r\n\r\n"s,
                                    "GET / HTTP/1.1x\r\nHost: x\r\n\r\n"s,
                                    "GET / HTTP/11\r\nHost: x\r\n\r\n"s,
                                    "G(T / HTTP/1.1\r\nHost: x\r\n\r\n"s,
                                    "GET x HTTP/1.1\r\nHost: x\r\n\r\n"s,
                                    "GET * HTTP/1.1\r\nHost: x\r\n\r\n"s,
                                    "\r\n\r\nGET / HTTP/1.1\r\nHost: x\r\n\r\n"s,
                                    "\n"s,
                                    " \r\n"s,
                                    "{\"a\": 1}"s})
        EXPECT_EQ(refused_with(head), 400) << head;
    EXPECT_EQ(server_->stats().requests, 0U);
    EXPECT_EQ(ask("OPTIONS * HTTP/1.1\r\nHost: x\r\nA: \xc3\xbc\r\n\r\n"), answer_of("OPTIONS * []"));
}

// HT04.
TEST_F(HttpServer, Fault_HT04_HostMustBeOneAndAgree) {
    serve();
    EXPECT_EQ(refused_with("GET / HTTP/1.1\r\n\r\n"), 400);
    EXPECT_EQ(refused_with("GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n"), 400);
    EXPECT_EQ(refused_with("GET / HTTP/1.1\r\nHost: a\r\nhost: b\r\n\r\n"), 400);
    EXPECT_EQ(refused_with("GET http://a/ HTTP/1.1\r\nHost: b\r\n\r\n"), 400);
    EXPECT_EQ(refused_with("GET http://a@b/ HTTP/1.1\r\nHost: b\r\n\r\n"), 400);
    EXPECT_EQ(refused_with("GET http:/// HTTP/1.1\r\nHost: \r\n\r\n"), 400);
    for (const char* host : {"a b", "a/b", "a@b", "a,\"b", "a\\b", "<a>"})
        EXPECT_EQ(refused_with("GET / HTTP/1.1\r\nHost: "s + host + "\r\n\r\n"), 400) << host;
    EXPECT_EQ(ask("GET http://A:80/x?y HTTP/1.1\r\nHost: a:80\r\n\r\n"), answer_of("GET http://A:80/x?y []"));
    EXPECT_EQ(ask("GET / HTTP/1.1\r\nHost: [::1]:8080\r\n\r\n"), answer_of("GET / []"));
}

// HT05.
TEST_F(HttpServer, Fault_HT05_MalformedChunksAreRefused) {
    serve();
    const std::string head = "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n";
    for (const std::string& body :
         {"10000000000000000\r\nab"s, "-1\r\nab\r\n0\r\n\r\n"s, "0x2\r\nab\r\n0\r\n\r\n"s, "+2\r\nab\r\n0\r\n\r\n"s,
          "2\nab\r\n0\r\n\r\n"s, "2\r\nabc\r\n0\r\n\r\n"s, "2\r\nab0\r\n\r\n"s, "2;=x\r\nab\r\n0\r\n\r\n"s,
          "2 2\r\nab\r\n0\r\n\r\n"s, "\r\n\r\n"s, "g\r\n\r\n"s, "2;a=\"b\r\nab\r\n0\r\n\r\n"s,
          "2\r\nab\r\n0\r\nA\r\n\r\n"s, "2\r\nab\r\n0\r\n: b\r\n\r\n"s, "2\r\nab\r\n0\r\nA: b\x01\r\n\r\n"s,
          "2\r\nab\r\n0\r\nA: b\r\n c\r\n\r\n"s, "2\r\nab\r\n0\r\nA: b\r\n\tc\r\n\r\n"s})
        EXPECT_EQ(refused_with(head + body), 400) << body;
    EXPECT_EQ(ask(head + "2;a=b;c\r\nab\r\n1;d=\"e\"\r\nc\r\n0\r\n\r\n"), answer_of("POST / [abc]"));
}

TEST_F(HttpServer, Fault_HT05_ChunksAreBounded) {
    serve();
    const std::string head = "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n";
    EXPECT_EQ(refused_with(head + "1;" + std::string(1 << 20, 'a')), 400);
    std::string many;
    for (int i = 0; i < 1000; ++i) many += "1;ab=cd\r\nx\r\n";
    EXPECT_EQ(refused_with(head + many + "0\r\n\r\n"), 400) << "extensions count together";
    std::string small;
    for (int i = 0; i < 100'000; ++i) small += "1\r\nx\r\n";
    EXPECT_EQ(ask(head + small + "0\r\n\r\n").size(), answer_of("POST / [" + std::string(100'000, 'x') + "]").size());
    EXPECT_EQ(refused_with(head + "0\r\nA: " + std::string(1 << 20, 'a')), 400) << "trailers too";
    std::string trailers;
    for (int i = 0; i < 200; ++i) trailers += "A: b\r\n";
    EXPECT_EQ(refused_with(head + "0\r\n" + trailers + "\r\n"), 431);
}

TEST_F(HttpServer, Fault_HT05_AnEndWithinChunksIsNoEnd) {
    serve();
    const std::string head = "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n";
    for (const std::string& body :
         {"2\r\na"s, "2\r\nab"s, "2\r\nab\r\n"s, "2\r\nab\r\n0\r\n"s, "2\r\nab\r\n0\r\n\r"s, ""s}) {
        const std::string answer = ask(head + body);
        EXPECT_EQ(answer.rfind("HTTP/1.1 400 "), 0U) << body;
    }
}

TEST_F(HttpServer, Fault_HT05_TrailersThatFrameAreDropped) {
    serve([](http::exchange& x) {
        x.read_body();
        std::string names;
        for (const http::field f : x.trailers()) names += std::string(f.name) + "=" + std::string(f.value) + ";";
        x.respond(http::text(names));
    });
    EXPECT_EQ(ask("POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n"
                  "Checksum:  1 \r\nHost: evil\r\nAuthorization: x\r\n\r\n"),
              answer_of("Checksum=1;"));
    for (const char* name : {"Content-Length: 5", "Transfer-Encoding: chunked"}) {
        const std::string answer =
            ask("POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n"s + name + "\r\n\r\n");
        EXPECT_TRUE(answer == answer_of("") || answer.rfind("HTTP/1.1 400 ") == 0) << answer;
    }
}

// HT06.
TEST_F(HttpServer, Fault_HT06_LargeHeadsAreRefused) {
    serve();
    const std::string start = "GET / HTTP/1.1\r\nHost: x\r\n";
    EXPECT_EQ(refused_with(start + "A: " + std::string(9000, 'a') + "\r\n\r\n"), 431);
    EXPECT_EQ(refused_with(start + "A: " + std::string(64 * 1024, 'a')), 431);
    std::string tiny;
    for (int i = 0; i < 10'000; ++i) tiny += "A:\r\n";
    EXPECT_EQ(refused_with(start + tiny + "\r\n"), 431);
    std::string hundred;
    for (int i = 0; i < 100; ++i) hundred += "A:\r\n";
    EXPECT_EQ(refused_with(start + hundred + "\r\n"), 431) << "with Host they are 101";
    EXPECT_EQ(ask(start + hundred.substr(4) + "\r\n"), answer_of("GET / []"));
    EXPECT_EQ(refused_with("GET /" + std::string(9000, 'a') + " HTTP/1.1\r\nHost: x\r\n\r\n"), 414);
    EXPECT_EQ(refused_with("GET /" + std::string(64 * 1024, 'a')), 414);
    EXPECT_EQ(refused_with("GET /" + std::string(8000, 'a') + " HTTP/1.1\r\nHost: x\r\n\r\n"), 414);
    EXPECT_EQ(refused_with(std::string(1000, 'A') + " / HTTP/1.1\r\nHost: x\r\n\r\n"), 501);
    EXPECT_EQ(refused_with(std::string(64 * 1024, 'A')), 501);
    const std::string longest = "/" + std::string(7999, 'a');
    EXPECT_EQ(ask("GET " + longest + " HTTP/1.1\r\nHost: x\r\n\r\n"), answer_of("GET " + longest + " []"));
}

TEST_F(HttpServer, Fault_HT06_LimitsCanBeRaisedBeyondThePool) {
    serve([](const http::request& r) { return http::text(std::to_string(r.headers.get("a").size())); },
          {.limits = {.header_block = 100'000}});
    const std::string long_one = "GET / HTTP/1.1\r\nHost: x\r\nA: " + std::string(90'000, 'a') + "\r\n\r\n";
    EXPECT_EQ(ask(long_one + long_one), answer_of("90000") + answer_of("90000"));
    EXPECT_EQ(refused_with("GET / HTTP/1.1\r\nHost: x\r\nA: " + std::string(100'000, 'a') + "\r\n\r\n"), 431);
}

// HT07.
TEST_F(HttpServer, Fault_HT07_ContinueIsSaidWhenTheBodyIsWanted) {
    copse::event may_read;
    serve([&](http::exchange& x) {
        may_read.wait();
        x.respond(mirror({.target = x.request().target, .body = x.read_body()}));
    });
    io::socket c = client();
    c.send_all("PUT / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nExpect: 100-Continue\r\n\r\n");
    copse::yield();
    std::array<std::byte, 1> byte;
    EXPECT_EQ(c.try_recv(byte), std::nullopt);
    may_read.set();
    EXPECT_EQ(recv_text(c), "HTTP/1.1 100 Continue\r\n\r\n");
    c.send_all("abc");
    EXPECT_EQ(recv_text(c), answer_of("GET / [abc]"));
    c.send_all("PUT / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\nabc");
    EXPECT_EQ(recv_text(c), answer_of("GET / [abc]")) << "who has sent it already is not asked for it";
}

TEST_F(HttpServer, Fault_HT07_ATooLargeBodyIsRefusedBeforeItIsSent) {
    serve(mirror, {.limits = {.body = 10}});
    EXPECT_EQ(refused_with("PUT / HTTP/1.1\r\nHost: x\r\nContent-Length: 11\r\nExpect: 100-continue\r\n\r\n"), 413);
    EXPECT_EQ(refused_with("PUT / HTTP/1.1\r\nHost: x\r\nContent-Length: 11\r\n\r\n"), 413);
    const std::string chunked = "PUT / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n";
    EXPECT_EQ(refused_with(chunked + "\r\n5\r\nabcde\r\n6\r\n"), 413);
    EXPECT_EQ(ask(chunked + "\r\n5\r\nabcde\r\n5\r\nabcde\r\n0\r\n\r\n"), answer_of("PUT / [abcdeabcde]"));
    EXPECT_EQ(ask("PUT / HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nabcdeabcde"),
              answer_of("PUT / [abcdeabcde]"));
}

TEST_F(HttpServer, Fault_HT07_ABodyNobodyAskedForEndsTheConnection) {
    serve([](http::exchange& x) { x.respond({.status = 401}); });
    EXPECT_EQ(refused_with("PUT / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n"), 401);
    EXPECT_EQ(refused_with("PUT / HTTP/1.1\r\nHost: x\r\nExpect: something\r\n\r\n"), 417);
}

TEST_F(HttpServer, Fault_HT07_NothingIsAskedForBehindAnAnswer) {
    serve([](http::exchange& x) {
        x.start({}, 6);
        x.write("abc");
        x.write(x.read_body());
    });
    io::socket c = client();
    c.send_all("PUT / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n");
    EXPECT_EQ(recv_text(c), "HTTP/1.1 200 OK\r\nContent-Length: 6\r\nConnection: close\r\n\r\nabc");
    c.send_all("def");
    EXPECT_EQ(recv_to_end(c), "def");
}

TEST_F(HttpServer, HandlersMayRaiseTheLimitOfABody) {
    serve(
        [](http::exchange& x) {
            x.limit_body(100'000);
            EXPECT_EQ(x.content_length(),
                      x.request().headers.contains("content-length") ? std::optional(50'000UL) : std::nullopt);
            std::array<std::byte, 1000> piece;
            std::size_t bytes = 0;
            while (const std::size_t n = x.read_body_some(piece)) bytes += n;
            EXPECT_EQ(x.read_body_some(piece), 0U);
            x.respond(http::text(std::to_string(bytes)));
        },
        {.limits = {.body = 10}});
    const std::string body(50'000, 'a');
    EXPECT_EQ(ask("PUT / HTTP/1.1\r\nHost: x\r\nContent-Length: 50000\r\n\r\n" + body), answer_of("50000"));
    EXPECT_EQ(ask("PUT / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nc350\r\n" + body + "\r\n0\r\n\r\n"),
              answer_of("50000"));
}

// HT09.
TEST_F(HttpServer, Fault_HT09_OtherLanguagesAreRefused) {
    serve();
    EXPECT_EQ(refused_with("GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n\r\n"),
              505);
    EXPECT_EQ(refused_with("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), 505);
    EXPECT_EQ(refused_with("GET / HTTP/1.2\r\nHost: x\r\n\r\n"), 505);
    EXPECT_EQ(refused_with("GET / HTTP/0.9\r\nHost: x\r\n\r\n"), 505);
    EXPECT_EQ(refused_with("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"s), 400) << "without waiting for a line";
}

// HT10.
TEST_F(HttpServer, Fault_HT10_WhereThereCanBeNoBodyNoneIsSent) {
    serve([](const http::request& r) {
        http::response answer = http::text("body");
        answer.status = std::stoi(r.target.substr(1));
        return answer;
    });
    const std::string type = "Content-Type: text/plain; charset=utf-8\r\n";
    const auto asks = [&](const std::string& method, const std::string& target) {
        return ask(method + " " + target + " HTTP/1.1\r\nHost: x\r\n\r\n" + "GET /200 HTTP/1.1\r\nHost: x\r\n\r\n");
    };
    const std::string next = answer_of("body");
    EXPECT_EQ(asks("HEAD", "/200"), "HTTP/1.1 200 OK\r\n" + type + "Content-Length: 4\r\n\r\n" + next);
    EXPECT_EQ(asks("GET", "/204"), "HTTP/1.1 204 No Content\r\n" + type + "\r\n" + next);
    EXPECT_EQ(asks("GET", "/304"), "HTTP/1.1 304 Not Modified\r\n" + type + "Content-Length: 4\r\n\r\n" + next);
}

TEST_F(HttpServer, Fault_HT10_TheFrameIsTheServersBusiness) {
    serve([](const http::request& r) {
        http::response answer{.body = "body"};
        answer.headers.add("Content-Length", "400");
        answer.headers.add("Transfer-Encoding", "chunked");
        answer.headers.add("X-A", "b");
        answer.headers.add("Connection", r.target == "/close" ? "close" : "x-hop");
        return answer;
    });
    EXPECT_EQ(ask("GET / HTTP/1.1\r\nHost: x\r\n\r\n"), "HTTP/1.1 200 OK\r\nX-A: b\r\nContent-Length: 4\r\n\r\nbody");
    EXPECT_EQ(ask_and_wait("GET /close HTTP/1.1\r\nHost: x\r\n\r\n"),
              "HTTP/1.1 200 OK\r\nX-A: b\r\nContent-Length: 4\r\nConnection: close\r\n\r\nbody");
    EXPECT_EQ(ask("HEAD / HTTP/1.1\r\nHost: x\r\n\r\n"), "HTTP/1.1 200 OK\r\nX-A: b\r\nContent-Length: 400\r\n\r\n")
        << "what GET would have said";
}

TEST_F(HttpServer, Fault_HT10_WrongAnswersAreTheHandlersFault) {
    serve([](http::exchange& x) {
        EXPECT_THROW(x.respond({.status = 101}), std::invalid_argument);
        EXPECT_THROW(x.respond({.status = 1000}), std::invalid_argument);
        EXPECT_THROW(x.respond({.reason = "a\r\nX: y"}), std::invalid_argument);
        EXPECT_THROW(x.write("x"), std::logic_error);
        EXPECT_THROW(x.finish(), std::logic_error);
        EXPECT_FALSE(x.answered());
        x.start({}, 3);
        EXPECT_TRUE(x.answered());
        EXPECT_THROW(x.start({}), std::logic_error);
        EXPECT_THROW(x.respond({}), std::logic_error);
        x.write("ab");
        EXPECT_THROW(x.write("cd"), std::logic_error);
        x.write("c");
        x.finish();
        EXPECT_THROW(x.write("d"), std::logic_error);
    });
    EXPECT_EQ(ask("GET / HTTP/1.1\r\nHost: x\r\n\r\n"), "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc");
}

TEST_F(HttpServer, AnswersMayBeWrittenInPieces) {
    serve([](http::exchange& x) {
        http::response head;
        head.headers.add("A", "b");
        x.start(head);
        x.write("one");
        x.write("");
        x.write(std::string(5000, 'x'));
        x.finish({{"Sum", "3"}, {"Content-Length", "3"}});
    });
    EXPECT_EQ(ask("GET / HTTP/1.1\r\nHost: x\r\n\r\n"),
              "HTTP/1.1 200 OK\r\nA: b\r\nTransfer-Encoding: chunked\r\n\r\n3\r\none\r\n1388\r\n" +
                  std::string(5000, 'x') + "\r\n0\r\nSum: 3\r\n\r\n");
    EXPECT_EQ(ask("HEAD / HTTP/1.1\r\nHost: x\r\n\r\n"), "HTTP/1.1 200 OK\r\nA: b\r\n\r\n");
    EXPECT_EQ(ask_and_wait("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"),
              "HTTP/1.1 200 OK\r\nA: b\r\nConnection: close\r\n\r\none" + std::string(5000, 'x'));
}

TEST_F(HttpServer, AHeadCanBeFlushed) {
    copse::event seen;
    serve([&](http::exchange& x) {
        x.start({.body = "first"}, 8);
        x.flush();
        seen.wait();
        x.write("end");
    });
    io::socket c = client();
    c.send_all("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
    EXPECT_EQ(recv_text(c), "HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\nfirst");
    seen.set();
    EXPECT_EQ(recv_text(c), "end");
}

// HT13.
TEST_F(HttpServer, Fault_HT13_AHandlerThatThrows) {
    error_recorder told;
    serve([](http::exchange& x) {
        if (x.request().target == "/begun") x.start({}, 10), x.write("abc");
        if (x.request().target == "/silent") return;
        throw std::runtime_error("broken");
    });
    EXPECT_EQ(refused_with("GET / HTTP/1.1\r\nHost: x\r\n\r\n"), 500);
    EXPECT_EQ(ask_and_wait("GET /begun HTTP/1.1\r\nHost: x\r\n\r\n"),
              "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc");
    EXPECT_EQ(refused_with("GET /silent HTTP/1.1\r\nHost: x\r\n\r\n"), 500);
    EXPECT_EQ(told.count(), 3U);
    EXPECT_EQ(server_->stats().failures, 3U);
}

TEST_F(HttpServer, Fault_HT13_LessThanAnnouncedCutsTheConnection) {
    error_recorder told;
    serve([](http::exchange& x) {
        x.start({}, 10);
        x.write("abc");
    });
    EXPECT_EQ(ask_and_wait("GET / HTTP/1.1\r\nHost: x\r\n\r\n"), "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc");
    EXPECT_EQ(told.count(), 1U);
}

TEST_F(HttpServer, Fault_HT13_AHandlerThatTakesTooLong) {
    copse::virtual_time time;
    error_recorder told;
    serve(
        [](const http::request&) {
            copse::sleep(1h);
            return http::response();
        },
        {.handler = 3s});
    EXPECT_EQ(refused_with("GET / HTTP/1.1\r\nHost: x\r\n\r\n"), 503);
    EXPECT_EQ(time.elapsed(), 3s);
    EXPECT_EQ(told.count(), 1U);
    server_.reset();
}

TEST_F(HttpServer, Fault_HT13_AKilledHandlersConnectionIsClosed) {
    std::optional<copse::any_fiber> fiber;
    bool cleaned = false;
    serve([&](http::exchange& x) {
        const at_end clean([&] { cleaned = true; });
        x.respond_for(http::text("x"), 1s);
        copse::sleep(1h);
    });
    io::socket c = client();
    c.send_all("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
    EXPECT_EQ(recv_text(c), answer_of("x"));
    EXPECT_FALSE(server_->stop_for(0s));
    EXPECT_TRUE(cleaned);
    EXPECT_EQ(recv_to_end(c), "");
    server_.reset();
}

// Wherever it waits.
TEST_F(HttpServer, Fault_HT13_AConnectionCanBeKilledAtEveryWait) {
    copse::virtual_time time;
    struct wait {
        const char* where;
        std::string sent;
        std::function<void(http::exchange&)> handle;
        std::function<io::any_stream(io::socket)> secure{};
    };
    const std::string put = "PUT / HTTP/1.1\r\nHost: x\r\n";
    const auto read = [](http::exchange& x) { x.read_body(); };
    const auto answer = [](http::exchange& x) { x.respond(http::text("x")); };
    const std::vector<wait> waits = {
        {"in the head", "GET / HT", answer},
        {"in the handler", put + "\r\n", [](http::exchange&) { copse::sleep(1h); }},
        {"in the body", put + "Content-Length: 9\r\n\r\nabc", read},
        {"in a large body", put + "Content-Length: 99999\r\n\r\nabc", read},
        {"in a chunk", put + "Transfer-Encoding: chunked\r\n\r\n9\r\nab", read},
        {"between chunks", put + "Transfer-Encoding: chunked\r\n\r\n1\r\na\r\n", read},
        {"after 100 Continue", put + "Content-Length: 9\r\nExpect: 100-continue\r\n\r\n", read},
        {"in a large answer", put + "\r\n",
         [](http::exchange& x) { x.respond({.body = std::string(std::size_t{32} << 20, 'x')}); }},
        {"between pieces", put + "\r\n",
         [](http::exchange& x) {
             x.start({});
             x.write("x");
             copse::sleep(1h);
         }},
        {"dropping the body", put + "Content-Length: 9\r\n\r\nabc", answer},
        {"after a refusal", "nonsense\r\n\r\n", answer},
        {"after an upgrade", put + "Connection: upgrade\r\nUpgrade: x\r\n\r\n",
         [](http::exchange& x) {
             io::any_stream s = x.upgrade({{"Upgrade", "x"}});
             std::array<std::byte, 1> byte;
             s.recv(byte);
         }},
        {"in the handshake", "", answer,
         [](io::socket s) {
             std::array<std::byte, 1> byte;
             s.recv(byte);
             return io::any_stream(std::move(s));
         }},
    };
    for (const wait& w : waits) {
        SCOPED_TRACE(w.where);
        serve(w.handle, {.secure = w.secure});
        io::socket c = client();
        c.send_all(w.sent);
        copse::sleep(1ms);  // virtual: until everybody waits
        EXPECT_EQ(server_->stats().connections, 1U);
        EXPECT_FALSE(server_->stop_for(0s)) << "it was waiting there";
        EXPECT_EQ(server_->stats().connections, 0U);
        EXPECT_EQ(server_->stats().failures, 0U);
        try {
            recv_to_end(c);
        } catch (const std::system_error& e) {
            EXPECT_EQ(e.code(), std::errc::connection_reset);
        }
        server_.reset();
    }
}

// They look like the client's, and are not.
TEST_F(HttpServer, Fault_HT13_ErrorsOfAHandlersOwnPeersAreItsFailure) {
    copse::virtual_time time;
    error_recorder told;
    serve([](http::exchange& x) {
        if (x.request().target == "/reset") throw std::system_error(std::make_error_code(std::errc::connection_reset));
        if (x.request().target == "/slow") throw io::timed_out(std::make_error_code(std::errc::timed_out), "recv", 0);
        if (x.request().target == "/http") throw http::error(http::errc::bad_response);
        x.read_body_for(1s);
    });
    for (const char* target : {"/reset", "/slow", "/http"})
        EXPECT_EQ(refused_with("GET "s + target + " HTTP/1.1\r\nHost: x\r\n\r\n"), 500) << target;
    EXPECT_EQ(refused_with("PUT / HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\na"), 500) << "its own time";
    EXPECT_EQ(told.count(), 4U);
    EXPECT_EQ(server_->stats().failures, 4U);
    EXPECT_EQ(server_->stats().bad_requests, 0U);
    server_.reset();
}

TEST_F(HttpServer, Fault_HT13_AHandlerMayCatchThatItsAnswerIsCut) {
    copse::virtual_time time;
    error_recorder told;
    serve([](http::exchange& x) {
        EXPECT_THROW(x.respond_for({.body = std::string(std::size_t{64} << 20, 'x')}, 1s), io::timed_out);
    });
    io::socket c = client();
    c.send_all("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
    copse::sleep(2s);
    EXPECT_EQ(server_->stats().connections, 0U);
    EXPECT_EQ(told.count(), 0U);
    c.close();
    server_.reset();
}

// Without a length an end would say that all is there.
TEST_F(HttpServer, Fault_HT13_ACutAnswerUntilTheEndIsReset) {
    error_recorder told;
    copse::event killable;
    serve([&](http::exchange& x) {
        x.start({});
        x.write("abc");
        if (x.request().target == "/throws") throw std::runtime_error("broken");
        killable.set();
        copse::sleep(1h);
    });
    const auto is_reset = [](io::socket& c) {
        EXPECT_NE(recv_text(c).find("\r\n\r\nabc"), std::string::npos);
        try {
            return recv_to_end(c) == "reset";
        } catch (const std::system_error& e) {
            return e.code() == std::errc::connection_reset;
        }
    };
    io::socket one = client();
    one.send_all("GET /throws HTTP/1.0\r\n\r\n");
    EXPECT_TRUE(is_reset(one));
    EXPECT_EQ(told.count(), 1U);
    io::socket two = client();
    two.send_all("GET /waits HTTP/1.0\r\n\r\n");
    killable.wait();
    EXPECT_FALSE(server_->stop_for(0s));
    EXPECT_TRUE(is_reset(two)) << "killed";
    server_.reset();
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

TEST_F(HttpServer, AHandlerMayStopTheServer) {
    serve([&](http::exchange& x) {
        EXPECT_TRUE(server_->stop_for(1s));
        x.respond(http::text("bye"));
    });
    io::socket idle = client();
    const std::string answer = ask_and_wait("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
    EXPECT_NE(answer.find("Connection: close\r\n\r\nbye"), std::string::npos) << answer;
    EXPECT_EQ(recv_to_end(idle), "");
}

TEST_F(HttpServer, Fault_HT13_UnreadBodiesAreDroppedUpToALimit) {
    serve([](http::exchange& x) { x.respond(http::text("no")); }, {.unread_body = 1000});
    const auto put = [](std::size_t n) {
        return "PUT / HTTP/1.1\r\nHost: x\r\nContent-Length: " + std::to_string(n) + "\r\n\r\n" + std::string(n, 'a');
    };
    EXPECT_EQ(ask(put(1000) + put(10)), answer_of("no") + answer_of("no"));
    EXPECT_EQ(refused_with(put(1001) + put(10)), 200) << "one answer, which says that the connection ends";
    const std::string chunked = "PUT / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n";
    EXPECT_EQ(ask(chunked + "2\r\nab\r\n0\r\n\r\n" + put(1)), answer_of("no") + answer_of("no"));
    EXPECT_EQ(ask_and_wait(chunked + "ffff\r\n" + std::string(0xffff, 'a') + "\r\n0\r\n\r\n" + put(1)),
              answer_of("no"));
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

TEST_F(HttpServer, SlowHeadsAndBodiesAreCut) {
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

TEST_F(HttpServer, AHandlersOwnTimeIsItsOwn) {
    copse::virtual_time time;
    serve([](http::exchange& x) {
        std::array<std::byte, 4> piece;
        EXPECT_THROW(x.read_body_some_for(piece, 2s), io::timed_out);
        EXPECT_EQ(x.read_body_some_for(piece, 6s), 1U);
        EXPECT_THROW(x.read_body_for(1s), io::timed_out);
        EXPECT_EQ(x.read_body(), "bc");
        x.respond(http::text("fine"));
    });
    io::socket c = client();
    c.send_all("PUT / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\n");
    copse::sleep(5s);
    c.send_all("a");
    copse::sleep(3s);
    c.send_all("bc");
    EXPECT_EQ(recv_text(c), answer_of("fine"));
    server_.reset();
}

TEST_F(HttpServer, AClientsTimeIsCountedOverAllReads) {
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

TEST_F(HttpServer, UpgradeGivesTheStreamAwayWithWhatCameAhead) {
    serve([](http::exchange& x) {
        io::any_stream raw = x.upgrade({{"Upgrade", "echo"}});
        std::array<std::byte, 3> piece;
        while (const std::size_t n = raw.recv(piece)) raw.send_all(std::span(piece).first(n));
        raw.shutdown(io::shut::write);
    });
    io::socket c = client();
    c.send_all("GET / HTTP/1.1\r\nHost: x\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\nahead ");
    EXPECT_EQ(recv_answer(c, 6),
              "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\nahead ");
    c.send_all("and after");
    c.shutdown(io::shut::write);
    EXPECT_EQ(recv_to_end(c), "and after");
}

TEST_F(HttpServer, AStreamMayOutliveItsHandler) {
    io::any_stream kept;
    serve([&](http::exchange& x) {
        EXPECT_THROW(x.upgrade({}), std::logic_error);
        kept = x.release();
        EXPECT_THROW(x.respond({}), std::logic_error);
    });
    io::socket c = client();
    c.send_all("CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n\r\n");
    while (!kept) copse::yield();
    EXPECT_TRUE(server_->stop_for(1s));
    kept.send_all("tunnel");
    kept.close();
    EXPECT_EQ(recv_to_end(c), "tunnel");
}

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

TEST_F(HttpServer, HandshakesThatFailAreCounted) {
    copse::virtual_time time;
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
    EXPECT_EQ(server_->stats().failed_handshakes, 2U);
    server_.reset();
}

TEST_F(HttpServer, OneAddressHasOnlySoManyConnections) {
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

TEST_F(HttpServer, HeadAndBodyLeaveTogether) {
    serve([](const http::request& r) {
        return http::response{.body = std::string(std::stoul(r.target.substr(1)), 'x')};
    });
    for (const std::size_t size : {0UL, 1UL, 4096UL, 4097UL, 10'000UL}) {
        io::socket c = client();
        c.send_all("GET /" + std::to_string(size) + " HTTP/1.1\r\nHost: x\r\n\r\n");
        const std::string one = recv_text(c);
        EXPECT_EQ(one.size(), one.find("\r\n\r\n") + 4 + size) << "in one piece";
    }
}

}  // namespace
