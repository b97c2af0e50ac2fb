// A recursive mutex: functions that lock what they touch can call each other. Its owner is the fiber, so the other one waits
// although both run on one thread. It takes four seconds.
//
//     recursive_lock
#include <copse/fibers.hpp>

#include <iostream>
#include <mutex>
#include <string>

using namespace std::chrono_literals;

namespace {

// [account]
class account {
public:
    void deposit(const std::string& who, int amount) {
        const std::lock_guard lock(mutex_);
        const int before = balance_;
        copse::sleep(1s);  // slow bookkeeping: the lock is held across the park
        balance_ = before + amount;
        std::cout << who << ": " << balance_ << " (locked " << mutex_.depth() << " deep)\n";
    }

    void deposit_twice(const std::string& who, int amount) {
        const std::lock_guard lock(mutex_);  // nobody comes in between the two
        deposit(who, amount);
        deposit(who, amount);
    }

private:
    copse::recursive_mutex mutex_;
    int balance_ = 0;
};
// [/account]

}  // namespace

int main() {
    account shared;
    const auto ann = copse::spawn([&] { shared.deposit_twice("ann", 10); });
    const auto bob = copse::spawn([&] { shared.deposit_twice("bob", 1); });
    copse::join_all(ann, bob);
}
