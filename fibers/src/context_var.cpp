#include <copse/context_var.hpp>

#include <string>

namespace copse::detail {

void throw_unset_variable() { throw error("context_var: it has neither a value in this greenlet nor a default"); }

void throw_token(const char* why) { throw error(std::string("context_var: the token ") + why); }

}  // namespace copse::detail
