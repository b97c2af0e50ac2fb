// Two queues that do not give their items in the order in which these came: one gives the greatest first, equal ones in the
// order of arrival; the other the newest. In everything else they are like any queue: who finds one full or empty is parked,
// and closing one ends its consumers' loops when it is drained.
//
//     priority_and_lifo
#include <copse/fibers.hpp>

#include <iostream>
#include <string>

namespace {

// [priority]
struct job {
    int urgency;
    std::string what;
};

struct less_urgent {
    bool operator()(const job& a, const job& b) const { return a.urgency < b.urgency; }
};

void by_urgency() {
    copse::priority_queue<job, less_urgent> jobs(10);
    jobs.put({1, "sweep the floor"});
    jobs.put({9, "put out the fire"});
    jobs.put({5, "answer the phone"});
    jobs.put({5, "open the door"});
    std::cout << "most urgent: " << jobs.peek().what << '\n';  // looks, and leaves it there
    jobs.close();
    for (const job& next : jobs) std::cout << "  " << next.urgency << ' ' << next.what << '\n';
}
// [/priority]

// [lifo]
void newest_first() {
    copse::lifo_queue<std::string> plates(3);
    const auto washer = copse::spawn([&] {
        for (const auto* plate : {"red", "green", "blue", "white"}) {
            plates.put(plate);  // parks while the pile is full
            std::cout << "  washed " << plate << '\n';
        }
        plates.close();
    });
    copse::yield();
    for (const std::string& plate : plates) std::cout << "  took " << plate << '\n';
    washer.join();
}
// [/lifo]

}  // namespace

int main() {
    by_urgency();
    std::cout << "a pile of plates:\n";
    newest_first();
}
