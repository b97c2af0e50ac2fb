// raise() enters a greenlet by throwing there: at the switch in which it is suspended. What it does not catch ends it and
// goes to its parent.
//
//     exception_into_greenlet
#include <copse/greenlet.hpp>

#include <exception>
#include <iostream>
#include <stdexcept>
#include <string>

namespace {

const copse::greenlet& parent() { return copse::greenlet::current().parent(); }

// [worker]
// Suspends after each job; a job that is bad is told by an exception.
void work() {
    for (int done = 0;;) {
        try {
            parent().switch_to(done);
            ++done;
        } catch (const std::invalid_argument& e) {
            std::cout << "  worker: skips a job: " << e.what() << '\n';
        }
    }
}
// [/worker]

struct says_when_destroyed {
    std::string text;
    ~says_when_destroyed() { std::cout << "  " << text << '\n'; }
};

}  // namespace

int main() {
    // [raise]
    copse::greenlet worker(work);
    worker.switch_to();
    worker.switch_to();
    int done = worker.raise(std::invalid_argument("no paper")).as<int>();
    std::cout << "done: " << done << '\n';
    done = worker.switch_to().as<int>();
    std::cout << "done: " << done << '\n';

    // An exception that it does not catch comes out here: main is its parent.
    try {
        worker.raise(std::runtime_error("the house is on fire"));
    } catch (const std::runtime_error& e) {
        std::cout << "main: " << e.what() << "; worker is " << (worker.dead() ? "dead" : "alive") << '\n';
    }
    // [/raise]

    // Without an argument it is greenlet_exit, which asks the greenlet to end. It is no std::exception, destructors run
    // as for any other, and the parent gets it as a value instead of as an exception.
    copse::greenlet tidy([] {
        const says_when_destroyed file{"tidy: the file is closed"};
        try {
            parent().switch_to();
        } catch (const std::exception&) {
            std::cout << "  tidy: never comes here\n";
        }
    });
    tidy.switch_to();
    const bool quietly = tidy.raise().holds<std::exception_ptr>();
    std::cout << "main: tidy ended " << (quietly ? "quietly" : "loudly") << '\n';

    // One that has not started never will.
    copse::greenlet unstarted([] { std::cout << "never printed\n"; });
    unstarted.raise();
    std::cout << "main: unstarted is " << (unstarted.dead() ? "dead" : "alive") << '\n';
}
