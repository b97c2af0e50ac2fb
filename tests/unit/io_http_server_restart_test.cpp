// HTTP servers that are stopped, restarted and ended by one fiber while others are inside.

#include "io_http_server.hpp"

#include <copse/event.hpp>

#include <string>

using namespace std::chrono_literals;
using namespace copse_test;
namespace io = copse::io;
namespace http = copse::io::http;

namespace {

const std::string get = "GET / HTTP/1.1\r\nHost: x\r\n\r\n";

class HttpServerRestart : public HttpServer {
protected:
    /// Whose requests wait for `go`, but for those of "/".
    void serve_slowly() {
        serve([this](const http::request& r) {
            if (r.target != "/") go.wait();
            return mirror(r);
        });
    }
    io::socket busy_client() {
        const auto before = server_->stats().requests;
        io::socket c = client();
        c.send_all("GET /slow HTTP/1.1\r\nHost: x\r\n\r\n");
        while (server_->stats().requests == before) copse::yield();
        return c;
    }

    copse::event go;
};

TEST_F(HttpServerRestart, ServesAgainAtTheSamePlace) {
    serve_slowly();
    const io::endpoint where = server_->local_endpoint();
    io::socket busy = busy_client();
    io::socket idle = client();
    idle.send_all(get);
    EXPECT_EQ(recv_text(idle), answer_of("GET / []"));
    server_->restart();
    EXPECT_TRUE(server_->is_serving());
    EXPECT_EQ(server_->local_endpoint(), where);
    EXPECT_EQ(recv_to_end(idle), "") << "it was between requests";
    io::socket fresh = client();
    for (int n = 0; n < 2; ++n) {
        fresh.send_all(get);
        EXPECT_EQ(recv_text(fresh), answer_of("GET / []")) << "and is kept";
    }
    go.set();
    EXPECT_NE(recv_to_end(busy).find("\r\nConnection: close\r\n"), std::string::npos) << "it is of the time before";
    fresh.close();
}

TEST_F(HttpServerRestart, WhoServesForeverStays) {
    serve();
    auto serving = copse::spawn([&] { server_->serve_forever(); });
    copse::yield();
    server_->restart();
    EXPECT_TRUE(server_->stop_for(1s));
    server_->restart();
    EXPECT_EQ(ask(get), answer_of("GET / []"));
    EXPECT_FALSE(serving.ready());
    server_->stop();
    serving.get();
}

TEST_F(HttpServerRestart, AStoppedServerCanBeRestarted) {
    serve();
    EXPECT_TRUE(server_->stop_for(1s));
    EXPECT_EQ(error_of([&] { server_->start(); }), std::errc::bad_file_descriptor);
    server_->restart();
    EXPECT_EQ(ask(get), answer_of("GET / []"));
}

TEST_F(HttpServerRestart, AStopThatComesMeanwhileIsNotUndone) {
    serve();
    auto restarting = copse::spawn([&] { server_->restart(); });
    while (server_->is_serving()) copse::yield();
    EXPECT_FALSE(restarting.ready());
    server_->stop();
    restarting.get();
    EXPECT_FALSE(server_->is_serving());
    EXPECT_EQ(error_of([&] { client(); }), std::errc::connection_refused);
}

TEST_F(HttpServerRestart, TheLastWordCounts) {
    serve();
    auto one = copse::spawn([&] { server_->restart(); });
    while (server_->is_serving()) copse::yield();
    server_->stop();
    server_->restart();
    one.get();
    EXPECT_TRUE(server_->is_serving());
    EXPECT_EQ(ask(get), answer_of("GET / []"));
}

TEST_F(HttpServerRestart, TwoAtOnceAreOne) {
    serve();
    auto one = copse::spawn([&] { server_->restart(); });
    auto other = copse::spawn([&] { server_->restart(); });
    copse::join_all(one, other);
    EXPECT_TRUE(server_->is_serving());
    io::socket kept = client();
    for (int n = 0; n < 2; ++n) {
        kept.send_all(get);
        EXPECT_EQ(recv_text(kept), answer_of("GET / []"));
    }
    kept.close();
}

TEST_F(HttpServerRestart, WhoWaitsForTheEndMayOutliveTheServer) {
    serve_slowly();
    io::socket busy = busy_client();
    auto stopping = copse::spawn([&] { return server_->stop_for(1h); });
    auto serving = copse::spawn([&] { server_->serve_forever(); });
    while (server_->is_serving()) copse::yield();
    for (int turn = 0; turn < 4; ++turn) copse::yield();  // until it waits for the request
    server_.reset();
    EXPECT_FALSE(stopping.get()) << "the request was killed";
    EXPECT_EQ(error_of([&] { serving.get(); }), std::errc::bad_file_descriptor) << "it came too late";
    EXPECT_EQ(recv_to_end(busy), "");
}

}  // namespace
