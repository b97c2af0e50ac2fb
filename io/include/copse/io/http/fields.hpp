/// The header fields of a message.
#pragma once

#include <compare>
#include <cstddef>
#include <initializer_list>
#include <iterator>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace copse::io::http {

namespace detail {
struct fields_access;
}  // namespace detail

/// One of them. Both are views: they last until the fields they come from are changed or end.
struct field {
    std::string_view name;
    std::string_view value;

    friend bool operator==(const field&, const field&) = default;
};

/// Whether two names, or two words of a list such as `keep-alive`, are the same: letters in either case.
bool same_word(std::string_view a, std::string_view b) noexcept;

/// Whether it is a token of RFC 9110, as names of fields and methods must be.
bool is_token(std::string_view text) noexcept;

/// Names and values in the order in which they were added; a name may come several times, and is found in either case.
///
///     http::fields headers{{"Content-Type", "text/plain"}, {"Set-Cookie", "a=1"}};
///     headers.add("Set-Cookie", "b=2");
///     for (const http::field f : headers) std::cout << f.name << " is " << f.value << '\n';
///
/// What is inserted is checked, so that nothing that a caller was given can add a line of its own (header injection):
/// a name must be a token, a value holds no control character but the tab. Spaces and tabs around a value are dropped.
///
/// They are kept as they go over the wire, in one string: inserting allocates when that grows, looking up reads from its
/// beginning, serialising costs nothing.
class fields {
public:
    class iterator {
    public:
        using iterator_category = std::input_iterator_tag;  // what it refers to is made on the spot
        using value_type = field;
        using difference_type = std::ptrdiff_t;
        using pointer = void;
        using reference = field;

        iterator() noexcept = default;

        field operator*() const noexcept;
        iterator& operator++() noexcept;
        iterator operator++(int) noexcept {
            const iterator before = *this;
            ++*this;
            return before;
        }
        friend bool operator==(const iterator& a, const iterator& b) noexcept {
            return a.rest_.size() == b.rest_.size();
        }

    private:
        friend class fields;
        explicit iterator(std::string_view rest) noexcept : rest_(rest) {}

        std::string_view rest_;  // begins with a field, or is empty
    };
    using const_iterator = iterator;
    using value_type = field;

    fields() noexcept = default;
    /// Throws:  as add.
    fields(std::initializer_list<field> all);

    /// Throws:  std::invalid_argument, which names the field, for a name that is no token or a value with CR, LF, NUL or
    ///          another control character in it. Nothing has changed then; so for `set`.
    void add(std::string_view name, std::string_view value);
    /// Instead of all that have this name, in the place of the first.
    void set(std::string_view name, std::string_view value);
    /// Returns: how many there were.
    std::size_t erase(std::string_view name);
    /// Keeps the memory for the next ones.
    void clear() noexcept;
    void reserve(std::size_t bytes) { lines_.reserve(bytes); }

    /// The first of this name.
    std::optional<std::string_view> find(std::string_view name) const noexcept;
    /// The first of this name, or `otherwise`.
    std::string_view get(std::string_view name, std::string_view otherwise = {}) const noexcept;
    /// All of this name.
    std::vector<std::string_view> all(std::string_view name) const;
    bool contains(std::string_view name) const noexcept { return find(name).has_value(); }
    std::size_t count(std::string_view name) const noexcept;
    /// Whether the lists of this name (`Connection: keep-alive, upgrade`) have this word.
    bool has_word(std::string_view name, std::string_view word) const noexcept;

    std::size_t size() const noexcept { return count_; }
    bool empty() const noexcept { return count_ == 0; }
    iterator begin() const noexcept { return iterator(lines_); }
    iterator end() const noexcept { return {}; }

    /// As they go over the wire: "Name: value\r\n" for each.
    std::string_view lines() const noexcept { return lines_; }

    /// Same names and values in the same order, letters as they are.
    friend bool operator==(const fields& a, const fields& b) noexcept { return a.lines_ == b.lines_; }

private:
    friend struct detail::fields_access;

    std::string lines_;  // "Name: value\r\n", nothing else, no control characters within
    std::size_t count_ = 0;
};

}  // namespace copse::io::http
