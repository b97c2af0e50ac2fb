// Entries by descriptor number, in chunks, so that a few high numbers cost little (FD13).
#pragma once

#include <cstddef>
#include <memory>
#include <vector>

#include <copse/io/endpoint.hpp>

#include "entry.hpp"

namespace copse::io::detail {

/// Where a connection leads. Kept because the kernel forgets it when the peer resets, just when a message wants it.
struct peer_address {
    static constexpr std::size_t longest = 28;  // a sockaddr_in6: Unix sockets keep their peer's name themselves
    alignas(4) std::byte bytes[longest];
    socklen_t size = 0;
};

class entry_table {
public:
    /// Null if there is none yet.
    entry* find(int fd) noexcept {
        const auto chunk_number = static_cast<std::size_t>(fd) / chunk_size;
        if (fd < 0 || chunk_number >= chunks_.size() || chunks_[chunk_number] == nullptr) return nullptr;
        return &chunks_[chunk_number]->entries[static_cast<std::size_t>(fd) % chunk_size];
    }

    /// Throws std::bad_alloc. `fd` is not negative.
    entry& at(int fd);

    /// Of an entry of this table.
    peer_address& peer_of(const entry& e) noexcept {
        const auto fd = static_cast<std::size_t>(e.fd);
        return chunks_[fd / chunk_size]->peers[fd % chunk_size];
    }

    template <class F>
    void for_each(F f) {
        for (auto& c : chunks_) {
            if (c == nullptr) continue;
            for (entry& e : c->entries) f(e);
        }
    }

private:
    static constexpr std::size_t chunk_size = 256;
    struct chunk {
        entry entries[chunk_size];
        peer_address peers[chunk_size];
    };
    std::vector<std::unique_ptr<chunk>> chunks_;
};

}  // namespace copse::io::detail
