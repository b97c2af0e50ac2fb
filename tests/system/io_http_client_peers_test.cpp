// The HTTP client and the WebSocket against programs of others: nginx, Python's http.server, Boost.Beast on plain threads.

#include "io_leak_check.hpp"

#include <copse/io/http/client.hpp>
#include <copse/io/http/server.hpp>
#include <copse/io/http/websocket.hpp>
#include <copse/io/process.hpp>

#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/websocket/stream.hpp>

#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <fstream>
#include <functional>
#include <optional>
#include <thread>

using namespace std::chrono_literals;
using namespace copse_test;
namespace io = copse::io;
namespace http = copse::io::http;
namespace asio = boost::asio;
namespace ws = boost::beast::websocket;

namespace {

/// A folder that goes with its object.
class temporary_folder {
public:
    temporary_folder() {
        std::string name = (std::filesystem::temp_directory_path() / "copse-http-XXXXXX").string();
        if (mkdtemp(name.data()) == nullptr) throw std::system_error(errno, std::generic_category(), "mkdtemp");
        path_ = name;
        chmod(name.c_str(), 0755);  // nginx's workers may be somebody else
    }
    temporary_folder(const temporary_folder&) = delete;
    temporary_folder& operator=(const temporary_folder&) = delete;
    ~temporary_folder() { std::filesystem::remove_all(path_); }

    const std::filesystem::path& path() const { return path_; }
    void write(const std::string& name, const std::string& text) const {
        std::filesystem::create_directories((path_ / name).parent_path());
        std::ofstream(path_ / name, std::ios::binary) << text;
    }

private:
    std::filesystem::path path_;
};

std::string free_port() {
    auto listener = io::listen("127.0.0.1:0");
    const std::string where = to_string(listener.local_endpoint());
    return where.substr(where.find(':') + 1);
}

/// A server of somebody else's. Ended by its own pid.
class foreign_server {
public:
    /// `arguments` may have PORT in them.
    foreign_server(std::vector<std::string> arguments, const std::string& folder) : port_(free_port()) {
        for (std::string& a : arguments) {
            if (const auto at = a.find("PORT"); at != std::string::npos) a.replace(at, 4, port_);
        }
        try {
            running_.emplace(arguments, io::process_options{.cwd = folder,
                                                            .output = io::redirect::file(folder + "/log"),
                                                            .errors = io::redirect::append(folder + "/log")});
        } catch (const std::system_error& e) {
            if (e.code() != std::errc::no_such_file_or_directory) throw;
        }
    }
    ~foreign_server() {
        if (!running_) return;
        running_->terminate();
        if (!running_->wait_for(5s)) running_->kill();
        running_->wait();
    }

    bool is_installed() const { return running_.has_value(); }
    const std::string& port() const { return port_; }
    std::string url(const std::string& path) const { return "http://127.0.0.1:" + port_ + path; }

    bool wait_until_ready() const {
        for (int attempt = 0; attempt < 100 && !running_->poll(); ++attempt) {
            if (!error_of([&] { io::connect("127.0.0.1:" + port_); })) return true;
            copse::sleep(50ms);
        }
        return false;
    }

private:
    std::string port_;
    std::optional<io::process> running_;
};

using IoHttpClientPeers = io_leak_check;

TEST_F(IoHttpClientPeers, PythonsServer) {
    for (const char* const protocol : {"HTTP/1.0", "HTTP/1.1"}) {
        const temporary_folder folder;
        folder.write("a.txt", "many small trees");
        folder.write("large", pattern(3'000'000));
        folder.write("dir/index.html", "<p>index");
        foreign_server python({"python3", "-m", "http.server", "PORT", "--bind", "127.0.0.1", "--protocol", protocol},
                              folder.path());
        if (!python.is_installed()) GTEST_SKIP() << "python3 is not installed";
        ASSERT_TRUE(python.wait_until_ready());
        http::client client;
        EXPECT_EQ(client.get(python.url("/a.txt")).body, "many small trees");
        EXPECT_EQ(client.get(python.url("/large")).body, pattern(3'000'000));
        EXPECT_EQ(client.get(python.url("/none")).status, 404);
        const auto head = client.request({.method = "HEAD", .url = python.url("/a.txt")});
        EXPECT_EQ(head.headers.get("Content-Length"), "16");
        auto followed = client.open({.url = python.url("/dir")});
        EXPECT_EQ(followed.read_all(), "<p>index");
        EXPECT_EQ(followed.url().path(), "/dir/");
        EXPECT_EQ(client.post(python.url("/a.txt"), "x", "text/plain").status, 501);
        EXPECT_EQ(
            client.request({.method = "PUT", .url = python.url("/a.txt"), .body = std::string(5'000'000, 'x')}).status,
            501)
            << "an answer before the body is sent";
        EXPECT_EQ(client.stats().reused > 0, std::string(protocol) == "HTTP/1.1");
    }
}

/// A server block of nginx, alone in a process of its own.
std::vector<std::string> nginx_with(const temporary_folder& folder, const std::string& port_mark,
                                    const std::string& server) {
    const std::string f = folder.path().string();
    folder.write("nginx.conf", "daemon off; master_process off; worker_processes 1; pid " + f + "/pid; error_log " + f +
                                   "/error.log;\nevents { worker_connections 200; }\nhttp { access_log off; root " + f +
                                   "/www; client_body_temp_path " + f + "/t1; proxy_temp_path " + f +
                                   "/t2; fastcgi_temp_path " + f + "/t3; uwsgi_temp_path " + f +
                                   "/t4; scgi_temp_path " + f + "/t5;\nserver { listen 127.0.0.1:" + port_mark + "; " +
                                   server + " } }\n");
    return {"nginx", "-p", f, "-c", f + "/nginx.conf", "-e", f + "/error.log"};
}

class nginx {
public:
    explicit nginx(const std::string& server) {
        folder_.write("www/a.txt", "many small trees");
        folder_.write("www/large", pattern(5'000'000));
        const std::string port = free_port();
        auto arguments = nginx_with(folder_, port, server);
        port_ = port;
        server_.emplace(arguments, folder_.path().string());
    }

    /// Whether it runs.
    bool is_ready() {
        if (!server_->is_installed()) return false;
        for (int attempt = 0; attempt < 100; ++attempt) {
            if (!error_of([&] { io::connect("127.0.0.1:" + port_); })) return true;
            copse::sleep(50ms);
        }
        return false;
    }
    std::string url(const std::string& path) const { return "http://127.0.0.1:" + port_ + path; }

private:
    temporary_folder folder_;
    std::string port_;
    std::optional<foreign_server> server_;
};

TEST_F(IoHttpClientPeers, Nginx) {
    nginx server("keepalive_requests 7; client_max_body_size 10k; gzip on; gzip_types *; gzip_min_length 1;"
                 "location = /there { return 302 /a.txt; } location = /loop { return 301 /loop; } location = /empty { "
                 "return 204; }"
                 "location = /says { return 200 $http_host/$http_accept_encoding/$remote_user; }");
    if (!server.is_ready()) GTEST_SKIP() << "nginx is not installed";
    http::client client({.max_connections_per_origin = 5});
    EXPECT_EQ(client.get(server.url("/a.txt")).body, "many small trees");
    EXPECT_EQ(client.get(server.url("/large")).body, pattern(5'000'000));
    EXPECT_EQ(client.get(server.url("/there")).body, "many small trees");
    EXPECT_EQ(client.get(server.url("/empty")).status, 204);
    EXPECT_EQ(client.request({.method = "HEAD", .url = server.url("/large")}).headers.get("Content-Length"), "5000000");
    EXPECT_EQ(client.get(server.url("/a.txt"), {{"Range", "bytes=5-9"}}).body, "small");
    const std::string authority = server.url("").substr(7);
    EXPECT_EQ(client.get("http://me:pw@" + authority + "/says").body, authority + "/identity/me");
    const auto zipped = client.get(server.url("/a.txt"), {{"Accept-Encoding", "gzip"}});
    EXPECT_EQ(zipped.headers.get("Content-Encoding"), "gzip");
    EXPECT_EQ(zipped.body.substr(0, 2), "\x1f\x8b") << "as it came, in chunks";
    EXPECT_THROW(client.get(server.url("/loop")), http::error);
    // A refusal before the body is sent, with and without asking first; then a request that must not be led astray by it.
    EXPECT_EQ(client.post(server.url("/a.txt"), std::string(8'000'000, 'x'), "text/plain").status, 413);
    EXPECT_EQ(client
                  .request({.method = "PUT",
                            .url = server.url("/a.txt"),
                            .body = std::string(20'000, 'x'),
                            .expect_continue = true})
                  .status,
              413);
    EXPECT_EQ(client.get(server.url("/a.txt")).body, "many small trees");
    // The server closes after every seventh request.
    copse::group all;
    int right = 0;
    for (int i = 0; i < 100; ++i)
        all.spawn([&] { right += client.get(server.url("/a.txt")).body == "many small trees"; });
    all.join();
    EXPECT_EQ(right, 100);
    EXPECT_GE(client.stats().opened, 100U / 7);
    EXPECT_GT(client.stats().reused, 70U);
}

// The race itself: the server closes kept connections at about the time at which they are used again.
TEST_F(IoHttpClientPeers, Fault_HT17_NginxClosesWhatIsReused) {
    nginx server("keepalive_timeout 20ms;");
    if (!server.is_ready()) GTEST_SKIP() << "nginx is not installed";
    http::client client;
    for (int i = 0; i < 60; ++i) {
        EXPECT_EQ(client.get(server.url("/a.txt")).body, "many small trees");
        copse::sleep(18ms + i % 5 * 1ms);
    }
    EXPECT_GT(client.stats().opened, 1U);
}

// WebSocket.

struct beast_warm_up {
    beast_warm_up() {
        auto [a, b] = io::socketpair();
        EXPECT_THROW(http::websocket::accept(std::move(a), http::request()), http::error);
    }
};
class IoWebsocketPeers : private beast_warm_up, public io_leak_check {};

ws::permessage_deflate deflate(bool wanted) {
    ws::permessage_deflate made;
    made.server_enable = made.client_enable = wanted;
    return made;
}

const std::vector<std::size_t> sizes{0, 1, 125, 126, 5000, 65535, 65536, 300'000};

TEST_F(IoWebsocketPeers, BeastsServer) {
    for (const bool compressed : {false, true}) {
        asio::io_context context;
        asio::ip::tcp::acceptor acceptor(context, {asio::ip::address_v4::loopback(), 0});
        std::thread beast([&] {
            ws::stream<asio::ip::tcp::socket> s(acceptor.accept());
            s.set_option(deflate(compressed));
            s.accept();
            boost::system::error_code e;
            for (;;) {
                boost::beast::flat_buffer all;
                s.read(all, e);
                if (e) break;
                s.text(s.got_text());
                s.ping({});
                s.write(all.data());
            }
            EXPECT_EQ(e, ws::error::closed);
            EXPECT_EQ(s.reason().code, 4001);
        });
        {
            auto w =
                http::websocket::connect("ws://127.0.0.1:" + std::to_string(acceptor.local_endpoint().port()) + "/",
                                         {.compression = compressed});
            EXPECT_EQ(w.is_compressed(), compressed);
            for (const std::size_t size : sizes) {
                w.send_binary(pattern(size));
                EXPECT_EQ(w.receive()->data, pattern(size)) << size;
                w.send_text(std::string(size, 'x'));
                EXPECT_EQ(w.receive()->data, std::string(size, 'x')) << size;
            }
            EXPECT_TRUE(w.close(4001));
        }
        beast.join();
    }
}

TEST_F(IoWebsocketPeers, BeastsClient) {
    for (const bool compressed : {false, true}) {
        http::server server("127.0.0.1:0", [&](http::exchange& x) {
            auto w = http::websocket::accept(x, {.compression = compressed});
            while (auto m = w.receive()) m->is_text ? w.send_text(m->data) : w.send_binary(m->data);
        });
        server.start();
        const std::string where = to_string(server.local_endpoint());
        const auto port = static_cast<unsigned short>(std::stoul(where.substr(where.find(':') + 1)));
        const auto client = [&] {
            asio::io_context context;
            ws::stream<asio::ip::tcp::socket> s(context);
            s.set_option(deflate(compressed));
            s.next_layer().connect({asio::ip::address_v4::loopback(), port});
            s.handshake(where, "/");
            s.auto_fragment(true);
            for (const std::size_t size : sizes) {
                const std::string sent = pattern(size);
                s.binary(true);
                s.ping({});
                s.write(asio::buffer(sent));
                boost::beast::flat_buffer all;
                s.read(all);
                EXPECT_EQ(std::string(static_cast<const char*>(all.data().data()), all.size()), sent) << size;
            }
            s.close(ws::close_code::normal);
        };
        copse::blocking(client);
    }
}

}  // namespace
