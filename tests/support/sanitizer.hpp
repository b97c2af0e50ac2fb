#pragma once

/// Sanitizers slow switches down and carry fewer stacks (GCC's thread sanitizer dies at 8,128), so counts shrink under them.

#include <algorithm>

namespace copse_test {

#if defined(__SANITIZE_ADDRESS__)
inline constexpr bool address_sanitized = true;
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
inline constexpr bool address_sanitized = true;
#else
inline constexpr bool address_sanitized = false;
#endif
#else
inline constexpr bool address_sanitized = false;
#endif

#if defined(__SANITIZE_THREAD__)
inline constexpr bool thread_sanitized = true;
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
inline constexpr bool thread_sanitized = true;
#else
inline constexpr bool thread_sanitized = false;
#endif
#else
inline constexpr bool thread_sanitized = false;
#endif

inline constexpr bool sanitized = address_sanitized || thread_sanitized;

inline constexpr int most_live_when_sanitized = thread_sanitized ? 1'000 : 2'000;

/// How many greenlets a test may keep alive at once when it would like `wanted`.
constexpr int up_to(int wanted) { return sanitized ? std::min(wanted, most_live_when_sanitized) : wanted; }

}  // namespace copse_test
