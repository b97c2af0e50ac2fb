#pragma once

/// Items whose moves, copies and comparisons throw when told to.

#include <stdexcept>

namespace copse_test {

/// `armed` counts such operations down; the one that reaches 0 throws. 0: none does.
struct fragile {
    explicit fragile(int n) : number(n) {}
    fragile(fragile&& other) : number(other.number) {
        wear("move");
        other.number = 0;
    }
    fragile(const fragile& other) : number(other.number) { wear("copy"); }
    fragile& operator=(fragile&&) = delete;
    fragile& operator=(const fragile&) = delete;
    ~fragile() = default;

    friend bool operator<(const fragile& a, const fragile& b) {
        wear("comparison");
        return a.number < b.number;
    }

    static void wear(const char* what) {
        if (armed != 0 && --armed == 0) throw std::runtime_error(what);
    }

    int number;
    static inline int armed = 0;
};

}  // namespace copse_test
