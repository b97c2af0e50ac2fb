// A stop cannot throw, and another thread's would never wake who waits: it says what was used, and ends the program.
// expect-signal: SIGABRT
// expect-stderr: wrong_thread
// expect-stderr: what\(\):\s+echo: it belongs to another thread

#include <copse/io.hpp>

#include <thread>

int main() {
    copse::io::stream_server echo("127.0.0.1:0", [](copse::io::socket) {}, {.name = "echo"});
    echo.start();
    std::thread([&] { echo.stop(); }).join();
}
