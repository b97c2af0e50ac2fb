#include "messenger.hpp"

#include "hub_core.hpp"
#include "life.hpp"

namespace copse::detail {

namespace {

// What is pending is only taken when it can be thrown: until then its timeout scope may end, or the greenlet come to a wait.
std::exception_ptr take_pending(core& c) {
    if (c.interrupts == nullptr || !may_interrupt(c)) return nullptr;
    interrupt& first = *c.interrupts;
    std::exception_ptr error = std::move(first.error);
    withdraw(c, first);
    note_thrown(c, first);
    return error;
}

// What the messenger does.
struct letter {
    greenlet receiver;
    std::exception_ptr error;

    void operator()() {
        core& c = handle_access::of(receiver);
        if (!is_suspended_by_hand(c)) return;
        if (error == nullptr) error = take_pending(c);
        if (error == nullptr) return;
        this_thread.current->self.set_parent(receiver);  // current() would look at the mail, and perhaps switch
        throw death_by{std::move(error)};
    }
};

}  // namespace

// It is a greenlet because the death of one delivers: an exception goes to the parent, and the parent continues, so that
// nobody is left behind in a switch. Its block is made without looking at the thread's mail, as we may be in the hub's
// turn.
void send_exception(core& to, std::exception_ptr error) {
    using block_type = greenlet_block<letter>;
    hub_core& hub = *this_thread.hub;
    block_room room(sizeof(block_type));
    auto* messenger = ::new (room.get()) block_type(letter{handle_access::share(to), std::move(error)});
    room.keep();
    prepare_block(*messenger, block_type::ops, hub.greenlet_core.self);
    messenger->traits |= trait_kept;  // the one reference is its own
    hub.push(*messenger);
}

}  // namespace copse::detail
