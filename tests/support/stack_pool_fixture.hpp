#pragma once

/// A fixture for pools of stacks: a kernel that refuses and counts, and ways to look at what lies under a stack. Include in
/// unit tests only: it sees fibers/src.

#include "stack_pool.hpp"

#include <gtest/gtest.h>

#include <sys/mman.h>
#include <ucontext.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <system_error>
#include <vector>

namespace copse_test {

constexpr std::size_t kib = 1024;
constexpr std::size_t page = 4096;

/// What the kernel does to a byte of ours, without dying of it.
class prober {
public:
    prober() {
        if (::pipe(ends_) != 0) throw std::system_error(errno, std::generic_category(), "pipe");
    }
    ~prober() {
        ::close(ends_[0]);
        ::close(ends_[1]);
    }
    prober(const prober&) = delete;
    prober& operator=(const prober&) = delete;

    /// By the pipe's write, which reads memory in the kernel and fails with EFAULT.
    bool readable(const std::byte* address) {
        if (::write(ends_[1], address, 1) != 1) return false;
        char byte{};
        return ::read(ends_[0], &byte, 1) == 1;
    }

private:
    int ends_[2];
};

/// Runs `f` on the slot's stack, to its end.
inline void run_on(const copse::detail::stack_slot& slot, std::function<void()> f) {
    static thread_local std::function<void()>* running = nullptr;
    static thread_local ucontext_t here;
    ucontext_t there;
    ::getcontext(&there);
    there.uc_stack.ss_sp = slot.limit;
    there.uc_stack.ss_size = static_cast<std::size_t>(slot.top - slot.limit);
    there.uc_link = &here;
    running = &f;
    ::makecontext(
        &there, [] { (*running)(); }, 0);
    ::swapcontext(&here, &there);
}

inline void touch(std::byte* from, std::byte* to) {
    for (std::byte* at = from; at < to; at += page) *static_cast<volatile std::byte*>(at) = std::byte{1};
}

inline std::size_t resident_pages(const copse::detail::stack_slot& slot) {
    std::vector<unsigned char> pages(copse::detail::stack_pool::size(slot) / page);
    EXPECT_EQ(::mincore(slot.limit, copse::detail::stack_pool::size(slot), pages.data()), 0);
    std::size_t count = 0;
    for (const unsigned char p : pages) count += p & 1U;
    return count;
}

class stack_pool_fixture : public testing::Test {
protected:
    void SetUp() override {
        refuse_install_with = refuse_mprotect_with = 0;
        drops = 0;
        largest_mmap = SIZE_MAX;
        copse::detail::stack_calls.mmap = limited_mmap;
        copse::detail::stack_calls.madvise = counted_madvise;
        copse::detail::stack_calls.mprotect = limited_mprotect;
        copse::detail::reset_guard_kind();
    }

    void TearDown() override {
        copse::detail::stack_calls = {::mmap, ::munmap, ::madvise, ::mprotect, ::mincore};
        copse::detail::reset_guard_kind();
    }

    std::vector<copse::detail::stack_slot*> take_many(std::size_t count, std::size_t usable) {
        std::vector<copse::detail::stack_slot*> taken;
        for (std::size_t i = 0; i < count; ++i) taken.push_back(pool_->take(usable));
        return taken;
    }

    void give_all(const std::vector<copse::detail::stack_slot*>& slots) {
        for (copse::detail::stack_slot* slot : slots) pool_->give(slot);
    }

    int owner_ = 0;
    std::unique_ptr<copse::detail::stack_pool> pool_ = std::make_unique<copse::detail::stack_pool>();

    // What the replaced system calls answer and count.
    static inline int refuse_install_with = 0;
    static inline int refuse_mprotect_with = 0;
    static inline std::size_t largest_mmap = SIZE_MAX;
    static inline std::atomic<int> drops = 0;  // pools of several threads count here

private:
    static constexpr int guard_advice = 102;  // MADV_GUARD_INSTALL, which older headers do not name

    static int fail_with(int error) {
        errno = error;
        return -1;
    }

    static void* limited_mmap(void* address, std::size_t bytes, int protection, int flags, int descriptor,
                              long offset) {
        if (bytes <= largest_mmap) return ::mmap(address, bytes, protection, flags, descriptor, offset);
        errno = ENOMEM;
        return MAP_FAILED;
    }

    static int counted_madvise(void* address, std::size_t bytes, int advice) {
        if (advice == guard_advice && refuse_install_with != 0) return fail_with(refuse_install_with);
        drops += advice == MADV_DONTNEED;
        return ::madvise(address, bytes, advice);
    }

    static int limited_mprotect(void* address, std::size_t bytes, int protection) {
        return refuse_mprotect_with != 0 ? fail_with(refuse_mprotect_with) : ::mprotect(address, bytes, protection);
    }
};

}  // namespace copse_test
