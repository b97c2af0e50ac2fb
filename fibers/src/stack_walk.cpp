#include "stack_walk.hpp"

#include <cxxabi.h>
#include <dlfcn.h>
#include <link.h>
#include <unwind.h>

#include <cstdio>
#include <cstdlib>

#include "symbol_table.hpp"

namespace copse::detail {

namespace {

struct walk {
    std::span<void*> room;
    bool only_interrupted;
    unsigned skip;  // of the innermost
    std::size_t found = 0;
};

_Unwind_Reason_Code step(_Unwind_Context* frame, void* of) {
    walk& w = *static_cast<walk*>(of);
    int is_interrupted = 0;
    const std::uintptr_t address = _Unwind_GetIPInfo(frame, &is_interrupted);
    if (is_interrupted != 0 && w.only_interrupted) {
        w.only_interrupted = false;
        w.found = 0;  // what came before was the handler
    }
    if (address == 0) return _URC_END_OF_STACK;  // where a thread begins
    if (w.skip != 0) {
        --w.skip;
        return _URC_NO_REASON;
    }
    if (w.found == w.room.size()) return _URC_END_OF_STACK;
    w.room[w.found++] = reinterpret_cast<void*>(address + (is_interrupted != 0 ? 1 : 0));
    return _URC_NO_REASON;
}

std::string hex(std::uintptr_t number) {
    char text[2 + 16 + 1];
    return {text, static_cast<std::size_t>(std::snprintf(text, sizeof text, "0x%zx", number))};
}

std::string readable(const char* symbol) {
    int status = 0;
    const std::unique_ptr<char, void (*)(void*)> name(abi::__cxa_demangle(symbol, nullptr, nullptr, &status),
                                                      &std::free);
    return name != nullptr ? name.get() : symbol;
}

}  // namespace

// Not inlined: its own frame is the one that is skipped.
[[gnu::noinline]] std::size_t walk_stack(std::span<void*> room) noexcept {
    walk w{.room = room, .only_interrupted = false, .skip = 1};
    _Unwind_Backtrace(&step, &w);
    return w.found;
}

std::size_t walk_interrupted(std::span<void*> room) noexcept {
    walk w{.room = room, .only_interrupted = true, .skip = 0};
    _Unwind_Backtrace(&step, &w);
    return w.found;
}

address_names::address_names() = default;
address_names::~address_names() = default;

const std::string& address_names::of(void* return_address) {
    const auto [at, is_new] = known_.try_emplace(return_address);
    if (is_new) at->second = look_up(reinterpret_cast<std::uintptr_t>(return_address));
    return at->second;
}

std::string address_names::look_up(std::uintptr_t after_call) {
    const std::uintptr_t call = after_call - 1;  // some place in it
    std::string text = hex(after_call);
    Dl_info info{};
    link_map* module = nullptr;
    if (::dladdr1(reinterpret_cast<void*>(call), &info, reinterpret_cast<void**>(&module), RTLD_DL_LINKMAP) == 0)
        return text;
    const bool is_program = module->l_name == nullptr || *module->l_name == '\0';
    auto& functions = files_[is_program ? "" : module->l_name];
    if (functions == nullptr)
        functions = std::make_unique<symbol_table>(is_program ? "/proc/self/exe" : module->l_name);
    symbol_table::function found = functions->find(call - module->l_addr);
    if (found.name == nullptr && info.dli_sname != nullptr)
        found = {info.dli_sname, reinterpret_cast<std::uintptr_t>(info.dli_saddr) - module->l_addr};
    if (found.name != nullptr)
        text += ' ' + readable(found.name) + '+' + hex(after_call - module->l_addr - found.begin);
    return text += std::string(" (") + info.dli_fname + '+' + hex(call - module->l_addr) + ')';
}

}  // namespace copse::detail
