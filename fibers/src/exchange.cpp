// What queues and channels say when they refuse.
#include <copse/detail/basic_queue.hpp>

#include <stdexcept>
#include <string>

namespace copse::detail {

void throw_closed(const char* noun) { throw queue_closed(std::string("put: the ") + noun + " is closed"); }

void throw_drained(const char* noun) { throw queue_closed(std::string("get: the ") + noun + " is closed and drained"); }

void throw_no_capacity(const char* noun) {
    throw std::invalid_argument(std::string(noun) + ": a capacity of 0 holds nothing; use a channel");
}

}  // namespace copse::detail
