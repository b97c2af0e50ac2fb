// The context switch itself: the only header that names Boost.Context.
//
// A *frame* is where a suspended stack continues: the address that jump_fcontext leaves in its transfer. A frame is used
// exactly once; whoever arrives learns the frame of the stack that was left and must store it.
#pragma once

#include <boost/context/detail/fcontext.hpp>

namespace copse::detail {

/// What a stack learns when it is entered: the frame it was entered from, and one word from there.
struct arrival {
    void* frame;
    void* word;
};

/// Leaves this stack for `frame`. Entered by CALL and left by JMP, so that the CPU mispredicts every return that
/// follows (about 7 ns each on Zen 5); kept for other architectures, shadow stacks and sanitizers.
inline arrival called_jump(void* frame, void* word) noexcept {
    auto [from, data] = boost::context::detail::jump_fcontext(frame, word);
    return {from, data};
}

#if defined(__x86_64__) && defined(__LP64__) && !(defined(__CET__) && (__CET__ & 2))
inline constexpr bool has_level_jump = true;

#if defined(__AVX512F__)
#define COPSE_DETAIL_WIDE_CLOBBERS                                                                                \
    , "xmm16", "xmm17", "xmm18", "xmm19", "xmm20", "xmm21", "xmm22", "xmm23", "xmm24", "xmm25", "xmm26", "xmm27", \
        "xmm28", "xmm29", "xmm30", "xmm31", "k1", "k2", "k3", "k4", "k5", "k6", "k7"
#else
#define COPSE_DETAIL_WIDE_CLOBBERS
#endif

/// Out of line: makes our floating-point exception flags those of the stack that was left.
void take_over_float_flags(unsigned differing) noexcept;

inline constexpr unsigned float_flags = 0x3f;  // MXCSR bits 0 to 5

/// The same jump, entered by PUSH and JMP: what jump_fcontext finds on the stack is the same, but the CPU's return-address
/// stack stays level, so the returns after the switch are predicted. Nothing may be thrown through it: the arriving side
/// looks at `word` and throws from its own code.
///
/// The red zone of the function that this is inlined into is stepped over. That moves the stack pointer behind the
/// compiler's back, hence the use of __builtin_frame_address(0): both GCC (accesses_prior_frames) and clang
/// (FrameAddressTaken) then keep a frame pointer in that function, so that its unwind rules do not name the stack pointer
/// and a debugger, a dump and a backtrace read a parked greenlet rightly from the pushed address.
///
/// The exception flags of MXCSR become the thread's, while rounding mode and masks stay each stack's own. jump_fcontext
/// keeps the whole register for each stack, and on Zen an stmxcsr after an ldmxcsr that changed the value takes 65 ns: a
/// greenlet that has computed something inexact and one that has not would pay that at every switch. So who arrives
/// compares the word that it got back with the one just stored by who left, and takes over the flags if they differ: it
/// pays once. Frames begin with that word in every version of jump_fcontext and make_fcontext; ours is still intact in the
/// red zone that was stepped over, and `own_frame` is where it was written down by whoever entered the stack that we left
/// for.
[[gnu::always_inline]] inline arrival level_jump(void* frame, void* word, void* const* own_frame) noexcept {
    void* from;
    void* data;
    unsigned differing;
    asm volatile("leaq -128(%%rsp), %%rsp\n\t"
                 "leaq 1f(%%rip), %%rax\n\t"
                 "pushq %%rax\n\t"
                 "jmp jump_fcontext@PLT\n"
                 "1:\n\t"
                 "movq (%[own]), %%rcx\n\t"
                 "movl (%%rcx), %%ecx\n\t"
                 "xorl (%%rax), %%ecx\n\t"
                 "leaq 128(%%rsp), %%rsp"
                 : "=&a"(from), "=&d"(data), "=&c"(differing), "+D"(frame), "+S"(word)
                 : [own] "r"(own_frame), "r"(__builtin_frame_address(0))
                 : "memory", "cc", "r8", "r9", "r10", "r11", "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6",
                   "xmm7", "xmm8", "xmm9", "xmm10", "xmm11", "xmm12", "xmm13", "xmm14", "xmm15", "st", "st(1)", "st(2)",
                   "st(3)", "st(4)", "st(5)", "st(6)", "st(7)" COPSE_DETAIL_WIDE_CLOBBERS);
    if ((differing & float_flags) != 0) [[unlikely]]
        take_over_float_flags(differing);
    return {from, data};
}

#undef COPSE_DETAIL_WIDE_CLOBBERS
#else
inline constexpr bool has_level_jump = false;

[[gnu::always_inline]] inline arrival level_jump(void* frame, void* word, void* const* /*own_frame*/) noexcept {
    return called_jump(frame, word);
}
#endif

/// The frame of a stack that has not run yet: entering it calls `entry` with the arrival. `entry` must not return.
inline void* first_frame(void* top, std::size_t size, void (*entry)(boost::context::detail::transfer_t)) noexcept {
    return boost::context::detail::make_fcontext(top, size, entry);
}

}  // namespace copse::detail
