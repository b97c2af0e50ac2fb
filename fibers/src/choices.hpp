// The choices of one execution after the other: systematic, from a text, or from a seed.
#pragma once

#include <algorithm>
#include <array>
#include <charconv>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace copse::detail {

/// What can be done to those who run. Of interferences the alternatives are: none, then so many kills, timeouts, deadlines.
struct alternatives {
    std::uint32_t count = 0;
    std::uint32_t kills = 0;
    std::uint32_t timeouts = 0;
    bool interfering = false;
    friend bool operator==(const alternatives&, const alternatives&) = default;
};

/// One by one: 0 first. After the last execution of a systematic search `next` says so.
class choices {
public:
    /// What lies beyond `most` in one execution is 0.
    static choices systematic(std::size_t most);
    /// Throws:  std::invalid_argument if it cannot be read.
    static choices replayed(std::string_view text);
    static choices seeded(std::uint64_t seed);

    std::uint32_t take(const alternatives& of) noexcept;

    /// Begins the next execution.
    /// Returns: false if there is none.
    bool next() noexcept;

    /// The last execution did not come to the choices that it was to repeat.
    bool strayed() const noexcept { return strayed_ || at_ < path_.size() || path_.size() < script_.size(); }
    /// Something was not varied.
    bool cut() const noexcept { return cut_; }
    /// Made in this execution so far.
    std::size_t made() const noexcept { return path_.size(); }

    /// As `replayed` reads it.
    std::string text() const;

    /// The same piece by piece, by `put(std::string_view)`. Does nothing that a signal handler must not do.
    template <class Put>
    void print(Put put) const {
        std::size_t last = path_.size();
        while (last > 0 && path_[last - 1].taken == 0) --last;
        if (last == 0) put(std::string_view("0"));
        for (std::size_t i = 0; i < last;) {
            if (i != 0) put(std::string_view(","));
            std::size_t zeros = 0;
            while (path_[i + zeros].taken == 0) ++zeros;
            if (zeros > 1) {
                put(std::string_view("0*"));
                print_number(put, zeros);
            } else {
                const word w = word_of(path_[i]);
                if (w.letter != 0) put(std::string_view(&w.letter, 1));
                if (w.letter != 'd') print_number(put, w.number);
            }
            i += std::max<std::size_t>(zeros, 1);
        }
    }

private:
    enum class source : std::uint8_t { search, script, seed };
    struct choice {
        std::uint32_t taken;
        alternatives of;
    };
    struct word {
        char letter;  // 'k', 't', 'd', or 0 for a number
        std::uint32_t number;
    };

    explicit choices(source from) noexcept : from_(from) {}
    std::optional<std::uint32_t> read(const alternatives& of) noexcept;
    std::uint32_t drawn(const alternatives& of) noexcept;
    std::uint64_t draw() noexcept;
    static word word_of(const choice& c) noexcept;
    template <class Put>
    static void print_number(Put put, std::size_t number) {
        std::array<char, 20> digits{};
        const auto end = std::to_chars(digits.data(), digits.data() + digits.size(), number).ptr;
        put(std::string_view(digits.data(), static_cast<std::size_t>(end - digits.data())));
    }

    source from_;
    std::vector<choice> path_;
    std::size_t at_ = 0;  // in path_: how much of it this execution has repeated
    std::size_t most_ = 0;
    std::vector<word> script_;
    std::uint64_t dice_ = 0;
    bool strayed_ = false;
    bool cut_ = false;
};

}  // namespace copse::detail
