// Five philosophers and five forks. Everybody needs both forks beside the plate; std::scoped_lock takes two without the
// deadlock in which each holds one. Time is virtual: the dinner takes no time, and goes the same way every evening.
//
//     dining_philosophers
#include <copse/fibers.hpp>
#include <copse/virtual_time.hpp>

#include <array>
#include <iostream>
#include <mutex>
#include <vector>

using namespace std::chrono_literals;

int main() {
    const copse::virtual_time evening;
    const auto minute = [&] { return std::chrono::floor<std::chrono::minutes>(evening.elapsed()).count(); };

    // [dinner]
    constexpr std::array names = {"Aristotle", "Buridan", "Confucius", "Descartes", "Epicurus"};
    std::array<copse::mutex, names.size()> forks;

    std::vector<copse::fiber<void>> table;
    for (std::size_t seat = 0; seat < names.size(); ++seat) {
        table.push_back(copse::spawn([&, seat] {
            for (int course = 1; course <= 2; ++course) {
                {
                    const std::scoped_lock both(forks[seat], forks[(seat + 1) % forks.size()]);
                    std::cout << minute() << " min: " << names[seat] << " eats course " << course << '\n';
                    copse::sleep(10min);
                }
                copse::sleep(5min);  // thinks
            }
        }));
    }
    copse::join_all(table);
    // [/dinner]

    std::cout << minute() << " min: all have eaten\n";
}
