#include <copse/greenlet.hpp>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ostream>

#include <copse/debug.hpp>
#include <copse/detail/type_name.hpp>
#include <copse/stack.hpp>

#include "hub_core.hpp"
#include "life.hpp"
#include "stack_walk.hpp"
#include "switch.hpp"

namespace copse {

namespace detail {

namespace {

constexpr std::size_t stack_unit = 4096;

// The block behind a handle, on its own thread.
core& owned(const greenlet& g, const char* operation) {
    core& c = handle_access::of(g);
    if (&c == &nobody || c.owner != this_thread.state) [[unlikely]]
        refuse(g, operation);
    return c;
}

// The block behind a handle, for what may be asked from everywhere.
core& named(const greenlet& g, const char* operation) {
    core& c = handle_access::of(g);
    if (&c == &nobody) [[unlikely]]
        refuse(g, operation);
    return c;
}

char* copy_label(std::string_view name) {
    if (name.empty()) return nullptr;
    auto* label = static_cast<char*>(std::malloc(name.size() + 1));
    if (label == nullptr) throw std::bad_alloc();
    std::memcpy(label, name.data(), name.size());
    label[name.size()] = '\0';
    return label;
}

void set_parent_of(core& child, core& parent) noexcept {
    if (!parent.is(trait_eternal)) retain(parent);
    handle_access::set_view(child.parent, &parent);
}

std::uint32_t stack_request(std::size_t bytes) {
    if (bytes > maximum_stack_size) {
        throw std::invalid_argument("greenlet: a stack of " + std::to_string(bytes) +
                                    " bytes is more than maximum_stack_size (" + std::to_string(maximum_stack_size) +
                                    ")");
    }
    return static_cast<std::uint32_t>((bytes + stack_unit - 1) / stack_unit);
}

struct trace_of_stack final : visitor {
    std::vector<void*> addresses = std::vector<void*>(128);
    std::size_t found = 0;

    void visit() noexcept override { found = walk_stack(addresses); }
};

}  // namespace

void refuse(const greenlet& g, const char* operation) {
    if (g.empty()) throw empty_handle(std::string(operation) + " through an empty handle");
    const core& c = handle_access::of(g);
    if (c.owner->exited())
        throw thread_exited(std::string(operation) + ": the thread of " + to_string(g) + " has exited");
    throw wrong_thread(std::string(operation) + ": " + to_string(g) + " belongs to another thread (its main is " +
                       to_string(c.owner->main.self) + ", this thread's is " +
                       to_string(thread_state::here().main.self) + ")");
}

void* allocate_block(std::size_t size) {
    thread_state& state = thread_state::here();
    if (state.has_freed()) [[unlikely]]
        state.take_freed();
    return state.blocks.take(size);
}

void free_block(void* block, std::size_t size, thread_state* owner) noexcept {
    if (owner == this_thread.state) return owner->blocks.give(block, size);
    owner->free_from_elsewhere(block, size);
}

void check_parent(const greenlet& parent) {
    thread_state::here();
    if (!parent.empty()) owned(parent, "greenlet: the parent");
}

void prepare_block(core& block, const core_ops& ops, const greenlet& parent) noexcept {
    thread_state& state = *this_thread.state;
    block.owner = &state;
    block.ops = &ops;
    block.id = state.next_id();
    handle_access::set_view(block.self, &block);
    set_parent_of(block, parent.empty() ? *this_thread.current : handle_access::of(parent));
}

void prepare_block(core& block, const core_ops& ops, const greenlet_options& with) {
    prepare_block(block, ops, with.parent);
    block.stack_request = stack_request(with.stack_size);
    block.label = copy_label(with.name);
}

void attend_mail() { thread_state::here().attend_mail(); }

void abort_asked(const greenlet& consumer) noexcept {
    std::fprintf(stderr, "copse: a generator ended while %s waits for its next item\n", to_string(consumer).c_str());
    std::abort();
}

void throw_what_is_pending() {
    if ((this_thread.current->attention & attend_interrupt) != 0) attend_now();
}

void throw_null_callable(const char* operation) {
    throw null_callable(std::string(operation) + ": the callable is null");
}

void throw_unexpected_payload(const value& first) {
    throw bad_value_cast("the first switch delivered " + type_name(first.type()) +
                         " to a greenlet whose callable takes nothing");
}

}  // namespace detail

value greenlet::switch_slowly(value payload) const { return detail::enter(*core_, std::move(payload), nullptr); }

value greenlet::raise_ptr(std::exception_ptr exception) const {
    if (exception == nullptr) throw std::invalid_argument("raise: the exception_ptr is null");
    return detail::enter(*core_, value(), std::move(exception));
}

value greenlet::raise() const { return raise_ptr(std::make_exception_ptr(greenlet_exit())); }

const greenlet& greenlet::current() {
    detail::thread_state& state = detail::thread_state::here();
    state.attend_mail();
    return detail::this_thread.current->self;
}

const greenlet& greenlet::main() { return detail::thread_state::here().main.self; }

const greenlet& greenlet::parent() const { return detail::named(*this, "parent").parent; }

void greenlet::set_parent(const greenlet& parent) const {
    using namespace detail;
    core& child = owned(*this, "set_parent");
    if (child.is(trait_eternal)) throw parent_of_main("set_parent: a main greenlet has no parent");
    if (parent.empty()) throw empty_handle("set_parent: the new parent is an empty handle");
    core& to = owned(parent, "set_parent");
    for (core* up = &to; up != &nobody; up = &handle_access::of(up->parent)) {
        if (up == &child) throw parent_cycle("set_parent: " + to_string(parent) + " descends from " + to_string(*this));
    }
    core* before = handle_access::detach(child.parent);
    set_parent_of(child, to);
    if (!before->is(trait_eternal)) release(*before);
}

bool greenlet::started() const { return detail::named(*this, "started").has_started(); }

bool greenlet::active() const { return detail::named(*this, "active").is_active() && !dead(); }

bool greenlet::dead() const {
    const detail::core& c = detail::named(*this, "dead");
    return c.is_dead() || c.owner->exited();
}

bool greenlet::is_main() const {
    const detail::core& c = detail::named(*this, "is_main");
    return &c == &c.owner->main;
}

std::string greenlet::name() const {
    const detail::core& c = detail::owned(*this, "name");
    return c.label == nullptr ? std::string() : std::string(c.label);
}

void greenlet::set_name(std::string_view name) const {
    detail::core& c = detail::owned(*this, "set_name");
    std::free(std::exchange(c.label, detail::copy_label(name)));
}

std::uint64_t greenlet::id() const { return detail::named(*this, "id").id; }

std::size_t greenlet::stack_usage() const {
    const detail::core& c = detail::owned(*this, "stack_usage");
    return c.stack == nullptr || !c.is_active() ? 0 : detail::stack_pool::high_water(*c.stack);
}

std::vector<void*> greenlet::backtrace() const {
    detail::core& c = detail::owned(*this, "backtrace");
    detail::trace_of_stack trace;
    if (&c == detail::this_thread.current) {
        trace.visit();
    } else if (c.is_active() && c.frame != nullptr) {
        detail::show(c, trace);
    }
    trace.addresses.resize(trace.found);
    return trace.addresses;
}

std::string to_string(const greenlet& g) {
    if (g.empty()) return "<greenlet empty>";
    const detail::core& c = detail::handle_access::of(g);
    std::string text = detail::hub_core::is_hub(c) ? "<hub #" : c.is(detail::trait_fiber) ? "<fiber #" : "<greenlet #";
    text += std::to_string(c.id);
    if (c.owner == detail::this_thread.state && c.label != nullptr) text.append(" \"").append(c.label).append("\"");
    if (c.owner->exited()) {
        text += " (thread exited) dead";
    } else if (c.is_dead()) {
        text += " dead";
    } else if (!c.has_started()) {
        text += " pending";
    } else {
        text += &c == detail::this_thread.current ? " current" : " suspended";
        text += " active started";
    }
    if (g.is_main() && !g.dead()) text += " main";
    return text += ">";
}

std::ostream& operator<<(std::ostream& out, const greenlet& g) { return out << to_string(g); }

error_handler set_error_handler(error_handler handler) {
    return std::exchange(detail::thread_state::here().on_error, std::move(handler));
}

stack_stats stack_statistics() { return detail::thread_state::here().stacks->statistics(); }

void trim_stacks() { detail::thread_state::here().stacks->trim(); }

namespace debug {

std::size_t live_greenlets() {
    detail::thread_state& state = detail::thread_state::here();
    state.take_freed();
    return state.blocks.live();
}

std::size_t live_stacks() { return detail::thread_state::here().stacks->statistics().live; }

}  // namespace debug
}  // namespace copse
