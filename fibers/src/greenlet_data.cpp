#include "greenlet_data.hpp"

#include <algorithm>
#include <mutex>
#include <utility>

#include <copse/detail/wait.hpp>

#include "fork.hpp"
#include "thread_state.hpp"

namespace copse::detail {

namespace {

// Who has which index. Keys may be static objects of every thread, and of programs that end: so this one never does.
class key_registry final : fork_watcher {
public:
    static key_registry& get() {
        static key_registry& all = *new key_registry;
        return all;
    }

    void enter(data_key& key) {
        const std::lock_guard lock(mutex_);
        if (free_.empty()) {
            free_.reserve(serials_.size() + 1);  // so that leaving cannot fail
            serials_.push_back(0);
            key.index = static_cast<std::uint32_t>(serials_.size() - 1);
        } else {
            key.index = free_.back();
            free_.pop_back();
        }
        key.serial = serials_[key.index] = ++last_serial_;
    }

    void leave(const data_key& key) noexcept {
        const std::lock_guard lock(mutex_);
        serials_[key.index] = 0;
        free_.push_back(key.index);
    }

    void before_fork() noexcept override { mutex_.lock(); }
    void after_fork() noexcept override { mutex_.unlock(); }

    void drop_ended(context_values& values) {
        const std::lock_guard lock(mutex_);
        std::erase_if(values, [this](const context_entry& e) { return serials_[e.index] != e.serial; });
    }

private:
    std::mutex mutex_;
    std::vector<std::uint64_t> serials_;  // by index; 0: nobody's
    std::vector<std::uint32_t> free_;
    std::uint64_t last_serial_ = 0;
    fork_registration at_forks_{*this};
};

greenlet_data& data_of_current() {
    thread_state::here();  // before it, what is current is shared by all threads
    core& self = *this_thread.current;
    if (self.data == nullptr) self.data = new greenlet_data;
    return *self.data;
}

// Takes a value out of the chain; it is still there in `locals`.
void unchain(greenlet_data& data, const local_value& gone) noexcept {
    local_value** at = &data.newest;
    while (*at != &gone) at = &(*at)->older;
    *at = gone.older;
}

void remove(greenlet_data& data, local_value& gone) noexcept {
    unchain(data, gone);
    data.locals[gone.index] = nullptr;
    gone.drop(gone);  // last: it may look for itself, or make others
}

std::shared_ptr<context_values> copy_of(const std::shared_ptr<const context_values>& values) {
    auto copy = values == nullptr ? std::make_shared<context_values>() : std::make_shared<context_values>(*values);
    key_registry::get().drop_ended(*copy);
    return copy;
}

}  // namespace

data_key::data_key() { key_registry::get().enter(*this); }

data_key::~data_key() { key_registry::get().leave(*this); }

void add_local(const data_key& key, std::unique_ptr<local_value, void (*)(local_value*)> made) {
    greenlet_data& data = data_of_current();
    if (key.index >= data.locals.size()) data.locals.resize(key.index + 1);
    // One whose key has ended: its index is used again.
    if (local_value* stale = data.locals[key.index]) remove(data, *stale);
    made->index = key.index;
    made->serial = key.serial;
    made->older = data.newest;
    data.newest = data.locals[key.index] = made.release();
}

void drop_local(const data_key& key) noexcept {
    if (local_value* found = find_local(key)) remove(*this_thread.current->data, *found);
}

const std::shared_ptr<const void>* find_context(const data_key& key) noexcept {
    const greenlet_data* data = this_thread.current->data;
    if (data == nullptr || data->inherited == nullptr) return nullptr;
    for (const context_entry& e : *data->inherited) {
        if (e.serial == key.serial) return &e.value;
    }
    return nullptr;
}

void set_context(const data_key& key, std::shared_ptr<const void> value) {
    greenlet_data& data = data_of_current();
    const auto copy = copy_of(data.inherited);
    std::erase_if(*copy, [&key](const context_entry& e) { return e.serial == key.serial; });
    if (value != nullptr) copy->push_back({key.index, key.serial, std::move(value)});
    // The old one ends after the new one is in place: what it destroys may look.
    const auto before = std::exchange(data.inherited, copy);
}

std::uint64_t data_owner() {
    thread_state::here();
    return current_id();
}

std::unique_ptr<greenlet_data> inherited_data(const greenlet_data& of_spawner) {
    if (of_spawner.inherited == nullptr || of_spawner.inherited->empty()) return nullptr;
    auto data = std::make_unique<greenlet_data>();
    data->inherited = of_spawner.inherited;
    return data;
}

void end_all_data(core& c) noexcept {
    while (c.data != nullptr) {
        greenlet_data& data = *c.data;
        if (data.newest != nullptr) {
            remove(data, *data.newest);
        } else if (data.inherited != nullptr) {
            const auto before = std::exchange(data.inherited, nullptr);
        } else {
            delete std::exchange(c.data, nullptr);
        }
    }
}

}  // namespace copse::detail
