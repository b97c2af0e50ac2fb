// Work for the processor on four threads. Each worker has a hub of its own and takes blocks from a queue that all share;
// the results come back through another one to a fiber of the first thread, which parks meanwhile. The order in which they
// come is not known, so it is kept by number.
//
//     workers_hash
#include <copse/fibers.hpp>

#include <cstddef>
#include <cstdint>
#include <iomanip>
#include <iostream>
#include <string>
#include <vector>

namespace {

struct block {
    std::size_t number;
    std::string text;
};

struct digest {
    std::size_t number;
    std::uint64_t hash;
};

// FNV-1a
std::uint64_t hash_of(const std::string& text) {
    std::uint64_t hash = 14695981039346656037U;
    for (const char c : text) hash = (hash ^ static_cast<unsigned char>(c)) * 1099511628211U;
    return hash;
}

// [workers]
std::vector<std::uint64_t> hash_all(const std::vector<std::string>& texts) {
    copse::shared::queue<block> work(8);
    copse::shared::queue<digest> done(8);
    copse::workers threads(4, [&](std::size_t) {
        for (const block& b : work) done.put({b.number, hash_of(b.text)});
    });

    const auto feeding = copse::spawn([&] {
        for (std::size_t i = 0; i < texts.size(); ++i) work.put({i, texts[i]});  // parks while it is full
        work.close();  // the workers' loops end when it is drained
    });

    std::vector<std::uint64_t> hashes(texts.size());
    for (std::size_t n = 0; n < texts.size(); ++n) {
        const digest d = done.get();
        hashes[d.number] = d.hash;
    }
    feeding.join();
    threads.join();  // what a worker threw would be thrown here
    return hashes;
}
// [/workers]

}  // namespace

int main() {
    std::vector<std::string> texts;
    for (int i = 0; i < 100; ++i) texts.emplace_back(1000, static_cast<char>('a' + i % 26));

    std::uint64_t all = 0;
    for (const std::uint64_t hash : hash_all(texts)) all = all * 31 + hash;
    std::cout << texts.size() << " blocks, " << std::hex << std::setw(16) << std::setfill('0') << all << '\n';

    std::uint64_t alone = 0;
    for (const std::string& text : texts) alone = alone * 31 + hash_of(text);
    std::cout << (all == alone ? "as one thread would have it" : "one thread finds something else") << '\n';
}
