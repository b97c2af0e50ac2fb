// Small programs, run again and again, each time with another system call failing with another of its errors: they do what
// they should or throw std::system_error, soon, and leave nothing behind.

#include "io_leak_check.hpp"
#include "io_striking_calls.hpp"
#include "sanitizer.hpp"
#if COPSE_TEST_TLS
#include "io_certificates.hpp"
#endif

#include <copse/fibers.hpp>
#include <copse/io.hpp>

#include <gtest/gtest.h>

#include <fcntl.h>
#include <sys/wait.h>

#include <algorithm>
#include <array>
#include <exception>
#include <functional>
#include <string>
#include <thread>
#include <vector>

namespace io = copse::io;
using copse_test::strike_plan;
using namespace std::chrono_literals;

namespace {

constexpr auto patience = 20s;  // over means that it hangs

void must(bool holds, const char* what) {
    if (!holds) throw std::logic_error(what);
}

/// What a peer that failed looks like.
[[noreturn]] void ended_early() {
    throw std::system_error(std::make_error_code(std::errc::connection_reset), "ended early");
}

std::string exactly(io::socket& from, std::size_t size) {
    std::string text(size, '\0');
    if (from.recv_exactly(std::as_writable_bytes(std::span(text))) == 0) ended_early();
    return text;
}

void echo_all(io::socket& s) {
    while (const auto chunk = s.recv_pooled()) s.send_all(chunk.bytes());
}

void echo_over(const std::string& where) {
    const std::string sent = copse_test::pattern(40'000);
    copse::with_nursery([&](copse::nursery& both) {
        auto listener = io::listen(where);
        both.spawn([&] {
            io::socket s = listener.accept();
            echo_all(s);
        });
        auto client = io::connect(listener.local_endpoint());
        client.send_all({std::string_view(sent).substr(0, 1000), std::string_view(sent).substr(1000)});
        client.shutdown(io::shut::write);
        must(exactly(client, sent.size()) == sent, "other bytes came back");
    });
}

void tcp_echo() { echo_over("127.0.0.1:0"); }
void unix_echo() { echo_over("unix:@copse-every-call-" + std::to_string(::getpid())); }

void datagrams() {
    copse::with_nursery([&](copse::nursery& both) {
        auto server = io::bind_datagram("127.0.0.1:0");
        both.spawn([&] {
            std::array<std::byte, 100> room{};
            for (int i = 0; i < 3; ++i) {
                const io::datagram got = server.recv_from(room);
                server.send_to(std::span(room).first(got.size), got.from);
            }
        });
        auto client = io::connect_datagram(server.local_endpoint());
        std::array<std::byte, 100> room{};
        for (const std::string_view each : {"one", "two", "three"}) {
            client.send(each);
            const std::size_t n = client.recv(room);
            must(std::string_view(reinterpret_cast<const char*>(room.data()), n) == each, "another datagram");
        }
    });
}

void datagram_server() {
    io::datagram_server server("127.0.0.1:0", [](io::incoming_datagram& d) { d.reply(d.bytes()); });
    server.start();
    auto client = io::connect_datagram(server.local_endpoint());
    std::array<std::byte, 100> room{};
    client.set_timeout(50ms);
    for (int attempt = 0; attempt < 5; ++attempt) {  // it may have been lost
        client.send("lost or found");
        try {
            must(client.recv(room) == 13, "another datagram");
            break;
        } catch (const io::timed_out&) {}
    }
    server.stop_for(5s);
}

void stream_server() {
    io::stream_server server("127.0.0.1:0", [](io::socket s) { echo_all(s); });
    server.start();
    const auto there = server.local_endpoint();
    copse::with_nursery([&](copse::nursery& all) {
        for (int i = 0; i < 3; ++i) {
            all.spawn([&, i] {
                auto client = io::connect(there);
                const std::string sent = copse_test::pattern(500, static_cast<unsigned>(i));
                client.send_all(sent);
                must(exactly(client, sent.size()) == sent, "other bytes came back");
            });
        }
    });
    must(server.stop_for(5s), "handlers did not end");
}

void pipes() {
    const std::string sent = copse_test::pattern(200'000);
    copse::with_nursery([&](copse::nursery& both) {
        auto [reader, writer] = io::pipe();
        both.spawn([&sent, w = std::move(writer)]() mutable { w.write_all(sent); });
        must(reader.read_to_end() == sent, "other bytes came out");
    });
}

void process() {
    const std::string sent = copse_test::pattern(100'000);
    const io::process_result result = io::run({"cat"}, {}, sent);
    // EPIPE while it is fed means that it wanted no more.
    must(result.status.success() && sent.starts_with(result.output), "cat gives back what it got");
}

void send_file() {
    const io::descriptor file(::open("/proc/self/exe", O_RDONLY | O_CLOEXEC));
    auto [left, right] = io::socketpair();
    copse::with_nursery([&, &from = left, &to = right](copse::nursery& both) {
        both.spawn([&] {
            must(from.send_file(file.get(), 0, 100'000) == 100'000, "the file is long enough");
            from.close();
        });
        std::size_t got = 0;
        while (const auto chunk = to.recv_pooled()) got += chunk.size();
        if (got != 100'000) ended_early();
    });
}

void descriptor_passing() {
    auto [left, right] = io::socketpair();
    auto [inner, outer] = io::socketpair();
    io::send_descriptors(left, "take it", std::array{inner.native_handle()});
    std::array<std::byte, 100> room{};
    const auto got = io::recv_descriptors(right, room);
    must(got.size == 7 && got.descriptors.size() == 1, "text and descriptor arrive together");
}

void selector() {
    auto [left, right] = io::socketpair();
    io::selector all;
    all.register_fd(right.native_handle(), io::readiness::read, std::string("right"));
    left.send_all("ping");
    const auto ready = all.select_for(5s);
    must(ready.size() == 1, "one is ready");
    std::array<std::byte, 16> room{};
    must(right.recv(room) == 4, "what was sent");
    all.unregister(right.native_handle());
}

void poll() {
    auto [left, right] = io::socketpair();
    copse::with_nursery([&, &from = left, &to = right](copse::nursery& both) {
        both.spawn([&] { from.send_all("ping"); });
        std::array<pollfd, 1> fds{{{.fd = to.native_handle(), .events = POLLIN, .revents = 0}}};
        must(io::poll_for(fds, 5s) == 1, "it becomes readable");
    });
}

void frames() {
    const std::string sent = copse_test::pattern(100'000);
    auto [left, right] = io::socketpair();
    copse::with_nursery([&, &from = left, &to = right](copse::nursery& both) {
        both.spawn([&] {
            io::frame_stream out(std::move(from));
            for (int i = 0; i < 3; ++i) out.send(sent);
        });
        io::frame_stream in(std::move(to));
        for (int i = 0; i < 3; ++i) {
            const auto message = in.receive();
            if (!message) ended_early();
            must(*message == sent, "another message");
        }
    });
}

#if COPSE_TEST_TLS
void tls_echo() {
    const std::string sent = copse_test::pattern(40'000);
    io::tls_server server("127.0.0.1:0", copse_test::common_server_context(), [](io::tls_stream& s) {
        while (const auto chunk = s.recv_pooled()) s.send_all(chunk.bytes());
    });
    server.start();
    auto client = io::connect_tls("localhost:" + std::to_string(server.local_endpoint().port()),
                                  copse_test::common_client_context());
    std::string back(sent.size(), '\0');
    copse::with_nursery([&](copse::nursery& both) {
        both.spawn([&] {
            client.send_all(sent);
            client.shutdown(io::shut::write);
        });
        if (client.recv_exactly(std::as_writable_bytes(std::span(back))) == 0) ended_early();
    });
    must(back == sent, "other bytes came back");
    client.close();
    must(server.stop_for(5s), "handlers did not end");
}
#endif

#if COPSE_TEST_HTTP
void http_requests() {
    const std::string body = copse_test::pattern(30'000);
    io::http::server server("127.0.0.1:0", [&](io::http::exchange& x) {
        x.respond({.body = x.request().path() == "/echo" ? x.read_body() : body});
    });
    server.start();
    const std::string at = "http://" + to_string(server.local_endpoint());
    io::http::client client;
    must(client.get(at + "/").body == body, "another body");
    const io::http::response echo = client.post(at + "/echo", body, "text/plain");
    if (echo.status == 500) ended_early();  // the server could not read
    must(echo.body == body, "another echo");
    client.close_idle();
    must(server.stop_for(5s), "handlers did not end");
}
#endif

/// Errors of the system, one or several.
bool is_from_the_system(const std::exception_ptr& e) {
    try {
        std::rethrow_exception(e);
    } catch (const std::system_error&) {
        return true;
    } catch (const copse::nursery_error& several) {
        const auto& all = several.failures();
        return std::all_of(all.begin(), all.end(), is_from_the_system);
    } catch (const std::nested_exception& told) {  // a handler's failure, by the name of its request
        return is_from_the_system(told.nested_ptr());
    } catch (...) {
        return false;
    }
}

struct outcome {
    std::string failure;  // empty: as it should be
    bool threw = false;
};

/// The program's own thread has its own hub: making that is struck too.
outcome run_struck(const std::function<void()>& program, strike_plan& plan) {
    outcome came;
    const std::size_t descriptors = copse_test::open_descriptors();
    std::thread([&] {
        copse::hub::current().on_error([&](std::exception_ptr e, const copse::greenlet&) {
            if (is_from_the_system(e)) {
                came.threw = true;  // in a fiber of the program's
            } else {
                came.failure = "something else was reported";
            }
        });
        copse_test::strikes = &plan;
        try {
            copse::with_timeout(patience, program);
        } catch (const copse::timeout_expired&) {
            came.failure = "it hangs";
        } catch (const std::exception& e) {
            came.threw = is_from_the_system(std::current_exception());
            if (!came.threw) came.failure = e.what();
        }
        copse_test::strikes = nullptr;
        if (!copse::hub::current().run_until_idle_for(patience)) came.failure += " and goes on";
    }).join();
    if (copse_test::open_descriptors() != descriptors) came.failure += " and leaves descriptors open";
    if (::waitpid(-1, nullptr, WNOHANG) >= 0) came.failure += " and leaves a child";
    return came;
}

struct named_program {
    const char* name;
    std::function<void()> run;
};

class IoEveryCall : public testing::TestWithParam<named_program> {};

// How many calls of a program are struck at most; they are spread over its length.
constexpr std::size_t calls_at_most = copse_test::address_sanitized || copse_test::thread_sanitized ? 15 : 60;
constexpr std::size_t errors_of_a_call = 7;

TEST_P(IoEveryCall, Fault_NT01_MayFailWithEachOfItsErrors) {
    const auto& program = GetParam().run;
    const std::size_t greenlets = copse::debug::live_greenlets();
    const copse_test::striking_calls struck;
    strike_plan untouched;
    const outcome clean = run_struck(program, untouched);
    ASSERT_EQ(clean.failure, "");
    ASSERT_FALSE(clean.threw);
    const std::size_t length = untouched.called.size();
    ASSERT_GT(length, 5U);

    std::size_t runs = 0;
    std::size_t threw = 0;
    const std::size_t step = std::max<std::size_t>(1, length / calls_at_most);
    for (std::size_t at = 0; at < length; at += step) {
        for (std::size_t variant = 0; variant < errors_of_a_call; ++variant) {
            strike_plan plan{.at = at, .variant = variant};
            const outcome came = run_struck(program, plan);
            EXPECT_EQ(came.failure, "") << plan.struck;
            ++runs;
            threw += came.threw ? 1 : 0;
        }
    }
    EXPECT_GT(threw, 0U) << "no error was ever seen";
    EXPECT_GT(runs, threw) << "no error was ever survived";
    EXPECT_EQ(copse::debug::live_greenlets(), greenlets);
}

INSTANTIATE_TEST_SUITE_P(Programs, IoEveryCall,
                         testing::Values(named_program{"TcpEcho", tcp_echo}, named_program{"UnixEcho", unix_echo},
                                         named_program{"Datagrams", datagrams},
                                         named_program{"DatagramServer", datagram_server},
                                         named_program{"StreamServer", stream_server}, named_program{"Pipes", pipes},
                                         named_program{"Process", process}, named_program{"SendFile", send_file},
                                         named_program{"DescriptorPassing", descriptor_passing},
                                         named_program{"Selector", selector}, named_program{"Poll", poll},
#if COPSE_TEST_TLS
                                         named_program{"TlsEcho", tls_echo},
#endif
#if COPSE_TEST_HTTP
                                         named_program{"Http", http_requests},
#endif
                                         named_program{"Frames", frames}),
                         [](const auto& each) { return std::string(each.param.name); });

}  // namespace
