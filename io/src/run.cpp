// Programs that are run to their end.
#include <copse/io/process.hpp>

namespace copse::io {

namespace {

void decide(redirect& stream, redirect::kind what) {
    if (stream.what() == redirect::automatic) stream = what;
}

/// The last of a text, whole lines if they are not too long.
std::string_view last_of(std::string_view text) {
    constexpr std::size_t most = 1024;
    while (!text.empty() && text.back() == '\n') text.remove_suffix(1);
    if (text.size() <= most) return text;
    text.remove_prefix(text.size() - most);
    const std::size_t line = text.find('\n');
    return line == std::string_view::npos ? text : text.substr(line + 1);
}

}  // namespace

process_failed::~process_failed() = default;

process_result run(const std::vector<std::string>& arguments, process_options with, std::string_view input) {
    decide(with.input, input.empty() ? redirect::null : redirect::pipe);
    decide(with.output, redirect::pipe);
    decide(with.errors, redirect::pipe);
    return process(arguments, with).communicate(input);
}

std::string check_output(const std::vector<std::string>& arguments, process_options with, std::string_view input) {
    process_result result = run(arguments, std::move(with), input);
    if (result.status.success()) return std::move(result.output);
    std::string text = '"' + arguments.front() + "\" " + to_string(result.status);
    if (const std::string_view last = last_of(result.errors); !last.empty()) text.append(": ").append(last);
    throw process_failed(text, std::move(result));
}

}  // namespace copse::io
