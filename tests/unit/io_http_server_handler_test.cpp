// Handlers of the HTTP server: what they may answer, and what becomes of those that fail (HT10, HT13).

#include "at_end.hpp"
#include "exceptions.hpp"
#include "io_http_server.hpp"

#include <copse/virtual_time.hpp>

#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

using namespace std::chrono_literals;
using namespace copse_test;
using namespace std::string_literals;
namespace io = copse::io;
namespace http = copse::io::http;

namespace {

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
    EXPECT_EQ(what_is_thrown_by([&] { serve(mirror, {.keep_alive = -1ns}); }),
              "http::server: `keep_alive` is negative");
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

TEST_F(HttpServer, Fault_HT13_AFailureNamesItsRequest) {
    error_recorder told;
    serve([](http::exchange& x) {
        if (x.request().target == "/int") throw 7;
        throw std::out_of_range("broken");
    });
    EXPECT_EQ(refused_with("GET /a?b=%0a HTTP/1.1\r\nHost: x\r\n\r\n"), 500);
    EXPECT_EQ(refused_with("PURGE /" + std::string(300, 'x') + " HTTP/1.1\r\nHost: x\r\n\r\n"), 500);
    EXPECT_EQ(refused_with("GET /int HTTP/1.1\r\nHost: x\r\n\r\n"), 500);
    ASSERT_EQ(told.count(), 3U);
    EXPECT_EQ(told[0].what, "GET /a?b=%0a: broken");
    EXPECT_EQ(told[1].what, "PURGE /" + std::string(199, 'x') + "...: broken");
    EXPECT_EQ(told[2].what, "GET /int: an exception that is no std::exception");
    try {
        std::rethrow_exception(told[0].exception);
    } catch (const http::handler_failure& failure) {
        EXPECT_THROW(failure.rethrow_nested(), std::out_of_range);
    }
}

// It was a good request, whatever is spoken afterwards.
TEST_F(HttpServer, AClientThatLeavesAfterAnUpgradeWasNoBadRequest) {
    error_recorder told;
    serve([](http::exchange& x) {
        io::any_stream stream = x.upgrade(http::fields{{"Upgrade", "websocket"}});
        throw http::error(http::errc::message_incomplete);
    });
    ask("GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n");
    EXPECT_EQ(server_->stats().requests, 1U);
    EXPECT_EQ(server_->stats().bad_requests, 0U);
    EXPECT_EQ(told.count(), 0U);
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
    ASSERT_EQ(told.count(), 1U);
    EXPECT_EQ(told[0].what.rfind("GET /: server_options::handler: ", 0), 0U) << told[0].what;
    EXPECT_EQ(server_->stats().failures, 1U);
    server_.reset();
}

TEST_F(HttpServer, Fault_HT13_AHandlerThatGoesOnAfterItsTimeIsToldOf) {
    for (const bool answers : {true, false}) {
        const copse::virtual_time time;
        const error_recorder told;
        serve(
            [&](http::exchange& x) {
                try {
                    copse::sleep(1h);
                } catch (const std::exception&) {  // whatever it is
                }
                if (answers) x.respond(http::text("late"));
            },
            {.handler = 3s});
        if (answers) {
            EXPECT_EQ(ask("GET / HTTP/1.1\r\nHost: x\r\n\r\n"), answer_of("late"));
        } else {
            EXPECT_EQ(refused_with("GET / HTTP/1.1\r\nHost: x\r\n\r\n"), 503);
        }
        EXPECT_TRUE(server_->stop_for(1s));
        ASSERT_EQ(told.count(), 1U);
        EXPECT_EQ(told[0].what, "GET /: server_options::handler: the handler went on after its time was over");
        EXPECT_EQ(server_->stats().failures, 1U);
        server_.reset();
    }
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
        {"in a handshake", "", answer,
         [](io::socket s) {
             std::array<std::byte, 1> byte;
             while (s.recv(byte) == 0) copse::sleep(1h);  // a stop alone does not end this
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
