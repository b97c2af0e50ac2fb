// What handlers of datagrams answer, when, and to whom.

#include "at_end.hpp"
#include "exceptions.hpp"
#include "io_leak_check.hpp"

#include <copse/io/datagram_server.hpp>
#include <copse/sleep.hpp>
#include <copse/virtual_time.hpp>

#include <array>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

using namespace std::chrono_literals;
using namespace copse_test;
namespace io = copse::io;

namespace {

using IoDatagramReply = io_leak_check;

TEST_F(IoDatagramReply, KeptDatagramsOutliveTheServer) {
    std::optional<io::incoming_datagram> kept;
    {
        io::datagram_server server("127.0.0.1:0", [&](io::incoming_datagram d) { kept = std::move(d); });
        server.start();
        auto client = io::connect_datagram(server.local_endpoint());
        client.send("abc");
        while (!kept) copse::yield();
        EXPECT_TRUE(kept->reply("now"));
        EXPECT_EQ(recv_text(client), "now");
        EXPECT_TRUE(server.stop_for(1s));
    }
    EXPECT_EQ(kept->text(), "abc");
    EXPECT_EQ(error_of([&] { kept->reply("late"); }), std::errc::bad_file_descriptor);
}

TEST_F(IoDatagramReply, RepliesTakeTurnsWhenTheSocketIsFull) {
    int replied = 0;
    io::datagram_server server(io::endpoint::unnamed(), [&](io::incoming_datagram& d) {
        for (int i = 0; i < 20; ++i) replied += d.reply(d.bytes()) ? 1 : 0;
    });
    server.start();
    auto client = io::connect_datagram(server.local_endpoint());
    for (const char* each : {"a", "b", "c"}) client.send(std::string_view(each));
    int got = 0;
    std::array<std::byte, 8> room;
    while (got < 60) got += client.recv_for(room, 10s) == 1 ? 1 : 0;
    EXPECT_EQ(replied, 60);
    EXPECT_TRUE(server.stop_for(1s));
}

TEST_F(IoDatagramReply, APeerThatIsGoneIsNoFailure) {
    std::optional<bool> answered;
    io::datagram_server server(io::endpoint::unnamed(), [&](io::incoming_datagram& d) {
        copse::yield();
        answered = d.reply("anybody?");
    });
    server.start();
    {
        auto client = io::connect_datagram(server.local_endpoint());
        client.send("x");
    }
    while (!answered) copse::yield();
    EXPECT_EQ(answered, false);
    EXPECT_TRUE(server.stop_for(1s));
}

TEST_F(IoDatagramReply, RepliesHaveTimesOfTheirOwn) {
    const copse::virtual_time time;
    std::vector<std::string> said;
    io::datagram_server server(io::endpoint::unnamed(), [&](io::incoming_datagram& d) {
        said.push_back(what_is_thrown_by([&] {
            for (;;) d.reply_for(d.bytes(), 20ms);
        }));
        said.push_back(what_is_thrown_by([&] { d.reply_until("x", copse::clock::now() + 20ms); }));
        EXPECT_EQ(time.elapsed(), 40ms);
    });
    server.start();
    auto client = io::connect_datagram(server.local_endpoint());
    client.send("a");  // and receives nothing: its queue fills
    while (said.size() < 2) copse::sleep(1ms);
    for (const std::string& one : said) EXPECT_NE(one.find("send_to"), std::string::npos) << one;
    EXPECT_TRUE(server.stop_for(1s));
}

// The socket's own time-out is for replies that have none.
TEST_F(IoDatagramReply, ATimeWithoutEndIsATimeToo) {
    const copse::virtual_time time;
    bool has_ended = false;
    auto bound = io::bind_datagram(io::endpoint::unnamed());
    bound.set_timeout(20ms);
    io::datagram_server server(std::move(bound), [&](io::incoming_datagram& d) {
        const at_end note([&] { has_ended = true; });
        EXPECT_THROW(for (;;) d.reply("x"), io::timed_out);
        EXPECT_EQ(time.elapsed(), 20ms);
        d.reply_for("x", std::chrono::nanoseconds::max());
    });
    server.start();
    auto client = io::connect_datagram(server.local_endpoint());
    client.send("a");
    copse::sleep(1h);
    EXPECT_FALSE(has_ended);
    EXPECT_FALSE(server.stop_for(1s));
    EXPECT_TRUE(has_ended);
}

TEST_F(IoDatagramReply, TheTimeOfAReplyIsForItsTurnToo) {
    const copse::virtual_time time;
    std::string said;
    io::datagram_server server(io::endpoint::unnamed(), [&](io::incoming_datagram& d) {
        if (d.text() == "fill")
            for (;;) d.reply("x");
        said = what_is_thrown_by([&] { d.reply_for("y", 20ms); });
        EXPECT_EQ(time.elapsed(), 21ms);
    });
    server.start();
    auto client = io::connect_datagram(server.local_endpoint());
    client.send("fill");
    copse::sleep(1ms);
    client.send("late");
    while (said.empty()) copse::sleep(1ms);
    EXPECT_EQ(said.find("incoming_datagram::reply: its time was over before its turn came"), 0U) << said;
    EXPECT_FALSE(server.stop_for(1s)) << "the first waits for ever";
}

}  // namespace
