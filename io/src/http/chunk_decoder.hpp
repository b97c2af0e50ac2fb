// Chunks and their trailers, decoded by Boost.Beast. Only chunk_decoder.cpp sees it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string_view>

#include <copse/io/http/message.hpp>

namespace copse::io::http::detail {

class chunk_decoder {
public:
    /// `with` must last as long as this.
    explicit chunk_decoder(const limits& with);
    chunk_decoder(const chunk_decoder&) = delete;
    chunk_decoder& operator=(const chunk_decoder&) = delete;
    ~chunk_decoder();

    /// Of the next body. `most`: bytes that its chunks may hold together.
    void begin(std::uint64_t most);

    struct progress {
        std::size_t consumed;  // of the input
        std::size_t produced;  // into the buffer
        bool done;             // the body is at its end
    };
    /// One step. `trailers` gets the harmless ones.
    /// Throws:  error: bad_chunk, body_too_large, header_too_large.
    progress decode(std::string_view input, std::span<std::byte> into, fields& trailers);

private:
    struct state;
    std::unique_ptr<state> state_;
};

}  // namespace copse::io::http::detail
