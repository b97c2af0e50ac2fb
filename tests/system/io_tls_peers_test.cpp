// TLS with the programs that everybody has: openssl and curl, in both roles.

#include "io_installed.hpp"
#include "io_tls_pair.hpp"

#include <stdlib.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

using namespace std::chrono_literals;
using namespace copse_test;
namespace io = copse::io;

namespace {

struct made_before {
    made_before() {
        common_server();
        make_tls_pair();
        io::run({"true"});
    }
};

/// Files for programs, in a folder that goes with the test.
class IoTlsPeers : private made_before, public io_leak_check {
protected:
    IoTlsPeers() {
        char name[] = "/tmp/copse-tls-XXXXXX";
        folder_ = ::mkdtemp(name);
    }
    ~IoTlsPeers() override { std::filesystem::remove_all(folder_); }

    std::string file(const std::string& name, const std::string& text) const {
        const std::string path = folder_ + '/' + name;
        std::ofstream(path) << text;
        return path;
    }
    std::string roots() const { return file("roots.pem", common_authority().pem); }

    std::string folder_;
};

std::string read_until(io::pipe_reader& from, const std::string& word) {
    std::string all;
    std::array<char, 4096> bytes;
    while (all.find(word) == std::string::npos) {
        const std::size_t n = from.read_for(std::as_writable_bytes(std::span(bytes)), 10s);
        if (n == 0) return all + "<end>";
        all.append(bytes.data(), n);
    }
    return all;
}

void echo(io::tls_stream client) {
    while (auto chunk = client.recv_pooled()) client.send_all(chunk.bytes());
}

/// `openssl s_server`, which returns each line reversed, on a port of its own choice.
class reversing_server {
public:
    reversing_server(const std::string& own, const std::vector<std::string>& more)
        : process_(command(own, more),
                   {.input = io::redirect::pipe, .output = io::redirect::pipe, .errors = io::redirect::null}) {
        const std::string before = "ACCEPT 127.0.0.1:";
        std::string said = read_until(process_.output(), before);
        if (said.find('\n', said.find(before)) == std::string::npos) said += read_until(process_.output(), "\n");
        port_ = said.substr(said.find(before) + before.size());
        port_.resize(port_.find('\n'));
    }
    ~reversing_server() {
        process_.kill();
        process_.wait();
    }

    std::string address() const { return "localhost:" + port_; }
    void kill() { process_.kill(); }

private:
    static std::vector<std::string> command(const std::string& own, const std::vector<std::string>& more) {
        std::vector<std::string> all = {"openssl", "s_server", "-accept", "127.0.0.1:0", "-cert",
                                        own,       "-key",     own,       "-rev"};
        all.insert(all.end(), more.begin(), more.end());
        return all;
    }

    io::process process_;
    std::string port_;
};

TEST_F(IoTlsPeers, OurServerAndTheirClient) {
    NEEDS("openssl");
    io::tls_server server("127.0.0.1:0", common_server_context({.alpn = {"echo/1"}}), echo);
    server.start();
    for (const char* version : {"-tls1_2", "-tls1_3"}) {
        io::process client({"openssl", "s_client", "-connect", to_string(server.local_endpoint()), "-CAfile", roots(),
                            "-verify_return_error", "-verify_hostname", "localhost", "-servername", "localhost",
                            "-alpn", "echo/1", "-quiet", version},
                           {.input = io::redirect::pipe, .output = io::redirect::pipe, .errors = io::redirect::null});
        client.input().write_all("many small trees\n");
        EXPECT_EQ(read_until(client.output(), "\n"), "many small trees\n");
        client.kill();
        client.wait();
    }
    EXPECT_TRUE(server.stop_for(10s));
    EXPECT_EQ(server.stats().handshakes, 2U);
}

TEST_F(IoTlsPeers, OurServerRefusesWhatTheirClientShouldNotSpeak) {
    NEEDS("openssl");
    io::tls_server server("127.0.0.1:0", common_server_context(), echo);
    server.start();
    for (const std::vector<std::string>& old : {std::vector<std::string>{"-tls1_1", "-cipher", "DEFAULT@SECLEVEL=0"},
                                                {"-tls1_2", "-cipher", "AES128-SHA@SECLEVEL=0"}}) {
        std::vector<std::string> command = {"openssl", "s_client", "-connect", to_string(server.local_endpoint())};
        command.insert(command.end(), old.begin(), old.end());
        EXPECT_NE(io::run(command).status.code(), 0) << old.front();
    }
    EXPECT_TRUE(server.stop_for(10s));
    EXPECT_EQ(server.stats().failed_handshakes, 2U);
}

TEST_F(IoTlsPeers, OurClientAndTheirServer) {
    NEEDS("openssl");
    const std::string own = file("own.pem", common_server().pem + common_server().key);
    for (const char* version : {"-tls1_2", "-tls1_3"}) {
        const reversing_server server(own, {version, "-alpn", "rev/1"});
        const auto ours = common_client_context({.alpn = {"rev/1"}});
        for (int i = 0; i < 3; ++i) {
            auto client = io::connect_tls(server.address(), ours);
            EXPECT_EQ(client.alpn_protocol(), "rev/1");
            EXPECT_EQ(client.session_reused(), i > 0) << version;
            client.send_all("seert\n");
            EXPECT_EQ(recv_text(client, 6), "trees\n");
            client.shutdown(io::shut::write);
        }
        try {
            io::connect_tls(server.address(), io::tls_context::client({.trust = {.ca_pem = authority("others").pem}}));
            ADD_FAILURE() << "nobody vouches for it";
        } catch (const io::tls_error& e) {
            EXPECT_EQ(e.code(), io::certificate_errc::issuer_unknown);
        }
    }
}

TEST_F(IoTlsPeers, TheirServerWantsToKnowWhoWeAre) {
    NEEDS("openssl");
    const std::string own = file("own.pem", common_server().pem + common_server().key);
    const reversing_server server(own, {"-Verify", "1", "-verify_return_error", "-CAfile", roots()});
    auto known = io::connect_tls(
        server.address(),
        common_client_context({.identity = issue(common_authority(), {.common_name = "me"}).identity()}));
    known.send_all("seert\n");
    EXPECT_EQ(recv_text(known, 6), "trees\n");
    known.close();
    EXPECT_THROW(
        {
            auto nobody = io::connect_tls(server.address(), common_client_context());
            recv_text(nobody);
        },
        std::system_error);
}

TEST_F(IoTlsPeers, Fault_TL04_TheirServerIsKilled) {
    NEEDS("openssl");
    const std::string own = file("own.pem", common_server().pem + common_server().key);
    reversing_server server(own, {});
    auto client = io::connect_tls(server.address(), common_client_context());
    client.send_all("seert\n");
    EXPECT_EQ(recv_text(client, 6), "trees\n");
    server.kill();
    EXPECT_THROW(recv_text(client), std::system_error);
}

TEST_F(IoTlsPeers, CurlFetches) {
    NEEDS("curl");
    const std::string body = pattern(100000).replace(0, 5, "begin");
    io::tls_server server("127.0.0.1:0", common_server_context({.alpn = {"http/1.1"}}), [&](io::tls_stream& client) {
        std::string request;
        while (request.find("\r\n\r\n") == std::string::npos) {
            const auto chunk = client.recv_pooled();
            if (!chunk) return;
            request += chunk.text();
        }
        client.send_all({"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n", body});
    });
    server.start();
    const std::string port = std::to_string(server.local_endpoint().port());
    const auto fetch = [&](const std::string& ca, const std::string& host, const std::string& most) {
        return io::run({"curl", "-sS", "--max-time", "20", "--noproxy", "*", "--cacert", ca, "--tls-max", most,
                        "--resolve", host + ":" + port + ":127.0.0.1", "https://" + host + ":" + port + "/"});
    };
    for (const char* most : {"1.2", "1.3"}) {
        const auto fetched = fetch(roots(), "localhost", most);
        EXPECT_EQ(fetched.status.code(), 0) << fetched.errors;
        EXPECT_TRUE(fetched.output == body) << "also that it ended as it should";
    }
    EXPECT_EQ(fetch(roots(), "other.example", "1.3").status.code(), 60);
    EXPECT_EQ(fetch(file("others.pem", authority("others").pem), "localhost", "1.3").status.code(), 60);
    EXPECT_TRUE(server.stop_for(10s));
    EXPECT_GE(server.stats().failed_handshakes, 1U) << "of the other name curl thinks after the handshake";
}

}  // namespace
