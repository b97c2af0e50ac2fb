// The pool of receive buffers, one a thread, last in, first out.
#include <copse/io/buffer.hpp>

#include <algorithm>
#include <new>

namespace copse::io {

namespace {

constexpr std::size_t most_kept =
    64;  // 1 MiB a thread: more are in use at once only while that many hold received bytes

struct free_buffer {
    free_buffer* next;
};

struct buffer_pool {
    free_buffer* first = nullptr;
    std::size_t kept = 0;
    bool closed = false;
};
constinit thread_local buffer_pool pool;

struct pool_end {
    ~pool_end() {
        pool.closed = true;
        while (pool.first != nullptr) ::operator delete(std::exchange(pool.first, pool.first->next));
    }
};

}  // namespace

pooled_buffer pooled_buffer::take() {
    pooled_buffer taken;
    if (pool.first != nullptr) {
        taken.data_ = reinterpret_cast<std::byte*>(std::exchange(pool.first, pool.first->next));
        --pool.kept;
    } else {
        taken.data_ = static_cast<std::byte*>(::operator new(capacity));
    }
    taken.size_ = capacity;
    return taken;
}

void pooled_buffer::truncate(std::size_t n) noexcept {
    size_ = std::min(size_, n);
    if (size_ == 0 && data_ != nullptr) give_back();
}

void pooled_buffer::give_back() noexcept {
    static thread_local const pool_end end;  // made by the first return on the thread
    static_cast<void>(end);
    void* const memory = std::exchange(data_, nullptr);
    size_ = 0;
    if (pool.closed || pool.kept == most_kept) {
        ::operator delete(memory);
        return;
    }
    pool.first = ::new (memory) free_buffer{pool.first};
    ++pool.kept;
}

}  // namespace copse::io
