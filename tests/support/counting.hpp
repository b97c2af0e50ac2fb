#pragma once

/// The whole numbers from one to below another, as a range that makes them as it goes. Stands in for std::views::iota, which clang 14
/// does not compile.

#include <cstddef>
#include <limits>

namespace copse_test {

class counting {
public:
    explicit counting(int first, int last = std::numeric_limits<int>::max()) : first_(first), last_(last) {}

    class iterator {
    public:
        using value_type = int;
        using difference_type = std::ptrdiff_t;

        iterator() = default;
        explicit iterator(int at) : at_(at) {}
        int operator*() const { return at_; }
        iterator& operator++() {
            ++at_;
            return *this;
        }
        iterator operator++(int) { return iterator(at_++); }
        friend bool operator==(const iterator& a, const iterator& b) = default;

    private:
        int at_ = 0;
    };

    iterator begin() const { return iterator(first_); }
    iterator end() const { return iterator(last_); }

private:
    int first_;
    int last_;
};

}  // namespace copse_test
