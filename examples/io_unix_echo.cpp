// What only Unix sockets can do: know who asks, and hand over an open file.
//
// The server listens under an abstract name, which needs no file and is free again when the last one closes it. It answers its
// own user only: with what the client sent, and with a descriptor of a file, which the client reads as if it had opened it.
#include <copse/fiber.hpp>
#include <copse/io.hpp>

#include <array>
#include <cstring>
#include <iostream>
#include <string>
#include <string_view>

#include <sys/mman.h>
#include <unistd.h>

namespace io = copse::io;

namespace {

io::descriptor make_secret(std::string_view content) {
    io::descriptor file(memfd_create("secret", MFD_CLOEXEC));
    if (write(file.get(), content.data(), content.size()) < 0) std::cerr << "the secret is lost\n";
    return file;
}

// [server]
void serve(io::socket& client) {
    const auto asking = client.get_option<io::peer_credentials>();  // by the kernel's word
    if (asking.uid != geteuid()) return;
    while (const auto chunk = client.recv_pooled()) {
        if (chunk.text() == "the file") {
            const io::descriptor secret = make_secret("trees grow at night");
            const std::array sent = {secret.get()};
            io::send_descriptors(client, "here", sent);
        } else {
            client.send_all({"echo: ", chunk.text()});  // both pieces with one call
        }
    }
}
// [/server]

// [client]
void talk(const io::endpoint& server) {
    io::socket s = io::connect(server);
    s.send_all("many small trees");
    std::cout << s.recv_pooled().text() << '\n';

    s.send_all("the file");
    std::array<std::byte, 16> note;
    const io::received_descriptors got = io::recv_descriptors(s, note);
    std::array<char, 64> content{};
    const auto n = pread(got.descriptors.at(0).get(), content.data(), content.size(), 0);
    std::cout << "in the file: " << std::string_view(content.data(), static_cast<std::size_t>(n)) << '\n';
}
// [/client]

}  // namespace

int main() {
    io::stream_server server("unix:@copse-unix-echo-" + std::to_string(getpid()), serve);
    server.start();
    talk(server.local_endpoint());
    server.stop_for(std::chrono::seconds(1));
}
