// Datagrams that are cut, empty, too long, for nobody; names that are taken: NT15, NT16, NT19.

#include "exceptions.hpp"
#include "io_leak_check.hpp"

#include <sys/socket.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <string>

using namespace std::chrono_literals;
using namespace copse_test;
namespace io = copse::io;

namespace {

class IoDatagramFault : public io_leak_check {
protected:
    std::array<std::byte, 4096> buffer{};
    const std::string path = std::filesystem::temp_directory_path() / ("copse-name-" + std::to_string(::getpid()));
    const std::string name = "unix:" + path;

    ~IoDatagramFault() override { std::filesystem::remove(path); }
};

TEST_F(IoDatagramFault, Fault_NT15_TruncationIsTold) {
    auto server = io::bind_datagram("127.0.0.1:0");
    auto client = io::connect_datagram(server.local_endpoint());
    client.send("many small trees");
    const io::datagram d = server.recv_from(std::span(buffer).first(4));
    EXPECT_TRUE(d.truncated);
    EXPECT_EQ(d.size, 4U);
    EXPECT_EQ(d.full_size, 16U);
    EXPECT_EQ(static_cast<char>(buffer[3]), 'y');
    EXPECT_EQ(static_cast<char>(buffer[4]), '\0') << "nothing beyond";
    client.send("four");
    EXPECT_FALSE(server.recv_from(std::span(buffer).first(4)).truncated) << "just enough is enough";
    client.send("x");
    const io::datagram none = server.recv_from({});
    EXPECT_TRUE(none.truncated);
    EXPECT_EQ(none.full_size, 1U);
    EXPECT_EQ(none.from, client.local_endpoint());
    client.send("");
    EXPECT_FALSE(server.recv_from({}).truncated);
}

TEST_F(IoDatagramFault, Fault_NT16_NobodyThereIsToldOnceAndTheSocketGoesOn) {
    auto server = io::bind_datagram("127.0.0.1:0");
    const io::endpoint where = server.local_endpoint();
    auto client = io::connect_datagram(where);
    server.close();
    client.send("anybody?");
    const std::string text = text_of([&] { client.recv_from(buffer); });
    EXPECT_NE(text.find("recv_from on fd " + std::to_string(client.native_handle()) + " from " + to_string(where) +
                        ": Connection refused"),
              std::string::npos)
        << text;
    EXPECT_THROW(client.recv_from_for(buffer, 1ms), io::timed_out) << "told once";
    client.send("anybody?");
    EXPECT_EQ(error_of([&] { client.send("still nobody?"); }), std::errc::connection_refused);

    auto next = io::bind_datagram(where);
    client.send("now?");
    EXPECT_EQ(next.recv_from(buffer).size, 4U);
    next.send_to("yes", client.local_endpoint());
    EXPECT_EQ(client.recv_from(buffer).size, 3U);
}

TEST_F(IoDatagramFault, Fault_NT16_RefusalWakesTheReceiver) {
    auto server = io::bind_datagram("127.0.0.1:0");
    auto client = io::connect_datagram(server.local_endpoint());
    server.close();
    auto reader = copse::spawn([&] { return error_of([&] { client.recv_from(buffer); }); });
    copse::yield();
    client.send("anybody?");
    EXPECT_EQ(reader.get(), std::errc::connection_refused);
    EXPECT_EQ(copse::hub::current().stats().watching, 0U);
}

TEST_F(IoDatagramFault, Fault_NT16_TheLongestAndLonger) {
    auto server = io::bind_datagram("127.0.0.1:0");
    auto client = io::bind_datagram("127.0.0.1:0");
    const std::string longest = pattern(65'507);
    EXPECT_EQ(client.send_to(longest, server.local_endpoint()), longest.size());
    std::string got(70'000, '\0');
    const io::datagram d = server.recv_from(std::as_writable_bytes(std::span(got)));
    got.resize(d.size);
    EXPECT_TRUE(got == longest);
    EXPECT_FALSE(d.truncated);
    const std::string text = text_of([&] { client.send_to(longest + "x", server.local_endpoint()); });
    EXPECT_NE(text.find("send_to on fd " + std::to_string(client.native_handle()) + " to " +
                        to_string(server.local_endpoint()) + ": Message too long"),
              std::string::npos)
        << text;
    EXPECT_EQ(error_of([&] { client.try_send_to(longest + "x", server.local_endpoint()); }), std::errc::message_size);
}

TEST_F(IoDatagramFault, Fault_NT16_SendingNowhereIsRefused) {
    auto client = io::bind_datagram("127.0.0.1:0");
    EXPECT_EQ(error_of([&] { client.send("x"); }), std::errc::destination_address_required);
    EXPECT_EQ(error_of([&] { client.send_to("x", {}); }), std::errc::destination_address_required);
    EXPECT_EQ(error_of([&] { client.accept(); }), std::errc::invalid_argument);
    EXPECT_EQ(error_of([&] { client.peer_endpoint(); }), std::errc::not_connected);
}

// ---- NT19: names

TEST_F(IoDatagramFault, Fault_NT19_ALongPathIsRefusedByName) {
    const std::string text = text_of([] { io::bind_datagram("unix:/" + std::string(107, 'x')); });
    EXPECT_NE(text.find("longer than 107 bytes"), std::string::npos) << text;
}

TEST_F(IoDatagramFault, Fault_NT19_StaleNameOfADatagramSocket) {
    io::bind_datagram(name).close();
    ASSERT_TRUE(std::filesystem::exists(path));
    const std::string text = text_of([&] { io::bind_datagram(name); });
    EXPECT_NE(text.find("to " + name + ", left there by a socket that is gone"), std::string::npos) << text;
    EXPECT_NE(text.find("Address already in use"), std::string::npos) << text;
    auto server = io::bind_datagram(name, {.replace_stale = true});
    auto client = io::connect_datagram(name);
    client.send("abc");
    EXPECT_EQ(server.recv(buffer), 3U);
    EXPECT_EQ(error_of([&] { io::bind_datagram(name, {.replace_stale = true}); }), std::errc::address_in_use)
        << "that one lives";
    client.send("def");
    EXPECT_EQ(server.recv(buffer), 3U) << "undisturbed";
}

TEST_F(IoDatagramFault, Fault_NT19_StaleNameOfAListener) {
    io::listen(name).close();
    EXPECT_EQ(error_of([&] { io::listen(name); }), std::errc::address_in_use);
    auto listener = io::listen(name, {.replace_stale = true});
    auto client = io::connect(name);
    client.send_all("abc");
    io::socket served = listener.accept();
    EXPECT_EQ(served.recv(buffer), 3U);
    EXPECT_EQ(error_of([&] { io::listen(name, {.replace_stale = true}); }), std::errc::address_in_use);
    EXPECT_EQ(error_of([&] { io::bind_datagram(name, {.replace_stale = true}); }), std::errc::address_in_use)
        << "of another kind, but it lives";
}

TEST_F(IoDatagramFault, Fault_NT19_AFileThatIsNoSocketIsNeverRemoved) {
    std::ofstream(path) << "precious";
    EXPECT_EQ(error_of([&] { io::listen(name, {.replace_stale = true}); }), std::errc::address_in_use);
    EXPECT_EQ(std::filesystem::file_size(path), 8U);
}

TEST_F(IoDatagramFault, Fault_NT19_NobodyBehindTheName) {
    EXPECT_EQ(error_of([&] { io::connect_datagram(name); }), std::errc::no_such_file_or_directory);
    io::bind_datagram(name).close();
    EXPECT_EQ(error_of([&] { io::connect_datagram(name); }), std::errc::connection_refused);
    auto client = io::bind_datagram(io::endpoint::unnamed());
    const std::string text = text_of([&] { client.send_to("x", io::endpoint::parse(name)); });
    EXPECT_NE(text.find(" to " + name + ": Connection refused"), std::string::npos) << text;
}

TEST_F(IoDatagramFault, Fault_NT19_ReceiverThatLeavesWakesTheSender) {
    auto server = io::bind_datagram(io::endpoint::unnamed());
    const io::endpoint where = server.local_endpoint();
    auto client = io::connect_datagram(where);
    while (client.try_send("x")) {}
    auto writer = copse::spawn([&] { return error_of([&] { client.send("y"); }); });
    auto asker = io::bind_datagram(io::endpoint::unnamed());
    auto other = copse::spawn([&] { return error_of([&] { asker.send_to("y", where); }); });
    copse::yield();
    server.close();
    EXPECT_EQ(writer.get_for(5s), std::errc::connection_refused);
    EXPECT_EQ(other.get(), std::errc::connection_refused);
}

}  // namespace
