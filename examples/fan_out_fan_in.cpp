// Questions go out to many fibers, and answers come in as they are ready: the quick ones first. A question that fails is an answer
// too, and does not end the others. When enough is known the loop is left, and what still runs is ended.
//
//     fan_out_fan_in
#include <copse/fibers.hpp>
#include <copse/virtual_time.hpp>

#include <iostream>
#include <stdexcept>
#include <string>
#include <vector>

using namespace std::chrono_literals;

namespace {

struct server {
    std::string name;
    std::chrono::milliseconds delay;
};

std::string ask(const server& s) {
    struct goodbye {
        const server& of;
        bool answered = false;
        ~goodbye() {
            if (!answered) std::cout << "  " << of.name << " is not waited for\n";
        }
    } end{s};
    copse::sleep(s.delay);
    end.answered = true;
    if (s.name == "broken") throw std::runtime_error(s.name + " is out of order");
    return s.name + " says yes";
}

}  // namespace

int main() {
    copse::virtual_time time;
    const std::vector<server> servers = {
        {"slow", 900ms}, {"quick", 20ms}, {"broken", 100ms}, {"middling", 300ms}, {"asleep", 1h}};

    // [imap]
    copse::pool askers(servers.size());
    {
        auto answers = askers.imap_unordered(servers, ask);
        int yes = 0;
        for (auto a = answers.begin(); yes < 2 && a != answers.end(); ++a) {
            try {
                std::cout << *a << ", after " << time.elapsed() / 1ms << " ms\n";
                if (++yes == 2) break;
            } catch (const std::runtime_error& e) {
                std::cout << e.what() << '\n';
            }
        }
    }  // the rest is ended, and waited for
    // [/imap]
    std::cout << "still asking: " << askers.size() << '\n';
}
