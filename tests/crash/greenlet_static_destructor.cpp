// Static destructors, of objects made before and after the first use, ask who is current, switch, and drop what is left. Rule 75.
// expect-exit: 0
// expect-stdout: \Amain returns\nlater: main, result 5, refused\nearlier: main, result 5, refused\n\Z

#include <copse/greenlet.hpp>

#include <cstdio>
#include <thread>

using copse::greenlet;

namespace {

greenlet kept;
greenlet of_ended_thread;

struct user {
    explicit user(const char* n) : name(n) {}
    user(const user&) = delete;
    user& operator=(const user&) = delete;
    ~user() {
        const char* who = greenlet::current().is_main() ? "main" : "?";
        greenlet g([](int n) { return greenlet::current().parent().switch_to(n).as<int>() + 1; });
        const int n = g.switch_to(4).as<int>();
        const int result = g.switch_to(n).as<int>();
        const char* old = "accepted";
        try {
            kept.switch_to();
        } catch (const copse::thread_exited&) {
            old = "refused";
        }
        std::printf("%s: %s, result %d, %s\n", name, who, result, old);
    }
    const char* name;
};

user earlier("earlier");

}  // namespace

int main() {
    kept = greenlet([] { greenlet::current().parent().switch_to(); });
    kept.switch_to();
    static const user later("later");
    std::thread([] {
        of_ended_thread = greenlet([] { greenlet::current().parent().switch_to(); });
        of_ended_thread.switch_to();
    }).join();
    std::puts("main returns");
}
