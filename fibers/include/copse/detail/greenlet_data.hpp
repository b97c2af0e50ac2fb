// What a greenlet carries around for others: its values of every `local` and `context_var`.
//
// Invariants:
//   - A key's index is shared by at most one living key; its serial number is never used twice. So a value whose key has ended
//     is told from one of the key that has the index now.
//   - Values belong to one greenlet, and are touched on its thread only. Keys may be used by every thread.
#pragma once

#include <cstdint>
#include <memory>
#include <stop_token>
#include <vector>

#include <copse/detail/core.hpp>

namespace copse::detail {

/// Names a `local` or a `context_var`.
class data_key {
public:
    /// Throws:  std::bad_alloc.
    data_key();
    data_key(const data_key&) = delete;
    data_key& operator=(const data_key&) = delete;
    ~data_key();

    std::uint32_t index;
    std::uint64_t serial;
};

/// A value of a greenlet; what it is a value of is told by the serial number.
struct local_value {
    explicit local_value(void (*destroy)(local_value&) noexcept) noexcept : drop(destroy) {}
    void (*const drop)(local_value&) noexcept;
    local_value* older = nullptr;
    std::uint64_t serial = 0;
    std::uint32_t index = 0;
};

/// The values of inheritable variables. Never changed once it is shared: fibers hold it together with their spawner.
struct context_entry {
    std::uint32_t index;
    std::uint64_t serial;
    std::shared_ptr<const void> value;
};
using context_values = std::vector<context_entry>;

struct greenlet_data {
    std::vector<local_value*> locals;  // by index
    local_value* newest = nullptr;     // the same, the last made first: they end in that order
    std::shared_ptr<const context_values> inherited;
    std::unique_ptr<std::stop_source> stop;  // of a fiber: requested with its kill
};

/// The current greenlet's value; null if it has none.
inline local_value* find_local(const data_key& key) noexcept {
    const greenlet_data* data = this_thread.current->data;
    if (data == nullptr || key.index >= data->locals.size()) return nullptr;
    local_value* found = data->locals[key.index];
    return found != nullptr && found->serial == key.serial ? found : nullptr;
}

/// Gives the current greenlet a value, which it owns from then on. There is none yet.
void add_local(const data_key& key, std::unique_ptr<local_value, void (*)(local_value*)> made);

/// Ends the current greenlet's value, if it has one.
void drop_local(const data_key& key) noexcept;

/// The current greenlet's value of an inheritable variable; null if there is none.
const std::shared_ptr<const void>* find_context(const data_key& key) noexcept;

/// Sets it, null: takes it away. Costs a copy of the table.
void set_context(const data_key& key, std::shared_ptr<const void> value);

/// A number for the current greenlet that no other ever has.
std::uint64_t data_owner();

}  // namespace copse::detail
