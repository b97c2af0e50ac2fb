#include <copse/once.hpp>

#include <copse/error.hpp>

namespace copse::detail {

void throw_once_in_once() {
    throw self_deadlock("call_once: called inside its own function, which would wait for itself");
}

}  // namespace copse::detail
