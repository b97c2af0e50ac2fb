#pragma once

/// Writes down what happened in which order, so that a test can assert the order as one line of words.

#include <sstream>
#include <string>
#include <utility>

namespace copse_test {

///     event_log log;
///     log("a");
///     log("b", 2);
///     log.text();   // "a b2"
class event_log {
public:
    /// Adds one word, made of all parts written one after the other.
    template <class... Parts>
    void operator()(const Parts&... parts) {
        std::ostringstream word;
        (word << ... << parts);
        if (!text_.empty()) text_ += ' ';
        text_ += word.str();
    }

    const std::string& text() const { return text_; }

    /// Gives the words so far and starts afresh.
    std::string take() { return std::exchange(text_, std::string()); }

private:
    std::string text_;
};

}  // namespace copse_test
