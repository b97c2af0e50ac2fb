// A stranger uses room 2: two fibers talk through a pair of sockets.

#include <copse/fibers.hpp>
#include <copse/io.hpp>

#include <array>
#include <cstddef>
#include <cstdio>
#include <span>
#include <string_view>
#include <utility>

int main() {
    auto [left, right] = copse::io::socketpair();

    auto echo = copse::spawn([end = std::move(right)]() mutable {
        std::array<std::byte, 64> buffer;
        while (const std::size_t n = end.recv(buffer)) end.send_all(std::span<const std::byte>(buffer).first(n));
    });

    constexpr std::string_view message = "many small trees";
    std::array<std::byte, message.size()> answer;
    left.send_all(message);
    left.recv_exactly(answer);
    left.close();
    echo.get();

    const bool good = std::string_view(reinterpret_cast<const char*>(answer.data()), answer.size()) == message;
    std::printf("use_io: %s\n", good ? "works" : "FAILS");
    return good ? 0 : 1;
}
