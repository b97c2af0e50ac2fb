// WebSocket: goodbyes, and ends without one.

#include "io_websocket_peers.hpp"

#include <copse/io/http/server.hpp>
#include <copse/io/http/websocket.hpp>
#include <copse/virtual_time.hpp>

#include <string>
#include <vector>

using namespace std::chrono_literals;
using namespace copse_test;
namespace http = copse::io::http;
using http::websocket;

namespace {

TEST_F(IoWebsocket, TheServerSaysGoodbye) {
    websocket_server server([](websocket& w) {
        w.send_text("last");
        EXPECT_TRUE(w.close(4000, "enough"));
    });
    auto w = websocket::connect(server.url());
    EXPECT_EQ(w.receive()->data, "last");
    EXPECT_EQ(w.receive(), std::nullopt);
    EXPECT_EQ(w.close_code(), 4000);
    EXPECT_EQ(w.close_reason(), "enough");
    EXPECT_FALSE(w.is_open());
}

TEST_F(IoWebsocket, CloseWhileAnotherFiberReceives) {
    websocket_server server(echo);
    auto w = websocket::connect(server.url());
    std::vector<std::string> got;
    auto receiver = copse::spawn([&] {
        while (auto m = w.receive()) got.push_back(m->data);
    });
    copse::yield();
    w.send_text("before");
    EXPECT_TRUE(w.close(1000, "done"));
    receiver.get();
    EXPECT_EQ(got, std::vector<std::string>{"before"}) << "what came before the peer's goodbye is received";
}

TEST_F(IoWebsocket, BothSayGoodbyeAtOnce) {
    websocket_server server([](websocket& w) { EXPECT_TRUE(w.close(1001)); });
    auto w = websocket::connect(server.url());
    EXPECT_TRUE(w.close(1000));
    EXPECT_EQ(w.close_code(), 1001);
}

TEST_F(IoWebsocket, APeerThatDoesNotAnswerTheGoodbye) {
    copse::virtual_time time;
    websocket_server server([&](websocket& w) {
        EXPECT_FALSE(w.close());
        EXPECT_EQ(time.elapsed(), 5s);
    });
    raw_client client(server.where());
    auto receiving = copse::spawn([&] { return client.hear_to_end(); });
    EXPECT_EQ(receiving.get(), frame(fin | goodbye, close_payload(1000), false));

    websocket_server other([&](websocket& w) {
        auto receiver = copse::spawn([&] { return w.receive(); });
        copse::yield();
        EXPECT_FALSE(w.close_for(1s));
        EXPECT_EQ(receiver.get(), std::nullopt);
    });
    raw_client silent(other.where());
    EXPECT_EQ(silent.hear_to_end(), frame(fin | goodbye, close_payload(1000), false));
    EXPECT_EQ(time.elapsed(), 6s);
}

TEST_F(IoWebsocket, Fault_HT15_APeerThatOnlyFloodsDoesNotHoldUpTheEnd) {
    int sent = 0;
    websocket_server server([&](websocket& w) {
        for (const std::string much(100'000, 'x'); sent < 100'000; ++sent) w.send_binary(much);
    });
    auto w = websocket::connect(server.url());
    w.receive();
    EXPECT_FALSE(w.close_until(copse::clock::now()));
    EXPECT_LT(sent, 1000);
}

TEST_F(IoWebsocket, AbortEndsAReceiver) {
    websocket_server server(
        [](websocket& w) { EXPECT_EQ(code_of([&] { w.receive(); }), http::errc::message_incomplete); });
    auto w = websocket::connect(server.url());
    auto receiver = copse::spawn([&] { return error_of([&] { w.receive(); }); });
    copse::yield();
    w.abort();
    EXPECT_EQ(receiver.get(), std::errc::bad_file_descriptor);
    EXPECT_EQ(error_of([&] { w.send_text("x"); }), std::errc::broken_pipe);
    copse::sleep(1ms);
}

TEST_F(IoWebsocket, APeerThatIsGoneEndsASender) {
    websocket_server server([](websocket& w) { w.abort(); });
    auto w = websocket::connect(server.url());
    const auto code = error_of([&] {
        while (true) w.send_binary(std::string(100'000, 'x'));
    });
    EXPECT_TRUE(code == std::errc::connection_reset || code == std::errc::broken_pipe) << code.message();
    EXPECT_FALSE(w.is_open());
}

TEST_F(IoWebsocket, AKillWhileSayingGoodbyeCloses) {
    copse::event enough;
    websocket_server server([&](websocket&) { enough.wait(); });
    auto w = websocket::connect(server.url());
    auto leaver = copse::spawn([&] { w.close(); });
    copse::yield();
    EXPECT_FALSE(w.is_open());
    EXPECT_EQ(error_of([&] { w.send_text("late"); }), std::errc::broken_pipe);
    leaver.kill();
    EXPECT_EQ(w.receive(), std::nullopt);
    enough.set();
}

TEST_F(IoWebsocket, ItsEndWakesWhoIsInside) {
    websocket_server server([](websocket& w) { w.receive(); });
    const auto ended_with = [&](const std::function<void(std::optional<websocket>&)>& end) {
        std::optional<websocket> w = websocket::connect(server.url());
        auto receiving = copse::spawn([&] { w->receive(); });
        copse::yield();
        end(w);
        return error_of([&] { receiving.get(); });
    };
    EXPECT_EQ(ended_with([](auto& w) { w.reset(); }), std::errc::bad_file_descriptor);
    EXPECT_EQ(ended_with([&](auto& w) { *w = websocket::connect(server.url()); }), std::errc::bad_file_descriptor);
}

TEST_F(IoWebsocket, MovedFromIsClosed) {
    websocket_server server(echo);
    auto w = websocket::connect(server.url());
    auto other = std::move(w);
    EXPECT_FALSE(w.is_open());
    EXPECT_EQ(w.close_code(), 1006U);
    EXPECT_EQ(w.close_reason() + w.subprotocol(), "");
    EXPECT_FALSE(w.is_compressed());
    w.abort();
    for (const std::function<void()>& use :
         {std::function<void()>([&] { w.receive(); }), {[&] { w.send_text("x"); }}, {[&] { w.ping(); }}, {[&] {
              w.close();
          }}})
        EXPECT_EQ(error_of(use), std::errc::bad_file_descriptor);
    other.send_text("x");
    EXPECT_EQ(other.receive()->data, "x");
}

}  // namespace
