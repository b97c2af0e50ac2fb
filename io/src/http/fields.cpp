#include <copse/io/http/fields.hpp>

#include <algorithm>
#include <stdexcept>

#include "http/characters.hpp"

namespace copse::io::http {

namespace {

using detail::trimmed;

/// The fields are kept so: see `lines_`.
constexpr std::string_view separator = ": ";
constexpr std::string_view line_end = "\r\n";

std::string quoted(std::string_view text) {
    std::string shown = "\"";
    for (const char c : text.substr(0, 64)) shown += c < ' ' || c == 0x7f ? '?' : c;
    return shown += text.size() > 64 ? "…\"" : "\"";
}

void check(std::string_view name, std::string_view value) {
    if (!is_token(name)) throw std::invalid_argument("header field: " + quoted(name) + " is no name");
    if (!detail::all_are<detail::is_value_character>(value))
        throw std::invalid_argument("header field " + quoted(name) + ": a control character in its value " +
                                    quoted(value));
}

std::size_t length_of_first(std::string_view lines) noexcept { return lines.find('\n') + 1; }

/// Whether the words that commas separate have this one.
bool list_has(std::string_view list, std::string_view word) noexcept {
    while (!list.empty()) {
        const std::size_t comma = std::min(list.find(','), list.size());
        if (same_word(trimmed(list.substr(0, comma)), word)) return true;
        list.remove_prefix(std::min(comma + 1, list.size()));
    }
    return false;
}

}  // namespace

bool same_word(std::string_view a, std::string_view b) noexcept {
    return a.size() == b.size() && std::equal(a.begin(), a.end(), b.begin(),
                                              [](char x, char y) { return detail::lower(x) == detail::lower(y); });
}

bool is_token(std::string_view text) noexcept {
    return !text.empty() && detail::all_are<detail::is_token_character>(text);
}

field fields::iterator::operator*() const noexcept {
    const std::string_view line = rest_.substr(0, length_of_first(rest_) - line_end.size());
    const std::size_t colon = line.find(':');
    return {line.substr(0, colon), line.substr(colon + separator.size())};
}

fields::iterator& fields::iterator::operator++() noexcept {
    rest_.remove_prefix(length_of_first(rest_));
    return *this;
}

fields::fields(std::initializer_list<field> all) {
    for (const field& f : all) add(f.name, f.value);
}

void fields::add(std::string_view name, std::string_view value) {
    value = trimmed(value);
    check(name, value);
    // Grown first, so that a failure leaves no part of a line.
    const std::size_t wanted = lines_.size() + name.size() + value.size() + separator.size() + line_end.size();
    if (wanted > lines_.capacity()) {
        std::string grown;
        grown.reserve(std::max(wanted, 2 * lines_.size()));
        grown += lines_;
        grown.append(name).append(separator).append(value).append(line_end);  // they may be views of the old one
        lines_ = std::move(grown);
    } else {
        lines_.append(name).append(separator).append(value).append(line_end);
    }
    ++count_;
}

void fields::set(std::string_view name, std::string_view value) {
    fields changed;
    changed.reserve(lines_.size() + name.size() + value.size() + separator.size() + line_end.size());
    bool done = false;
    for (const field f : *this) {
        if (!same_word(f.name, name)) {
            changed.add(f.name, f.value);
        } else if (!done) {
            changed.add(name, value);
            done = true;
        }
    }
    if (!done) return add(name, value);
    *this = std::move(changed);
}

std::size_t fields::erase(std::string_view name) {
    const std::string wanted(name);  // it may be a view of what is moved here
    std::size_t erased = 0;
    for (std::size_t at = 0; at < lines_.size();) {
        const std::string_view rest = std::string_view(lines_).substr(at);
        const std::size_t length = length_of_first(rest);
        if (same_word(rest.substr(0, rest.find(':')), wanted)) {
            lines_.erase(at, length);
            ++erased;
        } else {
            at += length;
        }
    }
    count_ -= erased;
    return erased;
}

void fields::clear() noexcept {
    lines_.clear();
    count_ = 0;
}

std::optional<std::string_view> fields::find(std::string_view name) const noexcept {
    for (const field f : *this) {
        if (same_word(f.name, name)) return f.value;
    }
    return std::nullopt;
}

std::string_view fields::get(std::string_view name, std::string_view otherwise) const noexcept {
    return find(name).value_or(otherwise);
}

std::vector<std::string_view> fields::all(std::string_view name) const {
    std::vector<std::string_view> found;
    for (const field f : *this) {
        if (same_word(f.name, name)) found.push_back(f.value);
    }
    return found;
}

std::size_t fields::count(std::string_view name) const noexcept {
    return static_cast<std::size_t>(
        std::count_if(begin(), end(), [&](const field& f) { return same_word(f.name, name); }));
}

bool fields::has_word(std::string_view name, std::string_view word) const noexcept {
    return std::any_of(begin(), end(),
                       [&](const field& f) { return same_word(f.name, name) && list_has(f.value, word); });
}

}  // namespace copse::io::http
