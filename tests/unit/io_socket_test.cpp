// Sockets: what each verb does, what it throws, what it leaves behind. Rules 124 to 133.

#include "exceptions.hpp"
#include "io_leak_check.hpp"
#include "worker.hpp"

#include <copse/virtual_time.hpp>

#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <climits>
#include <type_traits>

using namespace std::chrono_literals;
using namespace copse_test;
namespace io = copse::io;

static_assert(std::is_nothrow_move_constructible_v<io::socket> && std::is_nothrow_move_assignable_v<io::socket>);
static_assert(!std::is_copy_constructible_v<io::socket>);
static_assert(std::is_nothrow_move_constructible_v<io::pooled_buffer> &&
              !std::is_copy_constructible_v<io::pooled_buffer>);

namespace {

class IoSocket : public io_leak_check {
protected:
    std::array<std::byte, 4096> buffer{};

    /// Fills the kernel's buffers until nothing more goes in.
    static std::size_t fill(io::socket& s) {
        const std::string block(64 * 1024, 'x');
        std::size_t sent = 0;
        while (const auto n = s.try_send(block)) sent += *n;
        return sent;
    }
};

TEST_F(IoSocket, PairTalksBothWays) {
    auto [left, right] = io::socketpair();
    left.send_all("many small");
    EXPECT_EQ(recv_text(right), "many small");
    right.send_all(" trees");
    EXPECT_EQ(recv_text(left), " trees");
    left.close();
    EXPECT_EQ(right.recv(buffer), 0U);
    EXPECT_EQ(right.recv(buffer), 0U) << "the end stays the end";
}

TEST_F(IoSocket, TcpEchoOverBothFamilies) {
    for (const char* where : {"127.0.0.1:0", "[::1]:0", "unix:@copse-io-socket-test"}) {
        auto listener = io::listen(where);
        auto server = copse::spawn([&] {
            auto [connection, peer] = listener.accept();
            while (const std::size_t n = connection.recv(buffer))
                connection.send_all(std::span<const std::byte>(buffer).first(n));
        });
        auto client = io::connect(listener.local_endpoint());
        EXPECT_EQ(client.peer_endpoint(), listener.local_endpoint());
        client.send_all("many small trees");
        client.shutdown(io::shut::write);
        EXPECT_EQ(recv_to_end(client), "many small trees");
        server.get();
    }
}

TEST_F(IoSocket, AcceptTellsWhereTheConnectionComesFrom) {
    auto listener = io::listen("127.0.0.1:0");
    auto client = io::connect(listener.local_endpoint());
    auto [server, peer] = listener.accept();
    EXPECT_EQ(peer, client.local_endpoint());
    EXPECT_EQ(server.peer_endpoint(), peer);
    EXPECT_EQ(server.local_endpoint(), listener.local_endpoint());
}

TEST_F(IoSocket, TextsNameHosts) {
    auto listener = io::listen("localhost:0");
    auto client = io::connect("localhost:" + std::to_string(listener.local_endpoint().port()));
    EXPECT_TRUE(client.peer_endpoint().is_loopback());
    EXPECT_THROW(io::connect("127.0.0.1"), std::invalid_argument);
    EXPECT_THROW(io::connect("no such host:1"), std::invalid_argument);
    EXPECT_THROW(io::connect("256.0.0.1:1"), std::invalid_argument);
}

TEST_F(IoSocket, LocalhostIsTriedOnBothFamilies) {
    auto listener = io::listen("[::1]:0", {.v6_only = true});
    auto client = io::connect("localhost:" + std::to_string(listener.local_endpoint().port()));
    EXPECT_EQ(client.peer_endpoint(), listener.local_endpoint());
}

TEST_F(IoSocket, UnknownNameIsAnErrorOfItsOwnCategory) {
    try {
        io::connect("no-such-host.invalid:1");
        FAIL();
    } catch (const std::system_error& e) {
        EXPECT_EQ(e.code().category(), io::name_category()) << e.what();
        EXPECT_NE(std::string(e.what()).find("no-such-host.invalid"), std::string::npos) << e.what();
    }
}

TEST_F(IoSocket, RecvExactlyFills) {
    auto [left, right] = tcp_pair();
    auto writer = copse::spawn([&, &left = left] {
        for (const char* part : {"many", " small", " trees"}) {
            left.send_all(part);
            copse::yield();
        }
        left.close();
    });
    std::array<std::byte, 10> ten;
    EXPECT_EQ(right.recv_exactly(ten), 10U);
    std::array<std::byte, 6> six;
    EXPECT_EQ(right.recv_exactly(six), 6U);
    EXPECT_EQ(right.recv_exactly(six), 0U) << "a clean end";
    writer.get();
}

TEST_F(IoSocket, RecvExactlyTellsOfAnEndInTheMiddle) {
    auto [left, right] = tcp_pair();
    left.send_all("abc");
    left.close();
    try {
        right.recv_exactly(std::span(buffer).first(8));
        FAIL();
    } catch (const io::transfer_error& e) {
        EXPECT_EQ(e.transferred(), 3U);
        EXPECT_EQ(e.code(), std::errc::connection_aborted);
        EXPECT_NE(std::string(e.what()).find("ended after 3 of 8 bytes"), std::string::npos) << e.what();
    }
}

TEST_F(IoSocket, EmptyBuffersAreNothing) {
    auto [left, right] = io::socketpair();
    EXPECT_EQ(left.send(""), 0U);
    left.send_all("");
    EXPECT_EQ(right.recv({}), 0U);
    EXPECT_EQ(right.recv_exactly({}), 0U);
    EXPECT_EQ(right.try_recv({}), 0U);
    EXPECT_EQ(left.try_send(""), 0U);
    EXPECT_FALSE(right.try_recv(buffer));
}

TEST_F(IoSocket, PooledReceiveHoldsABufferOnlyWhileItHasBytes) {
    auto [left, right] = tcp_pair();
    const std::byte* first = nullptr;
    for (int round = 0; round < 3; ++round) {
        left.send_all("abc");
        const io::pooled_buffer chunk = right.recv_pooled();
        EXPECT_EQ(chunk.text(), "abc");
        if (first == nullptr) first = chunk.data();
        EXPECT_EQ(chunk.data(), first) << "last in, first out";
    }
    left.close();
    const io::pooled_buffer end = right.recv_pooled();
    EXPECT_FALSE(end);
    EXPECT_EQ(end.data(), nullptr);
}

TEST_F(IoSocket, ParkedPooledReceivesShareOneBuffer) {
    auto [left, right] = tcp_pair();
    auto [left2, right2] = tcp_pair();
    const std::byte* used[2]{};
    auto a = copse::spawn([&, &mine = right] { used[0] = mine.recv_pooled().data(); });
    auto b = copse::spawn([&, &mine = right2] { used[1] = mine.recv_pooled().data(); });
    copse::yield();
    left.send_all("x");
    left2.send_all("x");
    copse::join_all(a, b);
    EXPECT_EQ(used[0], used[1]);
}

TEST_F(IoSocket, LargeTransferIsWhole) {
    for (const bool tcp : {true, false}) {
        auto [left, right] = tcp ? tcp_pair() : io::socketpair();
        const std::string sent = pattern(8 * 1024 * 1024);
        auto writer = copse::spawn([&, &left = left] {
            left.send_all(sent);
            left.shutdown(io::shut::write);
        });
        EXPECT_TRUE(recv_to_end(right) == sent);
        writer.get();
    }
}

TEST_F(IoSocket, ManyFlowsBothWaysAtOnce) {
    auto [left, right] = tcp_pair();
    const std::string one = pattern(2 * 1024 * 1024, 1);
    const std::string other = pattern(3 * 1024 * 1024, 2);
    auto writers =
        std::array{copse::spawn([&, &left = left] { left.send_all(one), left.shutdown(io::shut::write); }),
                   copse::spawn([&, &right = right] { right.send_all(other), right.shutdown(io::shut::write); })};
    auto reader = copse::spawn([&, &left = left] { return recv_to_end(left) == other; });
    EXPECT_TRUE(recv_to_end(right) == one);
    EXPECT_TRUE(reader.get());
    copse::join_all(writers);
}

// ---- time

TEST_F(IoSocket, TimeIsUpForEachVerb) {
    auto [left, right] = io::socketpair();
    auto listener = io::listen("127.0.0.1:0");
    fill(left);
    EXPECT_EQ(error_of([&, &left = left] { left.recv_for(buffer, 1ms); }), std::errc::timed_out);
    EXPECT_EQ(error_of([&, &left = left] { left.recv_until(buffer, copse::clock::now() + 1ms); }),
              std::errc::timed_out);
    EXPECT_EQ(error_of([&, &left = left] { left.recv_exactly_for(buffer, 1ms); }), std::errc::timed_out);
    EXPECT_EQ(error_of([&, &left = left] { left.recv_pooled_for(1ms); }), std::errc::timed_out);
    EXPECT_EQ(error_of([&, &left = left] { left.send_for("x", 1ms); }), std::errc::timed_out);
    EXPECT_EQ(error_of([&, &left = left] { left.send_all_for("x", 1ms); }), std::errc::timed_out);
    EXPECT_EQ(error_of([&, &left = left] { left.send_until("x", std::chrono::steady_clock::now()); }),
              std::errc::timed_out);
    EXPECT_EQ(error_of([&] { listener.accept_for(1ms); }), std::errc::timed_out);
    EXPECT_EQ(error_of([&] { listener.accept_until(copse::clock::now()); }), std::errc::timed_out);
    EXPECT_THROW(left.recv_for(buffer, 0s), io::timed_out);
    EXPECT_THROW(left.recv_for(buffer, -1s), io::timed_out);
    EXPECT_THROW(left.recv_for(buffer, std::chrono::duration<double>(std::numeric_limits<double>::quiet_NaN())),
                 copse::invalid_duration);
    right.send_all("later");
    EXPECT_EQ(left.recv_for(buffer, 1h), 5U) << "it is as good as before";
}

TEST_F(IoSocket, NoTimeStillBringsWhatIsThere) {
    auto [left, right] = tcp_pair();
    left.send_all("here");
    EXPECT_EQ(right.recv_for(buffer, 0s), 4U) << "the others, and the driver, have one turn";
}

TEST_F(IoSocket, TimeOutTellsWhatWasMoved) {
    auto [left, right] = io::socketpair();
    right.send_all("abc");
    try {
        left.recv_exactly_for(std::span(buffer).first(10), 1ms);
        FAIL();
    } catch (const io::timed_out& e) {
        EXPECT_EQ(e.transferred(), 3U);
        EXPECT_NE(std::string(e.what()).find("recv_exactly on fd "), std::string::npos) << e.what();
        EXPECT_NE(std::string(e.what()).find("after 3 bytes"), std::string::npos) << e.what();
    }
    const std::string much(64 * 1024 * 1024, 'x');
    std::size_t told = 0;
    try {
        left.send_all_for(much, 1ms);
        FAIL();
    } catch (const io::timed_out& e) {
        told = e.transferred();
    }
    left.close();
    EXPECT_EQ(recv_to_end(right).size(), told);
}

// Rule 124: the time is for each operation, but send_all has one for all of it.
TEST_F(IoSocket, StandingTimeOutIsForEachOperation) {
    copse::virtual_time time;
    auto [left, right] = io::socketpair();
    right.set_timeout(50ms);
    auto writer = copse::spawn([&, &left = left] {
        for (int i = 0; i < 4; ++i) {
            copse::sleep(30ms);
            left.send_all("x");
        }
    });
    for (int i = 0; i < 4; ++i) EXPECT_EQ(right.recv(buffer), 1U);
    EXPECT_EQ(time.elapsed(), 120ms);
    EXPECT_THROW(right.recv(buffer), io::timed_out);
    EXPECT_EQ(time.elapsed(), 170ms);
    writer.get();
}

TEST_F(IoSocket, SendAllHasOneTimeForAll) {
    copse::virtual_time time;
    auto [left, right] = io::socketpair();
    left.set_timeout(50ms);
    auto reader = copse::spawn([&, &right = right] {
        for (;;) {
            copse::sleep(30ms);
            static_cast<void>(right.recv(buffer));
        }
    });
    const std::string much(64 * 1024 * 1024, 'x');
    EXPECT_THROW(left.send_all(much), io::timed_out);
    EXPECT_EQ(time.elapsed(), 50ms);
    reader.kill();
}

// Rule 125.
TEST_F(IoSocket, SettingTheTimeOutDoesNotTouchAWait) {
    auto [left, right] = io::socketpair();
    auto reader = copse::spawn([&, &right = right] { return right.recv(buffer); });
    copse::yield();
    right.set_timeout(0ns);
    copse::yield();
    left.send_all("abc");
    EXPECT_EQ(reader.get(), 3U);
}

TEST_F(IoSocket, TimeOutOfZeroNeverWaits) {
    auto [left, right] = tcp_pair();
    auto listener = io::listen("127.0.0.1:0");
    right.set_timeout(0ns);
    listener.set_timeout(-1ns);
    EXPECT_EQ(right.timeout(), 0ns);
    EXPECT_EQ(listener.timeout(), 0ns);
    EXPECT_EQ(error_of([&, &right = right] { right.recv(buffer); }), std::errc::resource_unavailable_try_again);
    EXPECT_EQ(error_of([&, &right = right] { right.recv_exactly(buffer); }), std::errc::resource_unavailable_try_again);
    EXPECT_EQ(error_of([&] { listener.accept(); }), std::errc::resource_unavailable_try_again);
    left.send_all("abc");
    EXPECT_EQ(right.recv(buffer), 3U) << "what is there is taken, whatever was remembered";
    right.set_timeout(std::nullopt);
    EXPECT_EQ(right.timeout(), std::nullopt);
}

TEST_F(IoSocket, TryFormsSayNo) {
    auto [left, right] = tcp_pair();
    auto listener = io::listen("127.0.0.1:0");
    EXPECT_FALSE(listener.try_accept());
    auto client = io::connect(listener.local_endpoint());
    EXPECT_TRUE(listener.try_accept());
    EXPECT_FALSE(right.try_recv(buffer));
    left.send_all("abc");
    EXPECT_EQ(right.try_recv(buffer), 3U);
    fill(left);
    EXPECT_FALSE(left.try_send("x"));
}

TEST_F(IoSocket, TryFormsMayBeUsedInTheHub) {
    auto [left, right] = io::socketpair();
    left.send_all("abc");
    std::optional<std::size_t> got;
    std::string refused;
    copse::event done;
    copse::hub::current().post([&, &right = right] {
        got = right.try_recv(buffer);
        try {
            right.recv(buffer);
        } catch (const copse::blocking_in_hub& e) {
            refused = e.what();
        }
        done.set();
    });
    done.wait();
    EXPECT_EQ(got, 3U);
    EXPECT_FALSE(refused.empty());
}

// ---- one fiber a direction

// Rule 126.
TEST_F(IoSocket, SecondReaderIsRefusedAndTheFirstUnaffected) {
    auto [left, right] = io::socketpair();
    auto first = copse::spawn([&, &right = right] { return recv_text(right); });
    copse::yield();
    EXPECT_THROW(right.recv(buffer), copse::concurrent_use);
    EXPECT_THROW(right.recv_for(buffer, 1ms), copse::concurrent_use);
    EXPECT_NE(text_of([&, &right = right] { right.recv(buffer); }).find("in recv"), std::string::npos);
    right.send_all("a writer may come too");
    EXPECT_EQ(recv_text(left), "a writer may come too");
    left.send_all("abc");
    EXPECT_EQ(first.get(), "abc");
}

TEST_F(IoSocket, SecondAcceptorAndWriterAreRefused) {
    auto listener = io::listen("127.0.0.1:0");
    auto acceptor = copse::spawn([&] { listener.accept(); });
    auto [left, right] = io::socketpair();
    fill(left);
    auto writer = copse::spawn([&, &left = left] { left.send_all("x"); });
    copse::yield();
    EXPECT_THROW(listener.accept(), copse::concurrent_use);
    EXPECT_THROW(left.send("y"), copse::concurrent_use);
    acceptor.kill();
    writer.kill();
}

// ---- kills

// Rule 132.
TEST_F(IoSocket, KilledAndTimedOutReadersLeaveItUsable) {
    auto [left, right] = tcp_pair();
    auto reader = copse::spawn([&, &right = right] { right.recv(buffer); });
    copse::yield();
    reader.kill();
    EXPECT_TRUE(reader.killed());
    {
        const copse::timeout scope(1ms);
        EXPECT_THROW(right.recv(buffer), copse::timeout_expired);
    }
    left.send_all("abc");
    EXPECT_EQ(right.recv(buffer), 3U);
}

TEST_F(IoSocket, CallThatSucceedsAtOnceIsAKillPoint) {
    auto [left, right] = io::socketpair();
    left.send_all("abcdef");
    copse::fiber<void> self;
    self = copse::spawn([&, &right = right] {
        right.recv_exactly(std::span(buffer).first(3));  // that there is more is remembered from now on
        self.request_kill();
        right.recv_exactly(std::span(buffer).first(3));
    });
    self.join();
    EXPECT_TRUE(self.killed());
    EXPECT_EQ(right.recv(buffer), 3U) << "nothing was taken";
}

TEST_F(IoSocket, SatisfiedWaitCompletesBeforeAKill) {
    auto [left, right] = tcp_pair();
    std::size_t got = 0;
    auto reader = copse::spawn([&, &right = right] { got = right.recv(buffer); });
    copse::yield();
    left.send_all("abc");
    while (copse::hub::current().stats().watching != 0) copse::yield();  // made ready, has not run yet
    reader.request_kill();
    reader.join();
    EXPECT_EQ(got, 3U) << "what was acquired is not lost";
}

// ---- closing

// Rule 128.
TEST_F(IoSocket, CloseWakesBothDirections) {
    auto [left, right] = io::socketpair();
    fill(left);
    auto reader = copse::spawn([&, &left = left] { return text_of([&] { left.recv(buffer); }); });
    auto writer = copse::spawn([&, &left = left] { return error_of([&] { left.send("x"); }); });
    copse::yield();
    const std::string fd = std::to_string(left.native_handle());
    left.close();
    EXPECT_FALSE(left.is_open());
    EXPECT_EQ(left.native_handle(), -1);
    EXPECT_EQ(reader.get(), "recv on fd " + fd + ", closed by another fiber: Bad file descriptor");
    EXPECT_EQ(writer.get(), std::errc::bad_file_descriptor);
}

// Rule 129.
TEST_F(IoSocket, CloseWakesAcceptAndReleaseWakesReaders) {
    auto listener = io::listen("127.0.0.1:0");
    auto acceptor = copse::spawn([&] { return error_of([&] { listener.accept(); }); });
    auto [left, right] = io::socketpair();
    auto reader = copse::spawn([&, &left = left] { return error_of([&] { left.recv(buffer); }); });
    copse::yield();
    listener.close();
    const int fd = left.release();
    EXPECT_EQ(acceptor.get(), std::errc::bad_file_descriptor);
    EXPECT_EQ(reader.get(), std::errc::bad_file_descriptor);
    EXPECT_EQ(::close(fd), 0);
}

TEST_F(IoSocket, CloseBetweenEventAndResumeIsNotice) {
    auto [left, right] = io::socketpair();
    auto reader = copse::spawn([&, &right = right] { return error_of([&] { right.recv(buffer); }); });
    copse::yield();
    left.send_all("abc");
    while (copse::hub::current().stats().watching != 0) copse::yield();
    right.close();
    auto [other_left, other_right] = io::socketpair();  // has the number now
    EXPECT_EQ(reader.get(), std::errc::bad_file_descriptor);
}

// Rule 131.
TEST_F(IoSocket, ClosedOneSaysSo) {
    io::socket none;
    EXPECT_FALSE(none.is_open());
    none.close();
    none.close();
    EXPECT_EQ(none.release(), -1);
    auto [left, right] = io::socketpair();
    left.close();
    for (io::socket* s : {&none, &left}) {
        EXPECT_EQ(text_of([&] { s->recv(buffer); }), "recv on a closed socket: Bad file descriptor");
        for (const auto& call : std::initializer_list<std::function<void()>>{
                 [&] { s->recv_exactly(buffer); }, [&] { s->recv_pooled(); }, [&] { s->try_recv(buffer); },
                 [&] { s->send("x"); }, [&] { s->send_all("x"); }, [&] { s->try_send("x"); }, [&] { s->accept(); },
                 [&] { s->try_accept(); }, [&] { s->connect(io::endpoint::loopback(1)); },
                 [&] { s->bind("127.0.0.1:0"); }, [&] { s->listen(); }, [&] { s->shutdown(io::shut::both); },
                 [&] { s->set_option(io::no_delay(true)); }, [&] { static_cast<void>(s->get_option<io::no_delay>()); },
                 [&] { static_cast<void>(s->local_endpoint()); }, [&] { static_cast<void>(s->peer_endpoint()); }}) {
            EXPECT_EQ(error_of(call), std::errc::bad_file_descriptor);
        }
    }
}

TEST_F(IoSocket, SocketEndedWhileAFiberIsInIt) {
    auto pair = std::make_unique<std::pair<io::socket, io::socket>>(io::socketpair());
    auto reader = copse::spawn([&, &mine = pair->first] { return error_of([&] { mine.recv(buffer); }); });
    copse::yield();
    pair.reset();
    EXPECT_EQ(reader.get(), std::errc::bad_file_descriptor);
}

TEST_F(IoSocket, MovedWhileAFiberIsInIt) {
    auto pair = std::make_unique<std::pair<io::socket, io::socket>>(io::socketpair());
    auto reader = copse::spawn([&, &mine = pair->first] { return mine.recv(buffer); });
    copse::yield();
    io::socket moved = std::move(pair->first);
    io::socket peer = std::move(pair->second);
    pair.reset();
    peer.send_all("abc");
    EXPECT_EQ(reader.get(), 3U);
}

// ---- threads

TEST_F(IoSocket, AnotherThreadIsRefused) {
    auto [left, right] = io::socketpair();
    left.send_all("abc");
    in_thread([&, &right = right] {
        EXPECT_THROW(right.recv(buffer), copse::wrong_thread);
        auto pair = io::socketpair();  // now the thread has a reactor
        EXPECT_THROW(right.recv(buffer), copse::wrong_thread);
        EXPECT_THROW(right.send("x"), copse::wrong_thread);
        EXPECT_THROW(right.release(), copse::wrong_thread);
    });
    EXPECT_EQ(right.recv(buffer), 3U);
}

TEST_F(IoSocket, NumberTravelsToAnotherThread) {
    auto [left, right] = tcp_pair();
    left.send_all("abc");
    const int fd = right.release();
    EXPECT_FALSE(right.is_open());
    in_thread([fd] {
        io::socket mine = io::socket::adopt(fd);
        EXPECT_EQ(recv_text(mine), "abc");
        mine.send_all("def");
    });
    EXPECT_EQ(recv_text(left), "def");
}

TEST_F(IoSocket, ClosedFromAnotherThreadIsClosed) {
    auto [left, right] = io::socketpair();
    in_thread([&, &right = right] { right.close(); });
    EXPECT_EQ(left.recv(buffer), 0U);
}

TEST_F(IoSocket, OutlivesItsThread) {
    io::socket survivor;
    auto [left, right] = io::socketpair();
    in_thread([&] {
        auto pair = io::socketpair();
        survivor = std::move(pair.first);
    });
    EXPECT_THROW(survivor.recv(buffer), copse::wrong_thread);
    survivor.close();
}

TEST_F(IoSocket, AdoptRefusesWhatIsNoSocket) {
    EXPECT_EQ(error_of([] { io::socket::adopt(-1); }), std::errc::bad_file_descriptor);
    int ends[2];
    ASSERT_EQ(::pipe(ends), 0);
    EXPECT_EQ(error_of([&] { io::socket::adopt(ends[0]); }), std::errc::not_a_socket);
    EXPECT_EQ(::close(ends[0]), 0);
    EXPECT_EQ(::close(ends[1]), 0);
}

TEST_F(IoSocket, AdoptedBlockingSocketParks) {
    int ends[2];
    ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
    auto left = io::socket::adopt(ends[0]);
    auto right = io::socket::adopt(ends[1]);
    auto reader = copse::spawn([&] { return recv_text(right); });
    copse::yield();
    left.send_all("abc");
    EXPECT_EQ(reader.get(), "abc");
}

// ---- options, errors

TEST_F(IoSocket, OptionsAreTyped) {
    auto [left, right] = tcp_pair();
    EXPECT_TRUE(left.get_option<io::no_delay>().on) << "from the start";
    EXPECT_TRUE(right.get_option<io::no_delay>().on) << "accepted ones inherit it";
    left.set_option(io::no_delay(false));
    EXPECT_FALSE(left.get_option<io::no_delay>().on);
    left.set_option(io::keep_alive(true));
    EXPECT_TRUE(left.get_option<io::keep_alive>().on);
    left.set_option(io::receive_buffer(8192));
    EXPECT_GE(left.get_option<io::receive_buffer>().bytes, 8192);
    left.set_option(io::linger(3s));
    EXPECT_TRUE(left.get_option<io::linger>().on);
    EXPECT_EQ(left.get_option<io::linger>().length, 3s);
    left.set_option(io::linger());
    auto [u, v] = io::socketpair();
    EXPECT_EQ(error_of([&, &s = u] { s.set_option(io::no_delay(true)); }), std::errc::operation_not_supported);
}

TEST_F(IoSocket, ListenersOfOnePortShareIt) {
    auto first = io::listen("127.0.0.1:0", {.reuse_port = true});
    auto second = io::listen(first.local_endpoint(), {.reuse_port = true});
    EXPECT_EQ(error_of([&] { io::listen(first.local_endpoint()); }), std::errc::address_in_use);
    const std::string text = text_of([&] { io::listen(first.local_endpoint()); });
    EXPECT_NE(text.find(to_string(first.local_endpoint())), std::string::npos) << text;
}

TEST_F(IoSocket, DualStackUnlessV6Only) {
    auto both = io::listen("[::]:0");
    auto port = both.local_endpoint().port();
    io::connect(io::endpoint::loopback(port)).close();
    both.accept();
    auto six = io::listen("[::]:0", {.v6_only = true});
    EXPECT_EQ(error_of([&] { io::connect(io::endpoint::loopback(six.local_endpoint().port())); }),
              std::errc::connection_refused);
}

TEST_F(IoSocket, ErrorsNameOperationDescriptorAndPeer) {
    auto [left, right] = tcp_pair();
    const std::string peer = to_string(left.local_endpoint());
    left.set_option(io::linger(0s));
    left.close();
    EXPECT_EQ(text_of([&, &s = right] { s.recv(buffer); }),
              "recv on fd " + std::to_string(right.native_handle()) + " from " + peer + ": Connection reset by peer");
}

TEST_F(IoSocket, SendPartOfMuch) {
    auto [left, right] = io::socketpair();
    const std::string much(64 * 1024 * 1024, 'x');
    const std::size_t sent = left.send(much);
    EXPECT_GT(sent, 0U);
    EXPECT_LT(sent, much.size());
}

TEST_F(IoSocket, PeekLeavesWhatItSaw) {
    auto [left, right] = tcp_pair();
    left.send_all("abc");
    EXPECT_EQ(right.recv(buffer, MSG_PEEK), 3U);
    EXPECT_EQ(right.recv(buffer, MSG_PEEK), 3U);
    EXPECT_EQ(right.recv(buffer), 3U);
}

// ---- readiness that is remembered

// The end of the stream comes together with the last bytes, in one event: a short receive must not make it forgotten.
TEST_F(IoSocket, EndThatCameWithTheLastBytesIsSeen) {
    auto [left, right] = tcp_pair();
    auto reader = copse::spawn([&, &right = right] { return recv_to_end(right); });
    copse::yield();
    left.send_all("abc");
    left.close();
    EXPECT_EQ(reader.get(), "abc");
}

TEST_F(IoSocket, BytesBehindUrgentOnesAreSeen) {
    auto [left, right] = tcp_pair();
    auto reader = copse::spawn([&, &right = right] { return recv_to_end(right); });
    copse::yield();
    left.send_all("abc");
    left.send("!", MSG_OOB);
    left.send_all("def");
    while (copse::hub::current().stats().watching != 0) copse::yield();
    left.shutdown(io::shut::write);
    EXPECT_EQ(reader.get(), "abcdef");
}

TEST_F(IoSocket, ShutdownOfReadingWakesTheReader) {
    for (const bool tcp : {true, false}) {
        auto [left, right] = tcp ? tcp_pair() : io::socketpair();
        auto reader = copse::spawn([&, &mine = right] { return mine.recv(buffer); });
        copse::yield();
        right.shutdown(io::shut::read);
        EXPECT_EQ(reader.get(), 0U);
    }
}

// SC06, P3: nothing makes the hub wait, and yet the others have their turns.
TEST_F(IoSocket, Fault_SC06_AlwaysReadySocketLetsOthersRun) {
    auto [left, right] = io::socketpair();
    left.send_all(std::string(4096, 'x'));
    int turns = 0;
    bool done = false;
    auto other = copse::spawn([&] {
        while (!done) {
            ++turns;
            copse::yield();
        }
    });
    int most_between = 0;
    for (int i = 0, between = 0, seen = 0; i < 4096; ++i) {
        right.recv_exactly(std::span(buffer).first(1));
        between = turns == seen ? between + 1 : 0;
        seen = turns;
        most_between = std::max(most_between, between);
    }
    EXPECT_LE(most_between, 128);
    EXPECT_GE(turns, 4096 / 129 - 1);
    done = true;
    other.join();
}

// A connected socket becomes readable for other reasons, a datagram socket too: waiting there would be in vain.
TEST_F(IoSocket, AcceptOnWhatDoesNotListenIsRefused) {
    auto [left, right] = tcp_pair();
    EXPECT_THROW(left.accept(), std::system_error);
    io::socket datagrams(AF_INET, SOCK_DGRAM);
    EXPECT_THROW(datagrams.accept_for(1h), std::system_error);
    auto [a, b] = io::socketpair();
    io::stream_server server(std::move(a), [](io::socket) {});
    EXPECT_THROW(server.serve_forever(), std::system_error);
}

TEST_F(IoSocket, VirtualTimeAndSocketsGoTogether) {
    copse::virtual_time time;
    auto [left, right] = tcp_pair();
    auto slow = copse::spawn([&, &left = left] {
        copse::sleep(24h);
        left.send_all("abc");
    });
    EXPECT_EQ(right.recv(buffer), 3U);
    EXPECT_EQ(time.elapsed(), 24h);
    EXPECT_THROW(right.recv_for(buffer, 1h), io::timed_out);
    EXPECT_EQ(time.elapsed(), 25h);
    slow.join();
}

TEST_F(IoSocket, DeadlockIsNotSeenWhereADescriptorIsWaitedFor) {
    auto [left, right] = io::socketpair();
    const int fd = left.native_handle();
    auto later = std::thread([fd] {
        const char byte = 'x';
        ASSERT_EQ(::write(fd, &byte, 1), 1);
    });
    EXPECT_EQ(right.recv(buffer), 1U);
    later.join();
}

}  // namespace
