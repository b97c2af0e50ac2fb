// Exploring: the executions one after the other, and what is said when one fails.
#include <copse/explore.hpp>

#include <algorithm>
#include <charconv>
#include <cstdlib>
#include <optional>

#include "explorer.hpp"
#include "last_line.hpp"

namespace copse {

using detail::choices;
using detail::explorer;

namespace {

constexpr const char* variable_of_choices = "COPSE_REPLAY";
constexpr const char* variable_of_seeds = "COPSE_SEED";

std::string line_of(const char* variable, const std::string& name) {
    return variable + std::string("=") + (name.empty() ? "" : name + ":");
}

// What the environment says for an exploration of this name; without a name: what names none.
std::optional<std::string> told_by_environment(const char* variable, const std::string& name) {
    const char* const text = std::getenv(variable);  // NOLINT(concurrency-mt-unsafe): read only
    if (text == nullptr) return std::nullopt;
    const std::string_view all = text;
    if (name.empty()) return all.find(':') == std::string_view::npos ? std::optional(std::string(all)) : std::nullopt;
    if (!all.starts_with(name + ':')) return std::nullopt;
    return std::string(all.substr(name.size() + 1));
}

std::uint64_t seed_of(const std::string& text) {
    std::uint64_t seed = 0;
    const auto read = std::from_chars(text.data(), text.data() + text.size(), seed);
    if (read.ec != std::errc() || read.ptr != text.data() + text.size())
        throw std::invalid_argument("explore_seeds: " + std::string(variable_of_seeds) + " is \"" + text +
                                    "\", which is no seed");
    return seed;
}

template <class Options>
detail::exploration_rules rules_of(const char* operation, const Options& with) {
    return {.operation = operation,
            .name = with.name,
            .kills = with.kills,
            .timeouts = with.timeouts,
            .deadlines = with.deadlines,
            .interferences = with.interferences,
            .max_dispatches = with.max_dispatches,
            .hangs = with.hangs};
}

void count(explored& so_far, const choices& made) {
    ++so_far.executions;
    so_far.choices += made.made();
    so_far.deepest = std::max(so_far.deepest, made.made());
}

[[noreturn]] void throw_strayed(const detail::exploration_rules& rules, const choices& made, bool replayed) {
    const std::string who = std::string(rules.operation) + (rules.name.empty() ? "" : " of " + std::string(rules.name));
    if (replayed)
        throw std::invalid_argument(who + ": the replay does not fit: the scenario has other choices than it names");
    throw not_deterministic(who + ": the scenario is not deterministic: it had other choices when " +
                            std::string(variable_of_choices) + "=" + made.text() +
                            " was repeated. It may depend on nothing but order, virtual time and choose()");
}

// How to run the failed execution once more, and what its line says.
struct repetition {
    choices again;
    std::string line;
    std::string replay;
};

[[noreturn]] void throw_failed(explorer& by, const detail::exploration_rules& rules, const scenario& run,
                               std::size_t executions, repetition repeat) {
    const detail::mishap failure = by.failure();
    by.tell();
    const bool failed_again = !by.run(run, repeat.again);
    std::string text = rules.operation;
    if (!rules.name.empty()) text.append(" of ").append(rules.name);
    text += ": execution " + std::to_string(executions) + " failed: " + failure.text;
    if (text.back() != '\n') text += '\n';
    text += "in this order: " + by.story() + '\n';
    if (!failed_again) text += "(repeated, it did not fail: the scenario is not deterministic)\n";
    text += repeat.line + repeat.replay;
    throw exploration_failed(text, std::move(repeat.replay), failure.cause);
}

}  // namespace

exploration_failed::exploration_failed(const std::string& text, std::string replay, std::exception_ptr cause)
    : std::runtime_error(text),
      replay_(std::make_shared<const std::string>(std::move(replay))),
      cause_(std::move(cause)) {}

exploration_failed::~exploration_failed() = default;

std::size_t exploration::choose(std::size_t of) { return by_.choose(of); }

void exploration::check(bool holds, std::string_view text) noexcept {
    if (!holds) by_.fail("this did not hold: " + std::string(text), nullptr);
}

bool exploration::interfered() const noexcept { return by_.interfered(); }

explored explore(const explore_options& with, const scenario& run) {
    if (run == nullptr) throw null_callable("explore: the scenario is null");
    const detail::exploration_rules rules = rules_of("explore", with);
    const std::optional<std::string> script =
        with.replay.empty() ? told_by_environment(variable_of_choices, with.name) : with.replay;
    choices made = script ? choices::replayed(*script) : choices::systematic(with.max_choices);
    const std::string line = line_of(variable_of_choices, with.name);
    explorer by(rules);
    const detail::last_line at_abort(line, &made);
    explored so_far;
    do {
        const bool well = by.run(run, made);
        if (made.strayed()) throw_strayed(rules, made, script.has_value());
        count(so_far, made);
        if (!well) {
            std::string replay = made.text();
            throw_failed(by, rules, run, so_far.executions, {choices::replayed(replay), line, replay});
        }
        so_far.complete = !made.next();
    } while (!so_far.complete && so_far.executions < with.limit);
    so_far.complete = so_far.complete && !made.cut() && !script;
    return so_far;
}

explored explore(const scenario& run) { return explore(explore_options(), run); }

explored explore_seeds(const explore_seeds_options& with, const scenario& run) {
    if (run == nullptr) throw null_callable("explore_seeds: the scenario is null");
    const detail::exploration_rules rules = rules_of("explore_seeds", with);
    const std::optional<std::string> only = told_by_environment(variable_of_seeds, with.name);
    const std::uint64_t first = only ? seed_of(*only) : with.first;
    const std::string line = line_of(variable_of_seeds, with.name);
    explorer by(rules);
    explored so_far;
    for (std::uint64_t seed = first; so_far.executions < (only ? 1 : with.seeds); ++seed) {
        choices made = choices::seeded(seed);
        const detail::last_line at_abort(line + std::to_string(seed), nullptr);
        const bool well = by.run(run, made);
        count(so_far, made);
        if (!well) throw_failed(by, rules, run, so_far.executions, {choices::seeded(seed), line, std::to_string(seed)});
    }
    return so_far;
}

}  // namespace copse
