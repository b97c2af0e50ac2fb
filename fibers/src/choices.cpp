#include "choices.hpp"

#include <limits>
#include <stdexcept>

namespace copse::detail {

namespace {

[[noreturn]] void throw_unreadable(std::string_view text) {
    throw std::invalid_argument("explore: the replay \"" + std::string(text) +
                                "\" cannot be read: it is a list of numbers, n*m, kn, tn and d with commas between");
}

}  // namespace

choices choices::systematic(std::size_t most) {
    choices made(source::search);
    made.most_ = most;
    made.path_.reserve(256);
    return made;
}

choices choices::seeded(std::uint64_t seed) {
    choices made(source::seed);
    made.most_ = std::numeric_limits<std::size_t>::max();
    made.dice_ = seed;
    return made;
}

choices choices::replayed(std::string_view text) {
    choices made(source::script);
    made.most_ = std::numeric_limits<std::size_t>::max();
    std::string_view rest = text;
    const auto read_number = [&] {
        std::uint32_t n = 0;
        const auto read = std::from_chars(rest.data(), rest.data() + rest.size(), n);
        if (read.ec != std::errc()) throw_unreadable(text);
        rest.remove_prefix(static_cast<std::size_t>(read.ptr - rest.data()));
        return n;
    };
    while (!rest.empty()) {
        word w{0, 0};
        std::uint32_t times = 1;
        if (rest.front() == 'k' || rest.front() == 't' || rest.front() == 'd') {
            w.letter = rest.front();
            rest.remove_prefix(1);
        }
        if (w.letter != 'd') w.number = read_number();
        if (w.letter == 0 && rest.starts_with('*')) {
            rest.remove_prefix(1);
            times = read_number();
            if (times > 1'000'000) throw_unreadable(text);
        }
        made.script_.insert(made.script_.end(), times, w);
        if (rest.empty()) break;
        if (rest.front() != ',' || rest.size() == 1) throw_unreadable(text);
        rest.remove_prefix(1);
    }
    while (!made.script_.empty() && made.script_.back().letter == 0 && made.script_.back().number == 0)
        made.script_.pop_back();
    return made;
}

std::uint32_t choices::take(const alternatives& of) noexcept {
    if (strayed_) return 0;
    if (at_ < path_.size()) {
        if (path_[at_].of != of) {
            strayed_ = true;
            return 0;
        }
        return path_[at_++].taken;
    }
    if (path_.size() >= most_) {
        cut_ = true;
        return 0;
    }
    std::uint32_t taken = 0;
    if (from_ == source::seed) taken = drawn(of);
    if (from_ == source::script) {
        const std::optional<std::uint32_t> said = read(of);
        if (!said) {
            strayed_ = true;
            return 0;
        }
        taken = *said;
    }
    path_.push_back({taken, of});
    ++at_;
    return taken;
}

// Empty: what is said there does not fit.
std::optional<std::uint32_t> choices::read(const alternatives& of) noexcept {
    if (at_ >= script_.size()) return 0;
    const word w = script_[at_];
    switch (w.letter) {
    case 0:
        if (w.number < (of.interfering ? 1 : of.count)) return w.number;
        break;
    case 'k':
        if (w.number < of.kills) return 1 + w.number;
        break;
    case 't':
        if (w.number < of.timeouts) return 1 + of.kills + w.number;
        break;
    default:
        if (of.interfering && of.count > 1 + of.kills + of.timeouts) return of.count - 1;
    }
    return std::nullopt;
}

// Interferences are rare, or all would come early.
std::uint32_t choices::drawn(const alternatives& of) noexcept {
    if (!of.interfering) return static_cast<std::uint32_t>(draw() % of.count);
    if (draw() % 16 != 0) return 0;
    return static_cast<std::uint32_t>(1 + draw() % (of.count - 1));
}

// SplitMix64: neighbouring seeds have nothing in common.
std::uint64_t choices::draw() noexcept {
    dice_ += 0x9E3779B97F4A7C15U;
    std::uint64_t z = dice_;
    z = (z ^ (z >> 30U)) * 0xBF58476D1CE4E5B9U;
    z = (z ^ (z >> 27U)) * 0x94D049BB133111EBU;
    return z ^ (z >> 31U);
}

bool choices::next() noexcept {
    if (from_ != source::search) return false;
    while (!path_.empty() && path_.back().taken + 1 == path_.back().of.count) path_.pop_back();
    if (path_.empty()) return false;
    ++path_.back().taken;
    at_ = 0;
    return true;
}

choices::word choices::word_of(const choice& c) noexcept {
    if (!c.of.interfering || c.taken == 0) return {0, c.taken};
    if (c.taken <= c.of.kills) return {'k', c.taken - 1};
    if (c.taken <= c.of.kills + c.of.timeouts) return {'t', c.taken - 1 - c.of.kills};
    return {'d', 0};
}

std::string choices::text() const {
    std::string all;
    print([&all](std::string_view part) { all += part; });
    return all;
}

}  // namespace copse::detail
