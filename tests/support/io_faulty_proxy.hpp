#pragma once

/// A proxy for stream connections that treats them badly, in one of ten ways.

#include <copse/fibers.hpp>
#include <copse/io.hpp>

#include <array>
#include <chrono>
#include <cstddef>
#include <span>
#include <string>
#include <system_error>

namespace copse_test {

enum class fault {
    none,
    no_accept,      // connections stay in the kernel's queue
    no_read,        // is taken, and never read from
    no_answer,      // what the server says gets lost
    close_at_once,  // is taken, and closed
    close_on_data,  // is reset with the first byte
    corrupt,        // a bit of each chunk turns over on its way back
    delay,          // each chunk waits for `time`
    bandwidth,      // `bytes` in each `time`
    close_after,    // the same, and closed after four of them
    slicing,        // comes a byte at a time
};

inline const char* name_of(fault f) {
    constexpr std::array names{"none",    "no_accept", "no_read",   "no_answer",   "close_at_once", "close_on_data",
                               "corrupt", "delay",     "bandwidth", "close_after", "slicing"};
    return names[static_cast<std::size_t>(f)];
}

struct proxy_options {
    fault what = fault::none;
    std::chrono::nanoseconds time = std::chrono::milliseconds(50);
    std::size_t bytes = 1000;
};

class faulty_proxy {
public:
    /// Runs in fibers of this thread until it ends.
    faulty_proxy(copse::io::endpoint to, proxy_options with)
        : to_(to), with_(with), listener_(copse::io::listen("127.0.0.1:0")) {
        if (with_.what != fault::no_accept) fibers_.spawn([this] { accept_all(); });
    }
    ~faulty_proxy() { fibers_.kill(); }
    faulty_proxy(const faulty_proxy&) = delete;
    faulty_proxy& operator=(const faulty_proxy&) = delete;

    copse::io::endpoint address() const { return listener_.local_endpoint(); }

private:
    using socket = copse::io::socket;

    void accept_all() {
        for (;;) fibers_.spawn([this, s = socket(listener_.accept())]() mutable { carry(s); });
    }

    void carry(socket& client) {
        if (with_.what == fault::close_at_once) return;
        socket server = copse::io::connect(to_);
        if (with_.what == fault::no_read) return copse::io::wait_readable(server.native_handle());
        const copse::scoped_fiber<void> there(copse::spawn([&] { pump(client, server, false); }));
        const copse::scoped_fiber<void> back(copse::spawn([&] { pump(server, client, true); }));
        if (with_.what != fault::close_after) return;
        copse::sleep(4 * with_.time);
        client.close();  // which ends the two that carry
        server.close();
    }

    void pump(socket& from, socket& to, bool answers) {
        try {
            std::array<std::byte, 4096> room{};
            while (const std::size_t n = from.recv(room)) {
                if (with_.what == fault::close_on_data) {
                    from.set_option(copse::io::linger(std::chrono::seconds(0)));
                    from.close();
                    break;
                }
                pass(std::span(room).first(n), to, answers);
            }
            to.shutdown(copse::io::shut::write);
        } catch (const std::system_error&) {
            // One of the two has gone, and that is what the other shall see.
            to.close();
            from.close();
        }
    }

    void pass(std::span<std::byte> bytes, socket& to, bool answers) {
        switch (with_.what) {
        case fault::no_answer:
            if (answers) return;
            break;
        case fault::corrupt:
            if (answers) bytes[bytes.size() / 2] ^= std::byte{1};
            break;
        case fault::delay: copse::sleep(with_.time); break;
        case fault::bandwidth:
        case fault::close_after: return pass_slowly(bytes, to);
        case fault::slicing:
            for (const std::byte& one : bytes) {
                to.send_all(std::span(&one, 1));
                copse::yield();
            }
            return;
        default: break;
        }
        to.send_all(bytes);
    }

    void pass_slowly(std::span<const std::byte> bytes, socket& to) {
        while (!bytes.empty()) {
            const std::size_t n = std::min(bytes.size(), with_.bytes);
            to.send_all(bytes.first(n));
            bytes = bytes.subspan(n);
            copse::sleep(with_.time);
        }
    }

    const copse::io::endpoint to_;
    const proxy_options with_;
    socket listener_;
    copse::group fibers_;
};

}  // namespace copse_test
