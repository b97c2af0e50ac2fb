// Looks up a list of names, a line each, at most thirty at a time: a lookup takes long because it waits, so waits stand side by
// side. Answers are printed in the order of the names, as soon as all before them are there.
//
//     io_mass_lookup < names
#include <copse/fibers.hpp>
#include <copse/io/line_reader.hpp>
#include <copse/io/pipe_stream.hpp>
#include <copse/io/resolver.hpp>

#include <chrono>
#include <exception>
#include <iostream>
#include <string>
#include <vector>

namespace io = copse::io;
using namespace std::chrono_literals;

namespace {

std::vector<std::string> read_names() {
    std::vector<std::string> names;
    io::line_reader input(io::pipe_reader::borrow(0));
    for (const std::string_view line : input) {
        if (!line.empty()) names.emplace_back(line);
    }
    return names;
}

// [lookup]
// Its addresses, or why there are none: one bad name is no reason to stop.
std::string addresses_of(io::resolver& names, const std::string& name) {
    try {
        std::string all;
        for (const io::endpoint& there : names.resolve_for(name, 0, 10s)) all += ' ' + there.address();
        return all;
    } catch (const std::exception& e) {
        return std::string(" ? ") + e.what();
    }
}

void look_up(const std::vector<std::string>& names) {
    constexpr std::size_t at_once = 30;
    io::resolver resolver({.threads = at_once});
    copse::pool fibers(at_once);
    auto answers = fibers.imap(names, [&](const std::string& name) { return addresses_of(resolver, name); });
    for (auto name = names.begin(); const std::string& answer : answers) std::cout << *name++ << ':' << answer << '\n';
}
// [/lookup]

}  // namespace

int main(int argc, char** /*argv*/) {
    if (argc > 1) {
        std::cerr << "usage: io_mass_lookup < names\n";
        return 2;
    }
    try {
        const auto names = read_names();
        const auto began = copse::clock::now();
        look_up(names);
        std::cout << names.size() << " names in " << (copse::clock::now() - began) / 1ms << " ms\n";
        return 0;
    } catch (const std::exception& e) {
        std::cerr << "io_mass_lookup: " << e.what() << '\n';
        return 1;
    }
}
