// A producer and two consumers around a queue with room for two items. Who finds it full or empty is parked until there is
// room or an item; an item goes straight to whoever has waited longest. Closing the queue ends the consumers' loops.
//
//     queue_producer_consumer
#include <copse/fibers.hpp>

#include <iostream>
#include <string_view>

namespace {

// [queue]
void produce(copse::queue<int>& items) {
    for (int i = 1; i <= 6; ++i) {
        items.put(i);  // parks while the queue is full
        std::cout << "produced " << i << '\n';
    }
    items.close();  // what is inside can still be taken
}

void consume(std::string_view name, copse::queue<int>& items) {
    int sum = 0;
    for (const int item : items) {  // parks while the queue is empty, ends when it is closed and drained
        std::cout << "  " << name << " takes " << item << '\n';
        copse::yield();  // in place of work that waits: the others go on meanwhile
        sum += item;
    }
    std::cout << "  " << name << " is done, its sum is " << sum << '\n';
}
// [/queue]

}  // namespace

int main() {
    copse::queue<int> items(2);
    const auto fibers = {copse::spawn([&] { produce(items); }), copse::spawn([&] { consume("ann", items); }),
                         copse::spawn([&] { consume("bob", items); })};
    copse::join_all(fibers);
}
