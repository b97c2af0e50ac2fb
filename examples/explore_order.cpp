// Two fibers take money from one account. Each looks first whether there is enough, but between the look and the act it
// lets others run; in the order in which everybody tries it out, nothing goes wrong. Exploring runs it in every order,
// finds the one in which it does, and says how to repeat that. The second version holds a lock, and is right in all of
// them, kills included.
//
//     explore_order
#include <copse/explore.hpp>
#include <copse/fibers.hpp>

#include <iostream>
#include <mutex>

namespace {

// [account]
struct account {
    int balance = 100;

    void take(int amount) {
        if (balance < amount) return;
        copse::yield();  // asks whether the card is blocked, say
        balance -= amount;
    }
};
// [/account]

struct locked_account : account {
    copse::mutex lock;

    void take(int amount) {
        const std::scoped_lock held(lock);
        account::take(amount);
    }
};

// [scenario]
template <class Account>
void pay(copse::exploration& run) {
    Account ours;
    const auto rent = copse::spawn({.name = "rent"}, [&] {
        copse::yield();  // opens the letter
        copse::yield();  // reads it
        ours.take(70);
    });
    const auto phone = copse::spawn({.name = "phone"}, [&] { ours.take(50); });
    copse::join_all(rent, phone);
    run.check(ours.balance >= 0, "the account is not overdrawn");
}
// [/scenario]

}  // namespace

int main() {
    // [explore]
    try {
        copse::explore({.name = "pay"}, pay<account>);
    } catch (const copse::exploration_failed& e) {
        std::cout << e.what() << '\n';
    }

    const copse::explored all = copse::explore({.name = "pay", .kills = true}, pay<locked_account>);
    std::cout << "with a lock: " << all.executions << " executions, all orders: " << std::boolalpha << all.complete
              << '\n';
    // [/explore]
}
