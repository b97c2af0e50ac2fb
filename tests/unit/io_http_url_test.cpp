// URLs: what is read, what is refused, what a reference means.

#include <copse/io/http/url.hpp>

#include <gtest/gtest.h>

#include <sstream>
#include <string>
#include <utility>
#include <vector>

namespace http = copse::io::http;

namespace {

std::string why(std::string_view text) {
    try {
        http::url::parse(text);
    } catch (const http::bad_url& e) {
        return e.what();
    }
    return "it is one";
}

TEST(IoHttpUrl, HasItsParts) {
    const auto u = http::url::parse("HTTP://user:pa%20ss@Example.ORG:8080/a/b;c?q=1&r=/?#frag");
    EXPECT_EQ(u.scheme(), "http");
    EXPECT_EQ(u.userinfo(), "user:pa%20ss");
    EXPECT_EQ(u.host(), "example.org");
    EXPECT_EQ(u.port(), 8080);
    EXPECT_EQ(u.path(), "/a/b;c");
    EXPECT_EQ(u.query(), "q=1&r=/?");
    EXPECT_EQ(u.fragment(), "frag");
    EXPECT_EQ(u.target(), "/a/b;c?q=1&r=/?");
    EXPECT_EQ(u.authority(), "example.org:8080");
    EXPECT_EQ(u.origin(), "http://example.org:8080");
    EXPECT_EQ(u.to_string(), "http://user:pa%20ss@example.org:8080/a/b;c?q=1&r=/?#frag");
    EXPECT_EQ(u.printable(), "http://example.org:8080/a/b;c?q=1&r=/?") << "no password in a log";
    std::ostringstream log;
    log << u;
    EXPECT_EQ(log.str(), u.printable());
}

TEST(IoHttpUrl, WhatIsLeftOutHasAMeaning) {
    const auto u = http::url::parse("https://example.org");
    EXPECT_EQ(u.port(), 443);
    EXPECT_EQ(u.path(), "/");
    EXPECT_EQ(u.query(), std::nullopt);
    EXPECT_EQ(u.fragment(), std::nullopt);
    EXPECT_EQ(u.userinfo(), std::nullopt);
    EXPECT_EQ(u.authority(), "example.org");
    EXPECT_EQ(u.host_and_port(), "example.org:443");
    EXPECT_EQ(http::url::parse("ws://a").port(), 80);
    EXPECT_EQ(http::url::parse("wss://a").port(), 443);
    EXPECT_EQ(http::url::parse("http://a:").port(), 80);
    EXPECT_EQ(http::url::parse("http://a?").query(), "") << "an empty query is one";
    EXPECT_EQ(http::url::parse("http://a?b").target(), "/?b");
    EXPECT_EQ(http::url::parse("http://a:80/"), http::url::parse("http://A"));
}

TEST(IoHttpUrl, Addresses) {
    const auto six = http::url::parse("http://[2001:DB8::1]:8000/");
    EXPECT_EQ(six.host(), "2001:db8::1");
    EXPECT_EQ(six.authority(), "[2001:db8::1]:8000");
    EXPECT_EQ(six.host_and_port(), "[2001:db8::1]:8000");
    EXPECT_EQ(http::url::parse("http://[::1]").authority(), "[::1]");
    EXPECT_EQ(http::url::parse("http://127.0.0.1/").host(), "127.0.0.1");
    EXPECT_EQ(http::url::parse("http://example.org./").host(), "example.org.");
    EXPECT_EQ(http::url::parse("http://my_host-1").host(), "my_host-1");
}

TEST(IoHttpUrl, DotsAreTakenOut) {
    for (const auto& [given, path] : std::vector<std::pair<std::string, std::string>>{{"/a/../b", "/b"},
                                                                                      {"/a/./b/", "/a/b/"},
                                                                                      {"/..", "/"},
                                                                                      {"/../../a", "/a"},
                                                                                      {"/a/..", "/"},
                                                                                      {"/a/.", "/a/"},
                                                                                      {"//a//b", "//a//b"},
                                                                                      {"/a/...", "/a/..."},
                                                                                      {"/%2e%2e/a", "/%2e%2e/a"}}) {
        EXPECT_EQ(http::url::parse("http://h" + given).path(), path) << given;
    }
}

// HT11: nothing that becomes a request line may hold a line of its own.
TEST(IoHttpUrl, Fault_HT11_RefusesWhatIsNone) {
    for (const std::string_view bad : {"",
                                       "http",
                                       "http:",
                                       "http:/a",
                                       "http://",
                                       "http:///a",
                                       "//host/a",
                                       "/a",
                                       "host:80",
                                       "1http://a",
                                       "ht tp://a",
                                       "http://a b/",
                                       "http://a/\r\nX: y",
                                       "http://a/\n",
                                       "http://a/ b",
                                       "http://a/\tb",
                                       "http://a/b\x7f",
                                       "http://\xc3\xa4/",
                                       "http://a/\xc3\xa4",
                                       "http://a/%",
                                       "http://a/%1",
                                       "http://a/%zz",
                                       "http://a/%0",
                                       "http://a/<",
                                       "http://a/\"",
                                       "http://a/\\b",
                                       "http://a\\b/",
                                       "http://a/^",
                                       "http://a:b/",
                                       "http://a:-1/",
                                       "http://a:0/",
                                       "http://a:65536/",
                                       "http://a:80:80/",
                                       "http://a:+80/",
                                       "http://a:8 0/",
                                       "http://[::1",
                                       "http://::1/",
                                       "http://[::1]x/",
                                       "http://[127.0.0.1]/",
                                       "http://[::1%25lo]/",
                                       "http://[]/",
                                       "http://[::g]/",
                                       "http://a..b/",
                                       "http://.a/",
                                       "http://./",
                                       "http://a%41/",
                                       "http://us er@a/",
                                       "http://u@v@a/",
                                       "http://127.1/",
                                       "http://2130706433/",
                                       "http://0x7f000001/",
                                       "http://0x7f.1/",
                                       "http://0177.0.0.1/",
                                       "http://1.2.3.256/",
                                       "http://1.2.3.4.5/",
                                       "http://a.1/",
                                       "http://*/",
                                       "unknown://a/",
                                       "http://?a",
                                       "http://#a"}) {
        EXPECT_NE(why(bad), "it is one") << bad;
    }
    EXPECT_NE(why(std::string("http://a/\0b", 11)), "it is one");
    EXPECT_NE(why("http://" + std::string(64, 'a') + "/"), "it is one");
    EXPECT_NE(why("http://" + std::string(300, 'a') + "/"), "it is one");
}

TEST(IoHttpUrl, SaysWhatIsWrongAndNoPassword) {
    EXPECT_EQ(why("ftp://a/"), "not a URL: \"ftp://a/\": the scheme ftp is none of http, https, ws and wss, and of "
                               "others the port has to be given");
    EXPECT_EQ(why("http://user:secret@a:x/"), "not a URL: \"http://…@a:x/\": the port is not a number from 1 to 65535");
    EXPECT_EQ(why("http://a/\n"),
              "not a URL: \"http://a/\\x0A\": a space, control character or byte over 126 must be percent-encoded");
}

// RFC 3986, 5.4.
TEST(IoHttpUrl, References) {
    const auto base = http::url::parse("http://a/b/c/d;p?q");
    for (const auto& [reference, meaning] :
         std::vector<std::pair<std::string, std::string>>{{"g", "http://a/b/c/g"},
                                                          {"./g", "http://a/b/c/g"},
                                                          {"g/", "http://a/b/c/g/"},
                                                          {"/g", "http://a/g"},
                                                          {"//g", "http://g/"},
                                                          {"?y", "http://a/b/c/d;p?y"},
                                                          {"g?y", "http://a/b/c/g?y"},
                                                          {"#s", "http://a/b/c/d;p?q#s"},
                                                          {"g#s", "http://a/b/c/g#s"},
                                                          {";x", "http://a/b/c/;x"},
                                                          {"", "http://a/b/c/d;p?q"},
                                                          {".", "http://a/b/c/"},
                                                          {"..", "http://a/b/"},
                                                          {"../g", "http://a/b/g"},
                                                          {"../..", "http://a/"},
                                                          {"../../../g", "http://a/g"},
                                                          {"g;x=1/../y", "http://a/b/c/y"},
                                                          {"g?y/../x", "http://a/b/c/g?y/../x"},
                                                          {"https://h:1/x", "https://h:1/x"},
                                                          {"g?u=http://x", "http://a/b/c/g?u=http://x"},
                                                          {"/g:h", "http://a/g:h"}}) {
        EXPECT_EQ(base.resolve(reference).to_string(), meaning) << reference;
    }
    EXPECT_THROW(base.resolve("/a\r\nb"), http::bad_url);
    EXPECT_THROW(base.resolve("javascript:alert(1)"), http::bad_url);
    EXPECT_EQ(http::url::parse("http://[::1]:5/a").resolve("b").to_string(), "http://[::1]:5/b");
}

TEST(IoHttpUrl, Percent) {
    EXPECT_EQ(http::percent_encode("a b/ä~"), "a%20b%2F%C3%A4~");
    EXPECT_EQ(http::percent_decode("a%20b%2f+"), "a b/+");
    EXPECT_THROW(http::percent_decode("%"), std::invalid_argument);
    EXPECT_THROW(http::percent_decode("%4"), std::invalid_argument);
    EXPECT_THROW(http::percent_decode("%4g"), std::invalid_argument);
    std::string all;
    for (int c = 0; c < 256; ++c) all += static_cast<char>(c);
    EXPECT_EQ(http::percent_decode(http::percent_encode(all)), all);
}

}  // namespace
