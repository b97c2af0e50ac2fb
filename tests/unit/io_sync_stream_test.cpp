// Our streams as Boost.Asio's SyncStream: Asio's and Beast's synchronous functions over them.

#include "io_leak_check.hpp"

#include <copse/io/sync_stream.hpp>

#include <boost/asio/read.hpp>
#include <boost/asio/read_until.hpp>
#include <boost/asio/write.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/core/role.hpp>
#include <boost/beast/core/stream_traits.hpp>
#include <boost/beast/http/read.hpp>
#include <boost/beast/http/string_body.hpp>
#include <boost/beast/http/write.hpp>

#include <array>
#include <list>
#include <string>
#include <vector>

using namespace std::chrono_literals;
using namespace copse_test;
namespace io = copse::io;
namespace asio = boost::asio;
namespace beast = boost::beast;

namespace {

static_assert(beast::is_sync_stream<io::socket>::value);
static_assert(beast::is_sync_stream<io::any_stream>::value);
static_assert(!beast::is_sync_stream<int>::value);

using IoSyncStream = io_leak_check;

TEST_F(IoSyncStream, ReadsAndWritesSeveralBuffers) {
    auto [a, b] = io::socketpair();
    const std::vector<asio::const_buffer> pieces = {asio::buffer("abc", 3), asio::const_buffer(),
                                                    asio::buffer("defg", 4)};
    EXPECT_EQ(a.write_some(pieces), 7U);
    std::array<char, 2> first{};
    std::array<char, 3> second{};
    const std::list<asio::mutable_buffer> room = {asio::mutable_buffer(), asio::buffer(first), asio::buffer(second)};
    EXPECT_EQ(b.read_some(room), 5U);
    EXPECT_EQ(std::string(first.data(), 2) + std::string(second.data(), 3), "abcde");
    io::any_stream any = std::ref(b);
    EXPECT_EQ(any.read_some(room), 2U) << "one buffer at a time is enough";
    EXPECT_EQ(any.write_some(pieces), 7U);
    EXPECT_EQ(a.read_some(asio::buffer(second)), 3U);
}

TEST_F(IoSyncStream, SendsTheFirstOfVeryManyBuffers) {
    auto [a, b] = io::socketpair();
    const std::string byte = "x";
    const std::vector<asio::const_buffer> many(100, asio::buffer(byte));
    EXPECT_EQ(a.write_some(many), 16U);
    EXPECT_EQ(asio::write(a, many), 100U);
    std::string all(116, '\0');
    EXPECT_EQ(asio::read(b, asio::buffer(all)), 116U);
}

TEST_F(IoSyncStream, BuffersWithoutBytesReturnAtOnce) {
    auto [a, b] = io::socketpair();
    boost::system::error_code error = asio::error::eof;
    EXPECT_EQ(a.read_some(asio::mutable_buffer(), error), 0U);
    EXPECT_FALSE(error);
    EXPECT_EQ(a.write_some(asio::const_buffer(), error), 0U);
    EXPECT_FALSE(error);
}

TEST_F(IoSyncStream, TheEndIsEof) {
    auto [a, b] = io::socketpair();
    b.close();
    std::array<char, 4> room;
    boost::system::error_code error;
    EXPECT_EQ(a.read_some(asio::buffer(room), error), 0U);
    EXPECT_EQ(error, asio::error::eof);
    EXPECT_THROW(a.read_some(asio::buffer(room)), boost::system::system_error);
    a.write_some(asio::buffer("x", 1), error);
    EXPECT_EQ(error, asio::error::broken_pipe);
    a.close();
    a.read_some(asio::buffer(room), error);
    EXPECT_EQ(error, asio::error::bad_descriptor);
    io::any_stream none;
    none.write_some(asio::buffer("x", 1), error);
    EXPECT_EQ(error, asio::error::bad_descriptor);
}

TEST_F(IoSyncStream, TimeOutsAreErrorsAndScopesAreThrown) {
    auto [a, b] = io::socketpair();
    std::array<char, 4> room;
    boost::system::error_code error;
    a.set_timeout(0s);
    EXPECT_EQ(a.read_some(asio::buffer(room), error), 0U);
    EXPECT_EQ(error, asio::error::would_block);
    a.set_timeout(1ms);
    a.read_some(asio::buffer(room), error);
    EXPECT_EQ(error, asio::error::timed_out);
    a.set_timeout(std::nullopt);
    {
        const copse::timeout limit(1ms);
        EXPECT_THROW(asio::read(a, asio::buffer(room), error), copse::timeout_expired);
    }
    auto reader = copse::spawn([&, &from = a] { asio::read(from, asio::buffer(room), error); });
    copse::yield();
    reader.kill();
    EXPECT_TRUE(reader.killed());
    b.send_all("ab");
    EXPECT_EQ(a.read_some(asio::buffer(room)), 2U) << "nothing was lost";
}

TEST_F(IoSyncStream, OtherErrorsKeepTheirCategoryAndText) {
    const auto error = io::boost_error({-2, io::name_category()});
    EXPECT_STREQ(error.category().name(), "copse.io.name");
    EXPECT_EQ(error.message(), io::name_category().message(-2));
    EXPECT_EQ(error, io::boost_error({-2, io::name_category()}));
    EXPECT_NE(error, io::boost_error({-2, std::generic_category()}));
    EXPECT_FALSE(io::boost_error({}));
}

TEST_F(IoSyncStream, BeastSpeaksHttpOverThem) {
    auto [a, b] = tcp_pair();
    beast::http::request<beast::http::string_body> asked(beast::http::verb::post, "/x", 11, "many small trees");
    asked.prepare_payload();
    auto server = copse::spawn([&, &end = b] {
        io::any_stream s = std::ref(end);
        beast::flat_buffer buffer;
        beast::http::request<beast::http::string_body> got;
        beast::http::read(s, buffer, got);
        beast::http::response<beast::http::string_body> answer(beast::http::status::ok, 11, got.body());
        answer.chunked(true);
        beast::http::write(s, answer);
    });
    beast::http::write(a, asked);
    beast::flat_buffer buffer;
    beast::http::response<beast::http::string_body> got;
    beast::http::read(a, buffer, got);
    EXPECT_EQ(got.body(), "many small trees");
    server.get();
}

TEST_F(IoSyncStream, ReadUntilParks) {
    auto [a, b] = io::socketpair();
    auto reader = copse::spawn([&, &from = a] {
        std::string line;
        asio::read_until(from, asio::dynamic_buffer(line), '\n');
        return line;
    });
    copse::yield();
    b.send_all("tre");
    copse::yield();
    b.send_all("es\n");
    EXPECT_EQ(reader.get(), "trees\n");
}

TEST_F(IoSyncStream, TeardownLetsTheLastBytesArrive) {
    auto [a, b] = tcp_pair();
    auto peer = copse::spawn([&, &end = b] {
        const std::string all = recv_to_end(end);
        end.close();
        return all;
    });
    a.send_all("last words");
    boost::system::error_code error;
    teardown(beast::role_type::server, a, error);
    EXPECT_FALSE(error);
    EXPECT_FALSE(a.is_open());
    EXPECT_EQ(peer.get(), "last words");
}

}  // namespace
