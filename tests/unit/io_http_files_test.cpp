// Files below a folder: what is served, and what is not, whatever is asked for.

#include "exceptions.hpp"
#include "io_leak_check.hpp"

#include <copse/io/http/files.hpp>
#include <copse/io/http/server.hpp>

#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <optional>
#include <string>
#include <thread>
#include <vector>

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

TEST_F(HttpFiles, WhatHasNotChangedIsNotSentAgain) {
    const std::string date = field_of(ask("/a.txt"), "Last-Modified");
    const std::string again = ask("/a.txt", "GET", "If-Modified-Since: " + date + "\r\n");
    EXPECT_EQ(status_of(again), 304);
    EXPECT_EQ(body_of(again), "");
    EXPECT_EQ(status_of(ask("/a.txt", "GET", "If-Modified-Since: Thu, 01 Jan 1970 00:00:00 GMT\r\n")), 200);
    EXPECT_EQ(status_of(ask("/a.txt", "GET", "If-None-Match: \"x\"\r\nIf-Modified-Since: " + date + "\r\n")), 200)
        << "the tag counts (RFC 9110, 13.1.3)";
}

TEST_F(HttpFiles, APartMayBeAskedFor) {
    const auto part = [&](const std::string& range, const char* name = "/a.txt") {
        return ask(name, "GET", "Range: " + range + "\r\n");
    };
    for (const auto& [range, body, where] :
         std::vector<std::array<const char*, 3>>{{"bytes=0-3", "many", "bytes 0-3/16"},
                                                 {"bytes=5-9", "small", "bytes 5-9/16"},
                                                 {"bytes=11-", "trees", "bytes 11-15/16"},
                                                 {"Bytes= 11-99 ", "trees", "bytes 11-15/16"},
                                                 {"bytes=-5", "trees", "bytes 11-15/16"},
                                                 {"bytes=11-99999999999999999999", "trees", "bytes 11-15/16"},
                                                 {"bytes=-99", "many small trees", "bytes 0-15/16"}}) {
        const std::string answer = part(range);
        EXPECT_EQ(status_of(answer), 206) << range;
        EXPECT_EQ(body_of(answer), body);
        EXPECT_EQ(field_of(answer, "Content-Range"), where);
    }
    for (const char* beyond : {"bytes=16-", "bytes=16-20", "bytes=-0", "bytes=99999999999999999999-"}) {
        EXPECT_EQ(status_of(part(beyond)), 416) << beyond;
        EXPECT_EQ(field_of(part(beyond), "Content-Range"), "bytes */16");
    }
    for (const char* none : {"bytes=3-2", "bytes=20-16", "bytes=0-1,4-5", "lines=1-2", "bytes=", "bytes=-", "bytes=a-b",
                             "bytes=+1-2", "0-3"}) {
        EXPECT_EQ(status_of(part(none)), 200) << none;
        EXPECT_EQ(body_of(part(none)), "many small trees");
    }
    EXPECT_EQ(status_of(part("bytes=0-0", "/empty")), 416);
    EXPECT_EQ(body_of(part("bytes=1000-250999", "/large.bin")), pattern(300'000).substr(1000, 250'000));
    EXPECT_EQ(status_of(ask("/a.txt", "HEAD", "Range: bytes=0-3\r\n")), 200);
}

TEST_F(HttpFiles, APartOfWhatHasChangedIsAllOfIt) {
    const std::string whole = ask("/a.txt");
    const auto part_if = [&](const std::string& what) {
        return status_of(ask("/a.txt", "GET", "Range: bytes=0-3\r\nIf-Range: " + what + "\r\n"));
    };
    EXPECT_EQ(part_if(field_of(whole, "ETag")), 206);
    EXPECT_EQ(part_if(field_of(whole, "Last-Modified")), 200) << "within a second a file may change twice";
    EXPECT_EQ(part_if("\"another\""), 200);
    EXPECT_EQ(part_if("W/" + field_of(whole, "ETag")), 200) << "a weak one does not say that the bytes are the same";
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

/// Forbids openat2 to this thread, as the filters of containers do: `error` is what it gets.
void forbid_openat2(int error) {
    std::array<sock_filter, 4> filter = {{
        {BPF_LD | BPF_W | BPF_ABS, 0, 0, offsetof(seccomp_data, nr)},
        {BPF_JMP | BPF_JEQ | BPF_K, 0, 1, SYS_openat2},
        {BPF_RET | BPF_K, 0, 0, SECCOMP_RET_ERRNO | static_cast<std::uint32_t>(error)},
        {BPF_RET | BPF_K, 0, 0, SECCOMP_RET_ALLOW},
    }};
    const sock_fprog program{.len = filter.size(), .filter = filter.data()};
    ASSERT_EQ(::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
    ASSERT_EQ(::prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program), 0);
}

TEST_F(HttpFiles, Fault_HT12_WhereNamesCannotBeKeptBeneathNothingBegins) {
    for (const int error : {EPERM, ENOSYS}) {
        std::string told;
        std::thread([&] {
            forbid_openat2(error);
            told = text_of([&] { http::files((base_ / "www").string()); });
        }).join();
        EXPECT_NE(told.find("openat2: " + std::generic_category().message(error)), std::string::npos) << told;
    }
}

// It may be there: 404 would be believed, and kept. Of this thread alone, so that the sanitizers have what they need.
TEST_F(HttpFiles, Fault_FD09_WithoutADescriptorAFileIsNotMissing) {
    std::string answer;
    std::size_t failures = 0;
    std::thread([&] {
        forbid_openat2(EMFILE);
        const error_recorder told;
        http::server starved("127.0.0.1:0", [&](http::exchange& x) { pages_->serve(x); });
        starved.start();
        io::socket c = io::connect(starved.local_endpoint());
        c.send_all("GET /a.txt HTTP/1.1\r\nHost: x\r\n\r\n");
        answer = recv_to_end(c);
        c.close();
        EXPECT_TRUE(starved.stop_for(10s));
        failures = told.count();
    }).join();
    EXPECT_EQ(status_of(answer), 500);
    EXPECT_EQ(failures, 1U);
}

// The kernel says EAGAIN until the holder gives it up, for up to 45 s: nobody waits for that with the thread in hand.
TEST_F(HttpFiles, ALeaseStopsNobody) {
    error_recorder told;
    const io::descriptor held(::open((base_ / "www/a.txt").c_str(), O_RDWR | O_CLOEXEC));
    ASSERT_EQ(::fcntl(held.get(), F_SETSIG, SIGURG), 0);
    if (::fcntl(held.get(), F_SETLEASE, F_WRLCK) != 0) GTEST_SKIP() << "no leases in this file system";
    EXPECT_EQ(status_of(ask("/a.txt")), 500);
    ASSERT_EQ(::fcntl(held.get(), F_SETLEASE, F_UNLCK), 0);
    EXPECT_EQ(status_of(ask("/a.txt")), 200);
    EXPECT_EQ(told.count(), 1U);
}

TEST_F(HttpFiles, TheFolderMustBeOne) {
    EXPECT_EQ(error_of([] { http::files("/nowhere/at/all"); }), std::errc::no_such_file_or_directory);
    EXPECT_EQ(error_of([&] { http::files((base_ / "secret.txt").string()); }), std::errc::not_a_directory);
    EXPECT_NE(text_of([] { http::files("/nowhere/at/all"); }).find("/nowhere/at/all"), std::string::npos);
}

}  // namespace
