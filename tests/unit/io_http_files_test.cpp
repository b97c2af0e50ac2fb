// Files below a folder: what is served, and what is not, whatever is asked for.

#include "exceptions.hpp"
#include "io_leak_check.hpp"

#include <copse/io/http/files.hpp>
#include <copse/io/http/server.hpp>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <optional>
#include <string>

using namespace std::chrono_literals;
using namespace copse_test;
namespace io = copse::io;
namespace http = copse::io::http;
namespace fs = std::filesystem;

namespace {

class HttpFiles : public io_leak_check {
protected:
    void SetUp() override {
        std::string name = (fs::temp_directory_path() / "copse-files-XXXXXX").string();
        ASSERT_NE(::mkdtemp(name.data()), nullptr);
        base_ = name;
        fs::create_directories(base_ / "www/sub/deep");
        write("secret.txt", "secret");
        write("www/a.txt", "many small trees");
        write("www/with space & more.html", "<p>");
        write("www/large.bin", pattern(300'000));
        write("www/empty", "");
        write("www/sub/index.html", "index");
        write("www/.hidden", "hidden");
        fs::create_symlink("a.txt", base_ / "www/inside");
        fs::create_symlink("../secret.txt", base_ / "www/outside");
        fs::create_symlink(base_ / "secret.txt", base_ / "www/absolute");
        fs::create_directory_symlink("..", base_ / "www/up");
        ASSERT_EQ(::mkfifo((base_ / "www/fifo").c_str(), 0600), 0);
        pages_.emplace((base_ / "www").string());
        server_.emplace(
            "127.0.0.1:0", [&](http::exchange& x) { pages_->serve(x); }, http::server_options{.date = false});
        server_->start();
    }
    void TearDown() override {
        EXPECT_TRUE(server_->stop_for(10s));
        server_.reset();
        pages_.reset();
        fs::remove_all(base_);
        io_leak_check::TearDown();
    }

    void write(const char* name, const std::string& text) { std::ofstream(base_ / name, std::ios::binary) << text; }

    std::string ask(const std::string& target, const std::string& method = "GET", const std::string& fields = {}) {
        io::socket c = io::connect(server_->local_endpoint());
        c.send_all(method + " " + target + " HTTP/1.1\r\nHost: x\r\n" + fields + "\r\n");
        c.shutdown(io::shut::write);
        return recv_to_end(c);
    }
    static int status_of(const std::string& answer) { return std::stoi(answer.substr(9, 3)); }
    static std::string body_of(const std::string& answer) { return answer.substr(answer.find("\r\n\r\n") + 4); }
    static std::string field_of(const std::string& answer, const std::string& name) {
        const std::size_t at = answer.find("\r\n" + name + ": ");
        if (at == std::string::npos) return "none";
        const std::size_t begin = at + name.size() + 4;
        return answer.substr(begin, answer.find("\r\n", begin) - begin);
    }

    fs::path base_;
    std::optional<http::files> pages_;
    std::optional<http::server> server_;
};

TEST_F(HttpFiles, AreServed) {
    const std::string answer = ask("/a.txt");
    EXPECT_EQ(status_of(answer), 200);
    EXPECT_EQ(body_of(answer), "many small trees");
    EXPECT_EQ(field_of(answer, "Content-Type"), "text/plain; charset=utf-8");
    EXPECT_EQ(field_of(answer, "Content-Length"), "16");
    EXPECT_EQ(body_of(ask("/with%20space%20%26%20more.html?query")), "<p>");
    EXPECT_EQ(body_of(ask("/large.bin")), pattern(300'000));
    EXPECT_EQ(field_of(ask("/empty"), "Content-Length"), "0");
    EXPECT_EQ(body_of(ask("/inside")), "many small trees") << "links may lead to what is beneath";
    EXPECT_EQ(body_of(ask("/sub/")), "index");
    EXPECT_EQ(status_of(ask("/")), 404);
    EXPECT_EQ(status_of(ask("/sub")), 301);
    EXPECT_EQ(field_of(ask("/sub"), "Location"), "/sub/");
}

TEST_F(HttpFiles, HeadTellsWhatGetWould) {
    for (const char* name : {"/a.txt", "/large.bin"}) {
        const std::string head = ask(name, "HEAD");
        EXPECT_EQ(head, ask(name).substr(0, head.size())) << name;
        EXPECT_EQ(body_of(head), "");
    }
    EXPECT_EQ(status_of(ask("/a.txt", "PUT")), 405);
    EXPECT_EQ(field_of(ask("/a.txt", "DELETE"), "Allow"), "GET, HEAD");
}

TEST_F(HttpFiles, WhatTheClientHasIsNotSentAgain) {
    const std::string tag = field_of(ask("/a.txt"), "ETag");
    const std::string again = ask("/a.txt", "GET", "If-None-Match: \"x\", " + tag + "\r\n");
    EXPECT_EQ(status_of(again), 304);
    EXPECT_EQ(body_of(again), "");
    EXPECT_EQ(status_of(ask("/a.txt", "GET", "If-None-Match: *\r\n")), 304);
    write("a.txt", "x");
    write("www/a.txt", "changed");
    EXPECT_EQ(body_of(ask("/a.txt", "GET", "If-None-Match: " + tag + "\r\n")), "changed");
}

// HT12.
TEST_F(HttpFiles, Fault_HT12_NothingOutsideIsServed) {
    for (const char* target : {"/../secret.txt",
                               "/%2e%2e/secret.txt",
                               "/%2E./secret.txt",
                               "/..%2fsecret.txt",
                               "/%2e%2e%2fsecret.txt",
                               "/sub/../../secret.txt",
                               "/sub/..",
                               "/.",
                               "/./a.txt",
                               "/a.txt%00.html",
                               "/%00",
                               "//a.txt",
                               "/sub//index.html",
                               "//etc/passwd",
                               "/\\..\\secret.txt",
                               "/..\\secret.txt",
                               "/%5c..%5csecret.txt",
                               "/outside",
                               "/absolute",
                               "/up/secret.txt",
                               "/up/www/a.txt",
                               "/fifo",
                               "/.hidden",
                               "/%2ehidden",
                               "/a.txt/",
                               "/a.txt/x",
                               "/nothing",
                               "/a%",
                               "/a%2",
                               "/a%zz",
                               "/a.txt%2f",
                               "*/a.txt"}) {
        const std::string answer = ask(target);
        EXPECT_TRUE(status_of(answer) == 404 || status_of(answer) == 400) << target << '\n' << answer;
        EXPECT_EQ(answer.find("secret\n"), std::string::npos) << target;
    }
    EXPECT_EQ(status_of(ask("/" + std::string(5000, 'a'))), 404);
    EXPECT_EQ(status_of(ask("http://x/../secret.txt")), 404);
}

TEST_F(HttpFiles, Fault_HT12_WhatMayNotBeReadIsNotThere) {
    if (::geteuid() == 0) GTEST_SKIP() << "root may read everything";
    fs::permissions(base_ / "www/a.txt", fs::perms::none);
    EXPECT_EQ(status_of(ask("/a.txt")), 404);
}

TEST_F(HttpFiles, AFileThatIsCutMeanwhileCutsTheAnswer) {
    error_recorder told;
    std::optional<http::server> other;
    other.emplace("127.0.0.1:0", [&](http::exchange& x) {
        std::ifstream file(base_ / "www/a.txt");
        const io::descriptor fd(::open((base_ / "www/a.txt").c_str(), O_RDONLY | O_CLOEXEC));
        x.start({}, 100);
        x.write_file(fd.get(), 5, 100);
    });
    other->start();
    io::socket c = io::connect(other->local_endpoint());
    c.send_all("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
    EXPECT_EQ(body_of(recv_to_end(c)), "small trees");
    EXPECT_TRUE(other->stop_for(1s));
    EXPECT_EQ(told.count(), 1U);
}

TEST_F(HttpFiles, FilesMayBePartsOfAnAnswer) {
    std::optional<http::server> other;
    other.emplace(
        "127.0.0.1:0",
        [&](http::exchange& x) {
            const io::descriptor fd(::open((base_ / "www/a.txt").c_str(), O_RDONLY | O_CLOEXEC));
            x.start({});
            x.write("<");
            x.write_file(fd.get(), 5, 5);
            x.write(">");
        },
        http::server_options{.date = false});
    other->start();
    io::socket c = io::connect(other->local_endpoint());
    c.send_all("GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    EXPECT_EQ(body_of(recv_to_end(c)), "1\r\n<\r\n5\r\nsmall\r\n1\r\n>\r\n0\r\n\r\n");
    EXPECT_TRUE(other->stop_for(1s));
}

TEST_F(HttpFiles, TheFolderMustBeOne) {
    EXPECT_EQ(error_of([] { http::files("/nowhere/at/all"); }), std::errc::no_such_file_or_directory);
    EXPECT_EQ(error_of([&] { http::files((base_ / "secret.txt").string()); }), std::errc::not_a_directory);
    EXPECT_NE(text_of([] { http::files("/nowhere/at/all"); }).find("/nowhere/at/all"), std::string::npos);
}

}  // namespace
