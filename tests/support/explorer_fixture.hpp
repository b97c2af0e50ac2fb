#pragma once

/// A fixture for tests of the explorer itself: the failure that it finds, and what its environment asks for.

#include "exploring.hpp"

#include <copse/explore.hpp>

#include <gtest/gtest.h>

#include <cstdlib>
#include <string>

namespace copse_test {

class explorer_fixture : public exploring {
protected:
    // The failure that `with` finds; fails the test if it finds none.
    static copse::exploration_failed failure_of(const copse::explore_options& with, const copse::scenario& scene) {
        try {
            copse::explore(with, scene);
        } catch (const copse::exploration_failed& e) {
            return e;
        }
        ADD_FAILURE() << "nothing was found";
        return copse::exploration_failed("nothing", "", nullptr);
    }
};

class environment_variable {
public:
    environment_variable(const char* name, const char* text) : name_(name) { ::setenv(name, text, 1); }
    environment_variable(const environment_variable&) = delete;
    environment_variable& operator=(const environment_variable&) = delete;
    ~environment_variable() { ::unsetenv(name_); }

private:
    const char* name_;
};

inline bool contains(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

}  // namespace copse_test
