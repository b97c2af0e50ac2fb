/// Lines of a stream.
#pragma once

#include <chrono>
#include <cstddef>
#include <iterator>
#include <memory>
#include <optional>
#include <string_view>

#include <copse/io/buffered_stream.hpp>
#include <copse/io/detail/pull_iterator.hpp>

namespace copse::io {

/// The lines of a stream, one after the other, as buffered_stream::read_line cuts them.
///
///     for (const std::string_view line : copse::io::line_reader(copse::io::standard_input())) std::cout << line << '\n';
///
/// A view lasts until the next line is asked for. What is said of buffered_stream about threads, fibers, kills and errors
/// holds here too: a line that has begun to arrive is not lost.
class line_reader {
public:
    /// `most`: bytes of a line.
    explicit line_reader(any_stream from, std::size_t most = buffered_stream::default_limit)
        : own_(std::make_unique<buffered_stream>(std::move(from))), from_(own_.get()), most_(most) {}
    /// Reads on where others have stopped, and leaves there what it has not taken. Refers to it.
    explicit line_reader(buffered_stream& from, std::size_t most = buffered_stream::default_limit) noexcept
        : from_(&from), most_(most) {}

    /// Parks:   until the line is there.
    /// Returns: empty at the end of the stream.
    /// Throws:  transfer_error(message_size) if the line has more bytes than it may.
    std::optional<std::string_view> next() { return from_->read_line(most_); }
    template <class Rep, class Period>
    std::optional<std::string_view> next_for(std::chrono::duration<Rep, Period> length) {
        return from_->read_line_for(length, most_);
    }
    template <class Clock, class Duration>
    std::optional<std::string_view> next_until(std::chrono::time_point<Clock, Duration> when) {
        return from_->read_line_until(when, most_);
    }

    /// What it reads from: for what comes after the last line.
    buffered_stream& below() noexcept { return *from_; }

    using iterator = detail::pull_iterator<line_reader, std::string_view, &line_reader::next>;
    /// Parks:   as next; so does ++.
    iterator begin() { return iterator(*this); }
    std::default_sentinel_t end() const noexcept { return std::default_sentinel; }

private:
    std::unique_ptr<buffered_stream> own_;
    buffered_stream* from_;
    std::size_t most_;
};

}  // namespace copse::io
