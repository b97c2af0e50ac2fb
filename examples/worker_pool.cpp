// Three workers over one joinable queue. Whoever has nothing to do takes the next job; main waits until every job that was put
// has been worked off, and then closes the queue, which ends the workers' loops.
//
//     worker_pool
#include <copse/fibers.hpp>

#include <array>
#include <iostream>
#include <vector>

// [whole]
int main() {
    copse::joinable_queue<int> jobs(4);  // more than four have to wait outside
    std::array<int, 9> squares{};
    std::array<int, 3> done_by{};

    std::vector<copse::fiber<void>> workers;
    for (int& done : done_by) {
        workers.push_back(copse::spawn([&jobs, &squares, &done] {
            for (const int n : jobs) {
                copse::yield();  // in place of work that waits
                squares[static_cast<std::size_t>(n)] = n * n;
                ++done;
                jobs.task_done();
            }
        }));
    }

    for (int n = 0; n < 9; ++n) jobs.put(n);  // parks while the queue is full
    std::cout << "all jobs are put, unfinished: " << jobs.unfinished() << '\n';
    jobs.join();
    std::cout << "all jobs are done, unfinished: " << jobs.unfinished() << '\n';
    for (const int square : squares) std::cout << square << ' ';
    std::cout << '\n';

    jobs.close();
    copse::join_all(workers);
    for (const int done : done_by) std::cout << "a worker did " << done << '\n';
}
// [/whole]
