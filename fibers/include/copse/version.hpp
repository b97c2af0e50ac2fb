#pragma once

/// The version of these headers. The build reads it from here: this file is its only source.

#include <string_view>

/// major * 10000 + minor * 100 + patch, for `#if`.
#define COPSE_VERSION 100

namespace copse {

inline constexpr int version_major = COPSE_VERSION / 10000;
inline constexpr int version_minor = COPSE_VERSION / 100 % 100;
inline constexpr int version_patch = COPSE_VERSION % 100;

/// "major.minor.patch"; the build refuses to start when it disagrees with `COPSE_VERSION`.
inline constexpr std::string_view version_string = "0.1.0";

}  // namespace copse
