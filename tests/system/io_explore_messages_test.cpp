// Messages and lines over a stream of three bytes at a time, in every order, with a kill or a timeout at every wait: nothing is
// lost, nothing is cut without a word.

#include <copse/fibers.hpp>
#include <copse/io/frame_stream.hpp>
#include <copse/io/line_reader.hpp>

#include "exploring.hpp"

#include <algorithm>
#include <cstring>
#include <string>
#include <system_error>
#include <vector>

using copse::exploration;
using copse::spawn;
namespace io = copse::io;
using namespace std::string_literals;

namespace {

class ExploreMessages : public copse_test::exploring {};

/// One way, with room for so many chunks: who sends waits for who receives.
class wire {
public:
    explicit wire(std::size_t chunks) : chunks_(chunks) {}

    void put(std::string_view bytes) {
        for (; !bytes.empty(); bytes.remove_prefix(std::min<std::size_t>(3, bytes.size())))
            chunks_.put(std::string(bytes.substr(0, 3)));
    }
    std::size_t take(std::span<std::byte> into) {
        if (rest_.empty()) {
            try {
                rest_ = chunks_.get();
            } catch (const copse::queue_closed&) {
                return 0;
            }
        }
        const std::size_t n = std::min(rest_.size(), into.size());
        std::memcpy(into.data(), rest_.data(), n);
        rest_.erase(0, n);
        return n;
    }
    void end() { chunks_.close(); }

private:
    copse::queue<std::string> chunks_;
    std::string rest_;
};

class end_of_wire {
public:
    explicit end_of_wire(wire& w) : wire_(&w) {}

    std::size_t recv(std::span<std::byte> into) { return wire_->take(into); }
    template <class Point>
    std::size_t recv_until(std::span<std::byte> into, Point /*when*/) {
        return recv(into);
    }
    void send_all(std::span<const io::const_buffer> pieces) {
        std::string all;
        for (const auto& piece : pieces) all.append(reinterpret_cast<const char*>(piece.data()), piece.size());
        wire_->put(all);
    }
    template <class Point>
    void send_all_until(std::span<const io::const_buffer> pieces, Point /*when*/) {
        send_all(pieces);
    }
    void shutdown(io::shut /*how*/) { wire_->end(); }
    void close() { wire_->end(); }
    bool is_open() const { return true; }

private:
    wire* wire_;
};

using texts = std::vector<std::string>;

/// Receives up to the end. Whether that was between two messages.
bool receive_all(io::frame_stream& from, texts& got) {
    try {
        while (auto message = from.receive()) got.push_back(std::move(*message));
        return true;
    } catch (const io::transfer_error&) {
        return false;
    }
}

/// Puts the bytes one chunk at a time, and lets others run in between. Never waits for who receives.
void feed(wire& w, std::string_view bytes) {
    for (; !bytes.empty(); bytes.remove_prefix(std::min<std::size_t>(3, bytes.size()))) {
        w.put(bytes.substr(0, 3));
        copse::yield();
    }
    w.end();
}

TEST_F(ExploreMessages, WhoeverReceivesTheRestMissesNothing) {
    explore_all("receive", [](exploration& run) {
        wire w(copse::queue<std::string>::unlimited);
        io::frame_stream in(end_of_wire(w), {.prefix = 2});
        texts got;
        const auto reader = spawn([&] { receive_all(in, got); });
        feed(w, "\0\2ab\0\0\0\5cdefg"s);
        reader.join();
        run.check(receive_all(in, got), "the end is between two messages");
        run.check(got == texts{"ab", "", "cdefg"}, "all messages came, whole and once");
    });
}

TEST_F(ExploreMessages, WhatIsCutIsToldAndNothingComesAfterIt) {
    explore_all("send", [](exploration& run) {
        wire w(1);
        io::frame_stream out(end_of_wire(w), {.prefix = 1});
        io::frame_stream in(end_of_wire(w), {.prefix = 1});
        std::size_t whole = 0;
        const auto send_two = [&](char c) {
            try {
                for (int i = 0; i < 2; ++i) {
                    out.send(std::string(4, c));
                    ++whole;
                }
            } catch (const std::system_error& e) {
                run.check(e.code() == std::errc::state_not_recoverable, "only for what another one has cut");
            }
        };
        int senders = 2;
        const auto leave = [&](const auto& /*fiber*/) {
            if (--senders == 0) w.end();
        };
        const auto a = spawn([&] { send_two('a'); });
        const auto b = spawn([&] { send_two('b'); });
        a.link_raw(leave);
        b.link_raw(leave);
        texts got;
        const bool in_order = receive_all(in, got);
        // A message may have left as a whole though its sender was told otherwise; never the other way round.
        run.check(got.size() >= whole, "what was sent was received");
        for (const std::string& message : got) run.check(message == "aaaa" || message == "bbbb", "messages are whole");
        if (!run.interfered()) run.check(in_order && got.size() == 4, "all came");
    });
}

TEST_F(ExploreMessages, LinesAreNotLostEither) {
    explore_all("lines", [](exploration& run) {
        wire w(copse::queue<std::string>::unlimited);
        io::buffered_stream in(end_of_wire(w), {.read_buffer = 4});
        std::string got;
        const auto take_lines = [&](int most) {
            for (int i = 0; i < most; ++i) {
                const auto line = in.read_line();
                if (!line) break;
                got += *line;
            }
        };
        const auto reader = spawn([&] {
            take_lines(2);
            std::string large(12, '\0');  // past the buffer
            in.read_exactly(std::as_writable_bytes(std::span(large)));
            got += large;
            take_lines(9);
        });
        feed(w, "ab\r\n\nlarge block,c\n");
        reader.join();
        take_lines(9);
        run.check(got == "ablarge block,c", "every byte comes once, in order");
    });
}

TEST_F(ExploreMessages, BufferedWritesComeWholeOrNotAtAll) {
    explore_all("write", [](exploration& run) {
        wire w(1);
        io::buffered_stream out(end_of_wire(w), {.write_buffer = 5});
        const auto writer = spawn([&] {
            for (const char* word : {"many", "small", "trees"}) out.write(word);
            out.flush();
        });
        writer.link_raw([&](const auto& /*fiber*/) { w.end(); });
        std::string received;
        std::string part(8, '\0');
        while (const std::size_t n = w.take(std::as_writable_bytes(std::span(part)))) received.append(part, 0, n);
        run.check(std::string("manysmalltrees").starts_with(received), "nothing comes twice or out of order");
        if (writer.successful() || !run.interfered()) run.check(received == "manysmalltrees", "all came");
    });
}

}  // namespace
