// A semaphore: a café has five places and thirteen visitors come at once. Eight of them wait, and each place that is left
// goes to who has waited longest.
//
//     five_places
#include <copse/fibers.hpp>

#include <algorithm>
#include <iostream>

using namespace std::chrono_literals;

namespace {

constexpr int visitors = 13;
constexpr int places = 5;

// [visit]
class cafe {
public:
    void visit(int visitor) {
        const copse::permit place(places_);  // given back at the end of the scope, whatever ends it
        most_ = std::max(most_, ++inside_);
        std::cout << "visitor " << visitor << " sits down\n";
        copse::sleep(100ms);
        --inside_;
    }

    int most() const { return most_; }

private:
    copse::semaphore places_{places};
    int inside_ = 0;
    int most_ = 0;
};
// [/visit]

}  // namespace

int main() {
    cafe shared;
    copse::group all;
    for (int visitor = 1; visitor <= visitors; ++visitor) all.spawn([&shared, visitor] { shared.visit(visitor); });
    all.join();
    std::cout << "never more than " << shared.most() << " at once\n";
}
