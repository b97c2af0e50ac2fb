// Iostreams over streams: operators, and what comes out of them when something goes wrong. Row KL05.

#include "exceptions.hpp"
#include "io_leak_check.hpp"
#include "scripted_stream.hpp"

#include <copse/virtual_time.hpp>

#include <iomanip>
#include <sstream>
#include <vector>

using namespace std::chrono_literals;
using namespace copse_test;
namespace io = copse::io;

namespace {

class IoIostream : public io_leak_check {
protected:
    void TearDown() override {
        s.below().close();
        peer.close();
        io_leak_check::TearDown();
    }
    std::pair<io::socket, io::socket> ends = io::socketpair();
    io::socket& peer = ends.second;
    io::iostream s{std::move(ends.first)};
    const std::string lot = pattern(1 << 22);
};

TEST_F(IoIostream, Reads) {
    auto feeding = copse::spawn([&] {
        for (const char* part : {"12 3", "4 word\nthe line", "\n\nabcdef"}) {
            peer.send_all(part);
            copse::yield();
        }
        peer.shutdown(io::shut::write);
    });
    int a = 0;
    int b = 0;
    std::string word;
    s >> a >> b >> word;
    EXPECT_EQ(a, 12);
    EXPECT_EQ(b, 34);
    EXPECT_EQ(word, "word");
    s.ignore();
    std::string line;
    EXPECT_TRUE(std::getline(s, line));
    EXPECT_EQ(line, "the line");
    EXPECT_TRUE(std::getline(s, line));
    EXPECT_EQ(line, "");
    char rest[8] = {};
    s.read(rest, 4);
    EXPECT_STREQ(rest, "abcd");
    EXPECT_EQ(s.get(), 'e');
    s.unget();
    EXPECT_EQ(s.peek(), 'e');
    s.read(rest, 7);
    EXPECT_EQ(s.gcount(), 2);
    EXPECT_TRUE(s.eof());
    EXPECT_FALSE(s.bad());
    feeding.get();
}

TEST_F(IoIostream, Writes) {
    s << "many " << 3 << ' ' << std::setw(5) << std::setfill('.') << "x" << '\n';
    EXPECT_EQ(peer.try_recv(writable_bytes(*std::make_unique<std::string>(10, '\0'))), std::nullopt) << "not yet";
    s << std::flush;
    EXPECT_EQ(recv_text(peer), "many 3 ....x\n");
    s << "line" << std::endl;
    EXPECT_EQ(recv_text(peer), "line\n");
    s << std::unitbuf << "at once";
    EXPECT_EQ(recv_text(peer), "at once");
    s << std::nounitbuf << "last";
    s.close();
    EXPECT_EQ(recv_to_end(peer), "last");
    EXPECT_FALSE(s.is_open());
}

TEST_F(IoIostream, WhatIsWrittenIsSentBeforeItWaitsForTheAnswer) {
    auto answering = copse::spawn([&] { peer.send_all(recv_text(peer) == "question\n" ? "answer\n" : "?\n"); });
    s << "question\n";
    std::string line;
    EXPECT_TRUE(std::getline(s, line));
    EXPECT_EQ(line, "answer");
    answering.get();
}

TEST_F(IoIostream, LargeOnes) {
    auto echo = copse::spawn([&] {
        while (auto chunk = peer.recv_pooled()) peer.send_all(chunk.bytes());
    });
    const std::string sent = pattern(100000);
    s << sent << std::flush;
    std::string got(100000, '\0');
    s.read(got.data(), 100000);
    EXPECT_TRUE(got == sent);
    s.close();
    echo.get();
}

TEST_F(IoIostream, ErrorsComeOutAsTheyAre) {
    auto [client, server] = tcp_pair();
    io::iostream t(std::move(client));
    server.set_option(io::linger(0s));
    server.close();
    EXPECT_EQ(error_of([&] { t.get(); }), std::errc::connection_reset);
    EXPECT_TRUE(t.bad());
    t.clear();
    EXPECT_EQ(error_of([&] { t << "x" << std::flush; }), std::errc::broken_pipe);
}

TEST_F(IoIostream, TimeOutsComeOutAndTheStreamGoesOn) {
    copse::virtual_time time;
    s.set_timeout(1s);
    peer.send_all("12");
    int number = 0;
    EXPECT_THROW(s >> number, io::timed_out);
    EXPECT_TRUE(s.bad());
    s.clear();
    peer.send_all("abc");
    std::string text(5, '\0');
    EXPECT_THROW(s.read(text.data(), 5), io::timed_out);
    s.clear();
    peer.send_all("de");
    s.read(text.data(), 5);
    EXPECT_EQ(text, "abcde") << "what had come was not lost";
    {
        const copse::timeout scope(1s);
        EXPECT_THROW(s.get(), copse::timeout_expired);
        s.clear();
    }
    EXPECT_THROW(s << lot, io::timed_out);
    EXPECT_EQ(time.elapsed(), 4s);
}

// KL05: whatever the operator, the kill comes out.
TEST_F(IoIostream, Fault_KL05_AKillPassesThroughEveryFunction) {
    std::vector<std::function<void()>> waits = {
        [&] { s.get(); },
        [&] { s.peek(); },
        [&] {
            int number = 0;
            s >> number;
        },
        [&] {
            std::string word;
            s >> word;
        },
        [&] {
            std::string line;
            std::getline(s, line);
        },
        [&] {
            char buffer[10];
            s.read(buffer, 10);
        },
        [&] {
            char buffer[10];
            s.getline(buffer, 10);
        },
        [&] { s.ignore(10); },
        [&] { s >> std::ws; },
    };
    for (std::size_t i = 0; i < waits.size(); ++i) {
        bool lived = false;
        auto waiting = copse::spawn([&] {
            waits[i]();
            lived = true;
        });
        copse::yield();
        ASSERT_FALSE(waiting.ready()) << i;
        waiting.kill();
        EXPECT_TRUE(waiting.killed()) << i;
        EXPECT_FALSE(lived) << i;
        EXPECT_TRUE(s.bad()) << "and it is seen afterwards";
        s.clear();
    }
}

TEST_F(IoIostream, Fault_KL05_AKillPassesThroughWriting) {
    const std::vector<std::function<void(io::iostream&)>> waits = {
        [&](io::iostream& t) { t << lot; },
        [&](io::iostream& t) { t.write(lot.data(), static_cast<std::streamsize>(lot.size())); },
        [&](io::iostream& t) { t << std::unitbuf << lot; },
        [&](io::iostream& t) { t << lot.substr(0, 1 << 20) << std::flush; },
    };
    for (std::size_t i = 0; i < waits.size(); ++i) {
        auto [a, b] = io::socketpair();
        io::iostream t(std::move(a), {.write_buffer = std::size_t{1} << 20});
        auto writing = copse::spawn([&] { waits[i](t); });
        copse::yield();
        ASSERT_FALSE(writing.ready()) << i;
        writing.kill();
        EXPECT_TRUE(writing.killed()) << i;
        t.clear();
        EXPECT_EQ(error_of([&] { t << "x" << std::flush; }), std::errc::state_not_recoverable) << i;
    }
}

// KL05: the user wants silent errors. The kill is not one of them.
TEST_F(IoIostream, Fault_KL05_WithoutTheMaskTheKillComesAtTheNextWait) {
    error_recorder reported;
    s.exceptions(std::ios::goodbit);
    std::string told;
    auto reading = copse::spawn([&] {
        std::string line;
        told = std::getline(s, line) ? "read" : s.bad() ? "bad" : "end";
        copse::sleep(1h);
        told += ", and lived";
    });
    copse::yield();
    reading.kill();
    EXPECT_EQ(told, "bad");
    EXPECT_TRUE(reading.killed());
    EXPECT_EQ(reported.count(), 0U);
    s.clear();
    auto writing = copse::spawn([&] {
        s << lot;
        told = s.bad() ? "bad" : "good";
        copse::sleep(1h);
        told += ", and lived";
    });
    copse::yield();
    writing.kill();
    EXPECT_EQ(told, "bad");
    EXPECT_TRUE(writing.killed());
    EXPECT_EQ(reported.count(), 0U);
}

TEST_F(IoIostream, WithoutTheMaskErrorsAreKept) {
    copse::virtual_time time;
    s.exceptions(std::ios::goodbit);
    s.set_timeout(1s);
    EXPECT_EQ(s.failure(), nullptr);
    EXPECT_EQ(s.get(), std::char_traits<char>::eof());
    EXPECT_TRUE(s.bad());
    EXPECT_NE(what_of(s.failure()).find("time is over"), std::string::npos) << what_of(s.failure());
    s.clear();
    {
        const copse::timeout scope(1ms);
        s.get();
        EXPECT_TRUE(s.bad());
        EXPECT_TRUE(scope.expired());
    }
    EXPECT_THROW(std::rethrow_exception(s.failure()), copse::timeout_expired);
    s.clear();
    peer.send_all("x");
    EXPECT_EQ(s.get(), 'x');
}

// With unitbuf the standard sends from a destructor that must not throw.
TEST_F(IoIostream, Fault_KL05_UnitbufNeverTerminates) {
    io::iostream t(std::ref(peer), {.write_buffer = std::size_t{1} << 22});
    t << lot;
    auto writing = copse::spawn([&] {
        t << std::unitbuf;
        t.put('x');
        copse::sleep(1h);
    });
    copse::yield();
    ASSERT_FALSE(writing.ready());
    writing.kill();
    EXPECT_TRUE(writing.killed());
}

// What reads for another stream meets that stream's mask: the fiber library tells of it.
TEST_F(IoIostream, Fault_KL05_AnotherStreamsMaskEatsTheKillAndItIsReported) {
    error_recorder reported;
    std::string told;
    auto reading = copse::spawn([&] {
        std::ostringstream all;
        all << s.rdbuf();
        told = all.fail() ? "failed" : "read";
    });
    copse::yield();
    reading.kill();
    EXPECT_EQ(told, "failed");
    ASSERT_EQ(reported.count(), 1U);
    EXPECT_NE(reported[0].what.find("caught its kill"), std::string::npos);
}

TEST_F(IoIostream, BelowGoesOnWhereItStopped) {
    peer.send_all("head\nbody");
    std::string line;
    std::getline(s, line);
    EXPECT_EQ(line, "head");
    EXPECT_EQ(s.below().unread_text(), "body");
    s.below().consume(1);
    EXPECT_EQ(s.get(), 'o');
}

TEST_F(IoIostream, CloseByAnotherFiberWakesTheReader) {
    auto reading = copse::spawn([&] { return error_of([&] { s.get(); }); });
    copse::yield();
    s.close();
    EXPECT_EQ(reading.get(), std::errc::bad_file_descriptor);
}

TEST_F(IoIostream, TheDestructorSendsNothing) {
    auto [a, b] = io::socketpair();
    std::make_unique<io::iostream>(std::move(a))->write("dropped", 7);
    EXPECT_EQ(recv_to_end(b), "");
}

}  // namespace
