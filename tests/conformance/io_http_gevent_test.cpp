// HTTP as gevent's examples use it: a front that fetches what it answers (webproxy), one that waits (webpy). Its
// test__example_webproxy and test__example_wsgiserver.

#include "io_http_server.hpp"

#include <copse/io/http/client.hpp>

#include <string>

using namespace copse_test;
namespace io = copse::io;
namespace http = copse::io::http;

namespace {

class GeventHttp : public HttpServer {
protected:
    std::string url(const std::string& path) { return "http://" + to_string(server_->local_endpoint()) + path; }
};

/// Fetches what is behind `front` and hands on its answer, or says that it could not.
http::response hand_on(http::client& client, const http::request& asked, const std::string& behind) {
    try {
        const http::response r = client.get(behind + asked.target);
        return {.status = r.status, .body = r.body};
    } catch (const std::system_error&) {
        return {.status = 502};
    }
}

// test__example_webproxy
TEST_F(GeventHttp, AHandlerFetchesWhatItAnswers) {
    serve([](http::exchange& x) {
        x.respond(x.request().target == "/page" ? http::text("a page") : http::response{.status = 404});
    });
    http::client fetches;
    const std::string behind = url("");
    io::socket taken = io::listen("127.0.0.1:0");
    const std::string nobody = "http://" + to_string(taken.local_endpoint());
    taken.close();
    http::server front("127.0.0.1:0", [&](http::exchange& x) {
        x.respond(hand_on(fetches, x.request(), x.request().target == "/gone" ? nobody : behind));
    });
    front.start();
    http::client asks;
    const std::string there = "http://" + to_string(front.local_endpoint());
    const http::response page = asks.get(there + "/page");
    EXPECT_EQ(page.status, 200);
    EXPECT_EQ(page.body, "a page");
    EXPECT_EQ(asks.get(there + "/none").status, 404);
    EXPECT_EQ(asks.get(there + "/gone").status, 502);
    asks.close_idle();
    fetches.close_idle();
    EXPECT_TRUE(front.stop_for(std::chrono::seconds(10)));
}

// The original's webpy: a handler that waits holds up nobody.
TEST_F(GeventHttp, ALongPollHoldsUpNobody) {
    copse::event news;
    serve([&](http::exchange& x) {
        if (x.request().target == "/wait") {
            log("waits");
            news.wait();
        }
        x.respond(http::text(x.request().target));
    });
    auto waiting = copse::spawn([&] { return http::get(url("/wait")).body; });
    while (log.text().empty()) copse::yield();
    EXPECT_EQ(http::get(url("/quick")).body, "/quick");
    EXPECT_FALSE(waiting.ready());
    news.set();
    EXPECT_EQ(waiting.get(), "/wait");
}

}  // namespace
