#pragma once

/// A fixture for streams of TLS, and what shows that they carry bytes, or no more of them.

#include "io_tls_pair.hpp"

#include <gtest/gtest.h>

#include <chrono>
#include <cstddef>
#include <string>

namespace copse_test {

/// What is made once for the process is made before anything is counted.
struct made_before {
    made_before() {
        common_server();
        make_tls_pair();
    }
};

class tls_fixture : private made_before, public io_leak_check {};

/// A kill or a time-out of ours is not the other's: it goes on by itself.
inline void expect_usable(copse::io::tls_stream& a, copse::io::tls_stream& b) {
    a.send_all("there");
    EXPECT_EQ(recv_text(b, 5), "there");
    b.send_all("and back");
    EXPECT_EQ(recv_text(a, 8), "and back");
}

/// Both ways at once, with sizes on either side of what a record holds.
inline void expect_carries(tls_pair pair, std::size_t size) {
    const std::string up = pattern(size, 1), down = pattern(size + 1, 2);
    auto sender = copse::spawn([&] {
        pair.client.send_all(up);
        pair.client.shutdown(copse::io::shut::write);
    });
    auto returner = copse::spawn([&] {
        pair.server.send_all(down);
        pair.server.shutdown(copse::io::shut::write);
    });
    auto receiver = copse::spawn([&] { return recv_to_end(pair.server) == up; });
    EXPECT_TRUE(recv_to_end(pair.client) == down);
    EXPECT_TRUE(receiver.get());
    sender.get();
    returner.get();
}

/// Sends until the other side, which does not read, has no room. Returns how much was taken.
inline std::size_t fill_up(copse::io::tls_stream& s) {
    const std::string much = pattern(4'000'000);
    try {
        s.send_all_for(much, std::chrono::seconds(1));
    } catch (const copse::io::timed_out& e) {
        return e.transferred();
    }
    ADD_FAILURE() << "it took everything";
    return 0;
}

}  // namespace copse_test
