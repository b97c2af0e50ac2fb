// Commands for another machine: a client sends an argument vector and an input, the server runs the program and returns how
// it ended and what it wrote. No shell sees the arguments, and only programs of a list are run.
//
// A message is two frames, a JSON header and bytes, each with its length before it. So nothing sticks to anything: neither
// messages that arrive together, nor one that arrives in parts, nor bytes that look like JSON.
//
//     io_remote_command [endpoint]     serves until SIGINT or SIGTERM; 127.0.0.1:8005 unless given; port 0 picks a free one
//     io_remote_command --self-test    serves itself once, and ends
#include <copse/io/frame_stream.hpp>
#include <copse/io/process.hpp>
#include <copse/io/signal_listener.hpp>
#include <copse/io/socket.hpp>
#include <copse/io/stream_server.hpp>
#include <copse/timeout.hpp>

#include <nlohmann/json.hpp>

#include <algorithm>
#include <array>
#include <chrono>
#include <csignal>
#include <exception>
#include <iostream>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace io = copse::io;
using nlohmann::json;
using namespace std::chrono_literals;

namespace {

// [message]
struct message {
    json header;
    std::string body;
};

void send(io::frame_stream& to, const message& m) {
    to.send(
        m.header.dump(-1, ' ', false, json::error_handler_t::replace));  // programs write what they like, UTF-8 or not
    to.send(m.body);
}

std::optional<message> receive(io::frame_stream& from) {
    const auto header = from.receive();
    if (!header) return std::nullopt;  // the peer has nothing more to say
    auto body = from.receive();
    if (!body) throw std::runtime_error("a header without a body");
    return message{json::parse(*header), std::move(*body)};
}
// [/message]

bool is_allowed(const std::string& program) {
    static constexpr std::array<std::string_view, 5> programs = {"echo", "false", "sleep", "sort", "wc"};
    return std::find(programs.begin(), programs.end(), program) != programs.end();
}

// [run]
message run(const message& request) {
    const auto arguments = request.header.at("arguments").get<std::vector<std::string>>();
    if (arguments.empty() || !is_allowed(arguments.front())) throw std::runtime_error("this program is not run here");
    const std::chrono::milliseconds limit(request.header.value("milliseconds", 10000));
    // At the deadline the program is killed, as it is when the client's fiber is.
    const auto result =
        copse::with_timeout(limit, [&] { return io::run(arguments, {.max_output = 1024 * 1024}, request.body); });
    return {{{"ended", to_string(result.status)}, {"errors", result.errors}}, result.output};
}

// Runs in a fiber for each connection. What is wrong with one command is an answer, and the next may be asked.
void serve(io::socket& client) {
    io::frame_stream peer(std::ref(client), {.max_size = 1024 * 1024});
    while (const auto request = receive(peer)) {
        message answer;
        try {
            answer = run(*request);
        } catch (const std::exception& e) {
            answer = {{{"refused", e.what()}}, {}};
        }
        send(peer, answer);
    }
}
// [/run]

// ---- The other side

message command(std::vector<std::string> arguments, std::string input = {}) {
    return {{{"arguments", std::move(arguments)}}, std::move(input)};
}

void show(const message& answer) {
    std::cout << answer.header.dump() << '\n';
    if (!answer.body.empty()) std::cout << "  " << json(answer.body).dump() << '\n';
}

void test(const io::endpoint& server) {
    io::frame_stream peer(io::connect(server));
    message too_long = command({"sleep", "60"});
    too_long.header["milliseconds"] = 20;
    const message all[] = {
        command({"echo", "no shell: ; $HOME *"}),
        command({"sort", "-r"}, "elm\nyew\noak\n"),
        command({"wc", "-c"}, std::string("a NUL \0, {\"json\":", 17)),
        command({"false"}),
        command({"rm", "-r", "/"}),
        too_long,
        {json::object(), {}},
    };
    for (const message& one : all) send(peer, one);  // they may all be under way at once
    for (std::size_t i = 0; i < std::size(all); ++i) show(receive(peer).value());
}

void run_server(std::string_view argument) {
    const bool self_test = argument == "--self-test";
    io::signal_listener stop({SIGINT, SIGTERM});
    io::stream_server server(self_test ? "127.0.0.1:0" : argument, serve);
    server.start();
    std::cout << "listening on " << server.local_endpoint() << std::endl;
    if (self_test) {
        test(server.local_endpoint());
    } else {
        stop.wait();
    }
    server.stop_for(1s);
}

}  // namespace

int main(int argc, char** argv) {
    if (argc > 2 || (argc == 2 && std::string_view(argv[1]) == "--help")) {
        std::cerr << "usage: io_remote_command [endpoint | --self-test]\n";
        return 2;
    }
    try {
        run_server(argc == 2 ? argv[1] : "127.0.0.1:8005");
        return 0;
    } catch (const std::exception& e) {
        std::cerr << "io_remote_command: " << e.what() << '\n';
        return 1;
    }
}
