#pragma once

/// Other people's programs, which tests do without where they are not installed.

#include <copse/io/process.hpp>

#include <gtest/gtest.h>

#include <string>

namespace copse_test {

inline bool is_installed(const std::string& program) {
    return copse::io::run({"sh", "-c", "command -v " + program}).status.success();
}

}  // namespace copse_test

/// Skips the rest of the test unless it is.
#define NEEDS(program) \
    if (!copse_test::is_installed(program)) GTEST_SKIP() << program << " is not installed"
