// Header fields, methods, targets: what may be inserted, what is found again.

#include <copse/io/http/message.hpp>

#include <gtest/gtest.h>

#include <stdexcept>
#include <string>
#include <vector>

namespace http = copse::io::http;

namespace {

TEST(HttpFields, KeepTheirOrderAndTheirLetters) {
    http::fields all{{"Content-Type", "text/plain"}, {"Set-Cookie", "a=1"}};
    all.add("set-cookie", "b=2");
    EXPECT_EQ(all.size(), 3U);
    EXPECT_EQ(all.lines(), "Content-Type: text/plain\r\nSet-Cookie: a=1\r\nset-cookie: b=2\r\n");
    std::string seen;
    for (const http::field f : all) seen += std::string(f.name) + "=" + std::string(f.value) + ";";
    EXPECT_EQ(seen, "Content-Type=text/plain;Set-Cookie=a=1;set-cookie=b=2;");
}

TEST(HttpFields, AreFoundInEitherCase) {
    const http::fields all{{"Host", "a"}, {"Via", "x"}, {"VIA", "y"}};
    EXPECT_EQ(all.find("hOST"), "a");
    EXPECT_EQ(all.get("via"), "x");
    EXPECT_EQ(all.get("none", "otherwise"), "otherwise");
    EXPECT_EQ(all.find("Hos"), std::nullopt);
    EXPECT_EQ(all.all("Via"), (std::vector<std::string_view>{"x", "y"}));
    EXPECT_EQ(all.count("via"), 2U);
    EXPECT_TRUE(all.contains("VIA"));
    EXPECT_FALSE(all.contains(""));
}

TEST(HttpFields, SetReplacesAllInThePlaceOfTheFirst) {
    http::fields all{{"A", "1"}, {"B", "2"}, {"a", "3"}};
    all.set("a", "4");
    EXPECT_EQ(all.lines(), "a: 4\r\nB: 2\r\n");
    all.set("C", "5");
    EXPECT_EQ(all.lines(), "a: 4\r\nB: 2\r\nC: 5\r\n");
    EXPECT_EQ(all.size(), 3U);
    EXPECT_EQ(all.erase("b"), 1U);
    EXPECT_EQ(all.erase("b"), 0U);
    EXPECT_EQ(all.lines(), "a: 4\r\nC: 5\r\n");
    all.clear();
    EXPECT_TRUE(all.empty());
    EXPECT_TRUE(all.begin() == all.end());
}

TEST(HttpFields, MayBeGivenViewsOfThemselves) {
    http::fields all{{"Name", std::string(40, 'v')}};
    for (int i = 0; i < 20; ++i) all.add((*all.begin()).name, (*all.begin()).value);
    EXPECT_EQ(all.count("name"), 21U);
    for (const http::field f : all) EXPECT_EQ(f.value, std::string(40, 'v'));
    all.set((*all.begin()).name, (*all.begin()).value);
    EXPECT_EQ(all.size(), 1U);
    EXPECT_EQ(all.erase((*all.begin()).name), 1U);
}

TEST(HttpFields, ListsHaveWords) {
    const http::fields all{{"Connection", "keep-alive , Upgrade"}, {"connection", "x"}};
    EXPECT_TRUE(all.has_word("Connection", "upgrade"));
    EXPECT_TRUE(all.has_word("Connection", "KEEP-ALIVE"));
    EXPECT_TRUE(all.has_word("Connection", "x"));
    EXPECT_FALSE(all.has_word("Connection", "keep"));
    EXPECT_FALSE(http::fields().has_word("Connection", "close"));
}

TEST(HttpFields, BlanksAroundAValueAreDropped) {
    EXPECT_EQ(http::fields({{"A", " \tb c\t "}}).lines(), "A: b c\r\n");
    EXPECT_EQ(http::fields({{"A", "  "}}).lines(), "A: \r\n");
    EXPECT_EQ(http::fields({{"A", ""}}).get("a", "x"), "");
    EXPECT_EQ(http::fields({{"A", "gr\xc3\xbc\xc3\x9f"}}).get("a"), "gr\xc3\xbc\xc3\x9f");
}

// HT11.
TEST(HttpFields, Fault_HT11_NothingCanAddALineOfItsOwn) {
    http::fields all{{"A", "1"}};
    for (const std::string value : {"x\r\nSet-Cookie: y", "x\ny", "x\ry", "\r\n", "x\x7f", "\x01"}) {
        EXPECT_THROW(all.add("B", value), std::invalid_argument) << value;
        EXPECT_THROW(all.set("A", value), std::invalid_argument) << value;
    }
    EXPECT_THROW(all.add("B", std::string_view("x\0y", 3)), std::invalid_argument);
    for (const std::string name : {"", "B C", "B:", "B\r\nC", "B\n", "\xc3\xbc", "(B)", "B\t"}) {
        EXPECT_THROW(all.add(name, "x"), std::invalid_argument) << name;
        EXPECT_THROW(all.set(name, "x"), std::invalid_argument) << name;
    }
    EXPECT_EQ(all.lines(), "A: 1\r\n");
    EXPECT_THROW(http::redirect("/a\r\nSet-Cookie: b=1"), std::invalid_argument);
    try {
        all.add("Bad Name", "x");
    } catch (const std::invalid_argument& e) {
        EXPECT_NE(std::string(e.what()).find("Bad Name"), std::string::npos) << e.what();
    }
}

TEST(HttpFields, Fault_HT11_TargetsAndMethodsAreChecked) {
    for (const char* bad : {"", "/a b", "/a\r\nX: y", "/\t", "/\xc3\xbc", "/\x7f"})
        EXPECT_THROW(http::check_target(bad), std::invalid_argument) << bad;
    EXPECT_NO_THROW(http::check_target("/a%20b?c=d#e"));
    for (const char* bad : {"", "GET ", "G\r\nT", "\xc3"})
        EXPECT_THROW(http::method{bad}, std::invalid_argument) << bad;
}

TEST(HttpFields, MethodsKeepTheirText) {
    const http::method purge("PURGE");
    EXPECT_EQ(purge.text(), "PURGE");
    EXPECT_TRUE(purge == "PURGE");
    EXPECT_FALSE(purge == "purge");
    EXPECT_FALSE(purge.is_idempotent());
    EXPECT_TRUE(http::method().is_safe());
    EXPECT_TRUE(http::method("PUT").is_idempotent());
    EXPECT_FALSE(http::method("PUT").is_safe());
    EXPECT_FALSE(http::method("POST").is_idempotent());
}

TEST(HttpFields, TargetsHaveAPathAndAQuery) {
    http::request r{.target = "/a/b?c=d?e"};
    EXPECT_EQ(r.path(), "/a/b");
    EXPECT_EQ(r.query(), "c=d?e");
    r.target = "http://host:80/x?y";
    EXPECT_EQ(r.path(), "/x");
    EXPECT_EQ(r.query(), "y");
    r.target = "http://host";
    EXPECT_EQ(r.path(), "/");
    EXPECT_EQ(r.query(), "");
    r.target = "http://host?q";
    EXPECT_EQ(r.path(), "/");
    r.target = "*";
    EXPECT_EQ(r.path(), "*");
}

TEST(HttpFields, ErrorsHaveAStatus) {
    const http::error e(http::errc::body_too_large);
    EXPECT_EQ(e.code(), http::errc::body_too_large);
    EXPECT_EQ(http::status_of(http::errc::body_too_large), 413);
    EXPECT_EQ(http::status_of(http::errc::bad_framing), 400);
    EXPECT_STREQ(e.what(), "the body is too large");
    EXPECT_EQ(http::reason_phrase(404), "Not Found");
    EXPECT_EQ(http::reason_phrase(799), "Unknown");
    EXPECT_FALSE(http::has_body(200, "HEAD"));
    EXPECT_FALSE(http::has_body(204, "GET"));
    EXPECT_TRUE(http::has_body(404, "GET"));
}

}  // namespace
