// Iterators over what is pulled, one item at a time, until there is no more.
#pragma once

#include <cstddef>
#include <iterator>
#include <optional>
#include <utility>

namespace copse::io::detail {

/// `Next` is the member function of `Source` that gives the next item, or empty at the end. An input iterator: one pass.
template <class Source, class Item, std::optional<Item> (Source::*Next)()>
class pull_iterator {
public:
    using iterator_concept = std::input_iterator_tag;
    using iterator_category = std::input_iterator_tag;
    using value_type = Item;
    using difference_type = std::ptrdiff_t;
    using pointer = Item*;
    using reference = Item&;

    pull_iterator() noexcept = default;
    /// Pulls the first one.
    explicit pull_iterator(Source& from) : from_(&from), item_((from.*Next)()) {}

    reference operator*() const noexcept { return *item_; }
    pointer operator->() const noexcept { return &*item_; }
    pull_iterator& operator++() {
        item_ = (from_->*Next)();
        return *this;
    }
    void operator++(int) { ++*this; }
    friend bool operator==(const pull_iterator& at, std::default_sentinel_t /*end*/) noexcept {
        return !at.item_.has_value();
    }

private:
    Source* from_ = nullptr;
    mutable std::optional<Item> item_;  // dereferencing is const, and items may be moved out
};

}  // namespace copse::io::detail
