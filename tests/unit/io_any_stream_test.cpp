// Streams of any kind behind one type: sockets, pipes, those of others.

#include "io_leak_check.hpp"
#include "scripted_stream.hpp"

#include <copse/virtual_time.hpp>

#include <stdexcept>

using namespace std::chrono_literals;
using namespace copse_test;
namespace io = copse::io;

namespace {

using IoAnyStream = io_leak_check;

std::string recv_some(io::any_stream& from) {
    std::string text(100, '\0');
    text.resize(from.recv(writable_bytes(text)));
    return text;
}

TEST_F(IoAnyStream, OwnsASocket) {
    auto [a, b] = io::socketpair();
    io::any_stream s = std::move(a);
    EXPECT_TRUE(s.is_open());
    EXPECT_FALSE(a.is_open());
    b.send_all("many");
    EXPECT_EQ(recv_some(s), "many");
    s.send_all({"small ", "trees"});
    EXPECT_EQ(recv_text(b), "small trees");
    s.shutdown(io::shut::write);
    EXPECT_EQ(recv_text(b), "");
    s.close();
    EXPECT_FALSE(s);
}

TEST_F(IoAnyStream, RefersToOneThatLivesLonger) {
    auto [a, b] = io::socketpair();
    {
        io::any_stream s = std::ref(a);
        s.send_all("x");
    }
    EXPECT_TRUE(a.is_open());
    EXPECT_EQ(recv_text(b), "x");
}

TEST_F(IoAnyStream, AnEmptyOneIsClosed) {
    io::any_stream s;
    EXPECT_FALSE(s.is_open());
    EXPECT_EQ(error_of([&] { recv_some(s); }), std::errc::bad_file_descriptor);
    EXPECT_EQ(error_of([&] { s.send_all("x"); }), std::errc::bad_file_descriptor);
    s.close();
}

TEST_F(IoAnyStream, OnlyTheSendingHalfIsShutDown) {
    io::any_stream s = scripted_stream();
    EXPECT_THROW(s.shutdown(io::shut::both), std::invalid_argument);
    EXPECT_THROW(s.shutdown(io::shut::read), std::invalid_argument);
}

TEST_F(IoAnyStream, TimesOutAsTheStreamInside) {
    copse::virtual_time time;
    auto [a, b] = io::socketpair();
    io::any_stream s = std::ref(a);
    std::string one(1, '\0');
    EXPECT_THROW(s.recv_for(writable_bytes(one), 1h), io::timed_out);
    EXPECT_THROW(s.recv_until(writable_bytes(one), copse::clock::now() + 1h), io::timed_out);
    EXPECT_EQ(time.elapsed(), 2h);
    const std::string lot = pattern(1 << 22);
    EXPECT_THROW(s.send_all_for(lot, 1h), io::timed_out);
    EXPECT_EQ(time.elapsed(), 3h);
    EXPECT_THROW(s.send_all_until(lot, copse::clock::now() + 1h), io::timed_out);
    EXPECT_EQ(time.elapsed(), 4h);
    b.send_all("x");
    EXPECT_EQ(s.recv_for(writable_bytes(one), std::chrono::hours::max()), 1U);
}

TEST_F(IoAnyStream, PipesAreAStream) {
    auto [there_reader, there_writer] = io::pipe();
    auto [back_reader, back_writer] = io::pipe();
    io::any_stream a = io::pipe_stream(std::move(back_reader), std::move(there_writer));
    io::any_stream b = io::pipe_stream(std::move(there_reader), std::move(back_writer));
    a.send_all({"length", "", "body"});
    EXPECT_EQ(recv_some(b), "lengthbody") << "one write";
    b.send_all("answer");
    EXPECT_EQ(recv_some(a), "answer");
    a.shutdown(io::shut::write);
    EXPECT_EQ(recv_some(b), "");
    EXPECT_TRUE(a.is_open());
    b.send_all("still");
    EXPECT_EQ(recv_some(a), "still");
    b.close();
    EXPECT_FALSE(b.is_open());
    EXPECT_EQ(recv_some(a), "");
}

TEST_F(IoAnyStream, WhatGoesOneWayIsAStreamToo) {
    auto [reader, writer] = io::pipe();
    io::any_stream in = std::move(reader);
    io::any_stream out = std::ref(writer);
    out.send_all({"many ", "small ", "trees"});
    EXPECT_EQ(recv_some(in), "many small trees") << "one write";
    EXPECT_EQ(error_of([&] { in.send_all("x"); }), std::errc::bad_file_descriptor);
    EXPECT_EQ(error_of([&] { recv_some(out); }), std::errc::bad_file_descriptor);
    in.shutdown(io::shut::write);
    out.shutdown(io::shut::write);
    EXPECT_FALSE(out.is_open());
    EXPECT_TRUE(in.is_open());
    EXPECT_EQ(recv_some(in), "");
}

TEST_F(IoAnyStream, PipesTimeOutAndAreWokenByClose) {
    copse::virtual_time time;
    auto [reader, writer] = io::pipe();
    io::pipe_stream both(std::move(reader), std::move(writer));
    io::any_stream s = std::ref(both);
    std::string one(1, '\0');
    EXPECT_THROW(s.recv_for(writable_bytes(one), 1s), io::timed_out);
    const std::string lot = pattern(1 << 20);
    try {
        s.send_all_for(std::vector<io::const_buffer>{lot, lot}, 1s);
        FAIL();
    } catch (const io::timed_out& e) {
        EXPECT_GT(e.transferred(), 0U);
    }
    EXPECT_EQ(time.elapsed(), 2s);
    auto sending = copse::spawn([&] { return error_of([&] { s.send_all(lot); }); });
    copse::yield();
    s.close();
    EXPECT_EQ(sending.get(), std::errc::bad_file_descriptor);
}

/// Has something to send before its end.
struct polite_stream : scripted_stream {
    using scripted_stream::shutdown;
    void shutdown_until(io::shut, copse::clock::time_point when) { *until = when; }
    std::shared_ptr<copse::clock::time_point> until = std::make_shared<copse::clock::time_point>();
};

TEST_F(IoAnyStream, AnEndThatMayHaveToWaitHasItsTime) {
    copse::virtual_time time;
    polite_stream inside;
    const auto until = inside.until;
    io::any_stream s = std::move(inside);
    s.shutdown_for(io::shut::write, 3s);
    EXPECT_EQ(*until, copse::clock::now() + 3s);
    s.shutdown_until(io::shut::write, copse::clock::now() + 5s);
    EXPECT_EQ(*until, copse::clock::now() + 5s);
    io::any_stream plain = scripted_stream();
    plain.shutdown_for(io::shut::write, 3s);
}

}  // namespace
