/// HTTP hello world over loopback: servers on one CPU, a load generator on another, each beside a bare epoll loop that
/// looks for the empty line only and sends a fixed answer.

#include <copse/io/http/server.hpp>

#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/core/tcp_stream.hpp>
#include <boost/beast/http.hpp>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <memory>
#include <optional>
#include <string>

#include "bench.hpp"
#include "echo_servers.hpp"
#include "http_load.hpp"
#include "server_process.hpp"

namespace {

using echo::tell_port;
namespace beast = boost::beast;

constexpr std::string_view answer =
    "HTTP/1.1 200 OK\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: 13\r\n"
    "Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n\r\nHello, world!";

// ---- epoll by hand; what it makes of a request is the parameter

struct empty_line {
    std::string seen{};

    /// How many requests end in these bytes.
    std::size_t feed(std::string_view bytes) {
        seen.append(bytes);
        std::size_t ended = 0;
        for (std::size_t at; (at = seen.find("\r\n\r\n")) != std::string::npos; ++ended) seen.erase(0, at + 4);
        return ended;
    }
};

struct beast_parser {
    std::optional<beast::http::request_parser<beast::http::empty_body>> parser{std::in_place};

    std::size_t feed(std::string_view bytes) {
        beast::error_code error;
        std::size_t ended = 0;
        while (!bytes.empty()) {
            bytes.remove_prefix(parser->put(boost::asio::buffer(bytes.data(), bytes.size()), error));
            if (error) break;
            if (!parser->is_done()) continue;
            ++ended;
            parser.emplace();
        }
        return ended;
    }
};

template <class Reader>
void serve_by_hand(const tell_port& tell) {
    struct client : echo::connection {
        Reader reader{};
    };
    const int listener = echo::listen_anywhere(tell);
    const int epoll = epoll_create1(EPOLL_CLOEXEC);
    echo::watch(epoll, listener, EPOLLIN, nullptr);
    std::vector<char> room(16 * 1024);
    for (;;) {
        epoll_event events[echo::events_a_wait];
        const int n = epoll_wait(epoll, events, echo::events_a_wait, -1);
        for (int i = 0; i < n; ++i) {
            auto* c = static_cast<client*>(events[i].data.ptr);
            if (c == nullptr) {
                for (int fd; (fd = echo::accept_one(listener)) >= 0;)
                    echo::watch(epoll, fd, EPOLLIN | EPOLLRDHUP | EPOLLET, new client{{fd}});
                continue;
            }
            const ssize_t got = recv(c->fd, room.data(), room.size(), 0);
            if (got <= 0) continue;
            std::size_t requests = c->reader.feed({room.data(), static_cast<std::size_t>(got)});
            for (; requests != 0; --requests) c->try_send(answer.data(), answer.size());
        }
    }
}

// ---- Beast's own asynchronous functions

class beast_session : public std::enable_shared_from_this<beast_session> {
public:
    explicit beast_session(boost::asio::ip::tcp::socket s) : stream_(std::move(s)) {
        stream_.socket().set_option(boost::asio::ip::tcp::no_delay(true));
    }

    void read() {
        request_ = {};
        beast::http::async_read(stream_, buffer_, request_,
                                [self = shared_from_this()](beast::error_code error, std::size_t) {
                                    if (!error) self->write();
                                });
    }

private:
    void write() {
        response_ = {beast::http::status::ok, 11};
        response_.set(beast::http::field::content_type, "text/plain; charset=utf-8");
        response_.set(beast::http::field::date, "Sun, 06 Nov 1994 08:49:37 GMT");
        response_.body() = "Hello, world!";
        response_.prepare_payload();
        beast::http::async_write(stream_, response_, [self = shared_from_this()](beast::error_code error, std::size_t) {
            if (!error) self->read();
        });
    }

    beast::tcp_stream stream_;
    beast::flat_buffer buffer_;
    beast::http::request<beast::http::string_body> request_;
    beast::http::response<beast::http::string_body> response_;
};

void accept_next(boost::asio::ip::tcp::acceptor& from) {
    from.async_accept([&from](beast::error_code error, boost::asio::ip::tcp::socket s) {
        if (!error) std::make_shared<beast_session>(std::move(s))->read();
        accept_next(from);
    });
}

void serve_beast(const tell_port& tell) {
    boost::asio::io_context context(1);
    boost::asio::ip::tcp::acceptor acceptor(context, {boost::asio::ip::address_v4::loopback(), 0});
    accept_next(acceptor);
    tell(acceptor.local_endpoint().port());
    context.run();
}

// ---- nginx, one process

void serve_nginx(const tell_port& tell) {
    // Its port must be known before it runs: one that was free a moment ago.
    std::uint16_t port = 0;
    ::close(echo::listen_anywhere([&](std::uint16_t p) { port = p; }));
    const std::string folder = (std::filesystem::temp_directory_path() / "copse-bench-nginx-XXXXXX").string();
    std::vector<char> name(folder.begin(), folder.end());
    name.push_back('\0');
    bench::require(mkdtemp(name.data()) != nullptr, "a folder for nginx");
    const std::string at(name.data());
    std::ofstream(at + "/conf") << "daemon off; master_process off; pid " << at << "/pid; error_log " << at << "/log;\n"
                                << "events { worker_connections 2048; }\n"
                                << "http { access_log off; keepalive_requests 100000000; default_type text/plain;\n"
                                << "client_body_temp_path " << at << "; proxy_temp_path " << at
                                << "; fastcgi_temp_path " << at << "; uwsgi_temp_path " << at << "; scgi_temp_path "
                                << at << ";\n"
                                << "server { listen 127.0.0.1:" << port << " backlog=1024;\n"
                                << "location / { return 200 'Hello, world!'; } } }\n";
    if (fork() == 0) {  // tells when it listens
        for (int i = 0; i < 200; ++i) {
            const int probe = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
            sockaddr_in to{};
            to.sin_family = AF_INET;
            to.sin_port = htons(port);
            to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
            const bool up = connect(probe, reinterpret_cast<const sockaddr*>(&to), sizeof to) == 0;
            close(probe);
            if (up) break;
            usleep(10'000);
        }
        tell(port);
        _exit(0);
    }
    execlp("nginx", "nginx", "-c", (at + "/conf").c_str(), "-p", at.c_str(), nullptr);
    _exit(1);
}

// ---- copse

void serve_copse(const tell_port& tell) {
    copse::io::http::server server(
        "127.0.0.1:0", [](const copse::io::http::request&) { return copse::io::http::text("Hello, world!"); },
        {.requests_per_connection = 0, .max_per_address = 0});
    tell(server.local_endpoint().port());
    server.serve_forever();
}

using serve_function = void (*)(const tell_port&);

class contestant {
public:
    contestant(std::string name, const bench::server_process& process, std::size_t connections)
        : name_(std::move(name)), server_(process), load_(process.port(), connections) {}

    void run_slice(double seconds) {
        load_.run_for(0.2 * seconds);
        const double cpu_before = server_.cpu_ns();
        const auto start = std::chrono::steady_clock::now();
        latencies_ += load_.run_for(seconds);
        wall_ += std::chrono::steady_clock::now() - start;
        cpu_ns_ += server_.cpu_ns() - cpu_before;
    }

    void report(const bench::sink& out, const std::string& base) const {
        const auto requests = static_cast<double>(latencies_.count());
        const auto one = [&](const std::string& what, double value, const char* unit) {
            out(name_ + ": " + what, value, unit, base + ": " + what);
        };
        one("requests", requests / wall_.count(), "1/s");
        one("server CPU a request", cpu_ns_ / requests, "ns");
        one("p50", latencies_.microseconds(0.5), "us");
        one("p99", latencies_.microseconds(0.99), "us");
    }

private:
    std::string name_;
    const bench::server_process& server_;
    http_load::load load_;
    echo::histogram latencies_;
    std::chrono::duration<double> wall_{};
    double cpu_ns_ = 0;
};

// As for echo: both at a time, in slices, so that what else the machine does hits both alike.
void measure(const bench::sink& out, const std::string& who, serve_function serve, std::size_t connections) {
    bench::server_process raw_server(serve_by_hand<empty_line>);
    bench::server_process other_server(serve);
    bench::pin(bench::load_cpu);
    const std::string at = " x " + std::to_string(connections);
    const std::string base = "hello" + at + ", raw beside " + who;
    contestant raw(base, raw_server, connections);
    contestant other("hello" + at + ", " + who, other_server, connections);
    const double slice = 0.05;
    const int slices = bench::settings().full ? 40 : bench::settings().quick ? 6 : 12;
    for (int i = 0; i < slices; ++i) {
        (i % 2 == 0 ? raw : other).run_slice(slice);
        (i % 2 == 0 ? other : raw).run_slice(slice);
    }
    raw.report(out, base);
    other.report(out, base);
    raw_server.stop();
    other_server.stop();
}

bool have_nginx() { return std::system("nginx -v >/dev/null 2>&1") == 0; }

}  // namespace

int main(int argc, char** argv) {
    bench::suite suite("HTTP hello world, one thread; x base: a bare epoll loop that does not parse, beside it", argc,
                       argv);
    std::signal(SIGPIPE, SIG_IGN);
    struct contender {
        const char* name;
        serve_function serve;
    };
    for (const std::size_t connections : {std::size_t{100}, std::size_t{1000}}) {
        for (const contender& c :
             {contender{"raw with Beast's parser", serve_by_hand<beast_parser>}, contender{"copse", serve_copse},
              contender{"Beast, asynchronous", serve_beast}, contender{"nginx", serve_nginx}}) {
            if (c.serve == serve_nginx && !have_nginx()) continue;
            suite.add_all("hello x " + std::to_string(connections) + ", " + c.name,
                          [=](const bench::sink& out) { measure(out, c.name, c.serve, connections); });
        }
    }
    return suite.run(3);
}
