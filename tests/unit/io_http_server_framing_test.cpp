// What the HTTP server takes for a request, byte by byte, and what it refuses (HT01 to HT09).

#include "io_http_server.hpp"

#include <copse/virtual_time.hpp>

#include <optional>
#include <string>
#include <vector>

using namespace std::chrono_literals;
using namespace copse_test;
using namespace std::string_literals;
namespace io = copse::io;
namespace http = copse::io::http;

namespace {

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
    EXPECT_EQ(refused_with("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), 505);
    EXPECT_EQ(refused_with("GET / HTTP/1.2\r\nHost: x\r\n\r\n"), 505);
    EXPECT_EQ(refused_with("GET / HTTP/0.9\r\nHost: x\r\n\r\n"), 505);
    EXPECT_EQ(refused_with("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"s), 400) << "without waiting for a line";
}

}  // namespace
