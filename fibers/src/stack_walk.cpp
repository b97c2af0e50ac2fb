#include "stack_walk.hpp"

#include <cxxabi.h>
#include <dlfcn.h>
#include <unwind.h>

#include <cstdio>
#include <cstdlib>
#include <memory>

namespace copse::detail {

namespace {

struct walk {
    std::span<void*> room;
    bool only_interrupted;
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

std::size_t walk_stack(std::span<void*> room) noexcept {
    walk w{.room = room, .only_interrupted = false};
    _Unwind_Backtrace(&step, &w);
    return w.found;
}

std::size_t walk_interrupted(std::span<void*> room) noexcept {
    walk w{.room = room, .only_interrupted = true};
    _Unwind_Backtrace(&step, &w);
    return w.found;
}

std::string name_of_address(void* return_address) {
    const auto address = reinterpret_cast<std::uintptr_t>(return_address) - 1;  // inside the call
    std::string text = hex(address + 1);
    Dl_info info{};
    if (::dladdr(reinterpret_cast<void*>(address), &info) == 0) return text;
    if (info.dli_sname != nullptr) {
        text +=
            ' ' + readable(info.dli_sname) + '+' + hex(address + 1 - reinterpret_cast<std::uintptr_t>(info.dli_saddr));
    }
    if (info.dli_fname != nullptr) {
        text += std::string(" (") + info.dli_fname + '+' +
                hex(address + 1 - reinterpret_cast<std::uintptr_t>(info.dli_fbase)) + ')';
    }
    return text;
}

}  // namespace copse::detail
