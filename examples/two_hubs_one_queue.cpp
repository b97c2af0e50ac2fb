// Two threads, each with a hub of its own, share a queue: a fiber of one puts, fibers of the other get. Who finds it full
// or empty is parked, and the other fibers of its thread run on. A result, which any thread may set and any fiber wait for,
// goes the other way.
//
//     two_hubs_one_queue
#include <copse/fibers.hpp>

#include <iostream>
#include <string>
#include <thread>

namespace {

// [shared]
// On the second thread: three fibers take words as they come.
void count_letters(copse::shared::queue<std::string>& words, copse::shared::async_result<std::size_t>& answer) {
    std::size_t letters = 0;  // of this thread's fibers alone: needs no lock
    copse::group readers;
    for (int i = 0; i < 3; ++i) {
        readers.spawn([&] {
            for (const std::string& word : words) letters += word.size();  // ends when it is closed and drained
        });
    }
    readers.join();
    answer.set(letters);
}
// [/shared]

}  // namespace

int main() {
    copse::shared::queue<std::string> words(4);
    copse::shared::async_result<std::size_t> answer;
    std::thread second([&] { count_letters(words, answer); });

    const auto writer = copse::spawn([&] {
        for (int i = 0; i < 1000; ++i) words.put("copse");  // parks while the queue is full
        words.close();
        std::cout << "1000 words written\n";
    });
    const auto waiting = copse::spawn([&] { std::cout << answer.get() << " letters read\n"; });
    copse::join_all(writer, waiting);
    second.join();
}
