#include "hub_list.hpp"

#include <algorithm>
#include <mutex>
#include <vector>

#include "fork.hpp"
#include "hub_core.hpp"

namespace copse::detail {

namespace {

// The doors of all hubs are held too, so that in the child none is held by a thread that is not there.
struct hub_list final : fork_watcher {
    void before_fork() noexcept override {
        mutex.lock();
        for (hub_core* hub : hubs) hub->hold_door();
    }
    void after_fork() noexcept override {
        for (hub_core* hub : hubs) hub->release_door();
        mutex.unlock();
    }
    void in_child() noexcept override {
        for (hub_core* hub : hubs) {
            if (hub != this_thread.hub) hub->door()->hub = nullptr;
        }
        std::erase_if(hubs, [](const hub_core* hub) { return hub != this_thread.hub; });
    }

    std::mutex mutex;
    std::vector<hub_core*> hubs;  // guarded by mutex
    fork_registration at_forks{*this};
};

// Threads may end after the static objects have: this one never does.
hub_list& all_hubs() {
    static hub_list& all = *new hub_list;
    return all;
}

}  // namespace

void enlist_hub(hub_core& hub) {
    hub_list& all = all_hubs();
    const std::lock_guard lock(all.mutex);
    all.hubs.push_back(&hub);
}

void strike_off_hub(hub_core& hub) noexcept {
    hub_list& all = all_hubs();
    const std::lock_guard lock(all.mutex);
    all.hubs.erase(std::find(all.hubs.begin(), all.hubs.end(), &hub));
}

void for_each_hub(void (*visit)(hub_core& hub, void* with), void* with) {
    hub_list& all = all_hubs();
    const std::lock_guard lock(all.mutex);
    for (hub_core* hub : all.hubs) visit(*hub, with);
}

}  // namespace copse::detail
