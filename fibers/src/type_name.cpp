// Demangling, and the tidying that makes a demangled name of a standard type readable.

#include <copse/detail/type_name.hpp>

#include <cstdlib>
#include <cxxabi.h>
#include <memory>
#include <string_view>

namespace copse::detail {

namespace {

struct free_memory {
    void operator()(char* p) const noexcept { std::free(p); }
};

std::string demangled(const std::type_info& type) {
    int status = 0;
    const std::unique_ptr<char, free_memory> name(abi::__cxa_demangle(type.name(), nullptr, nullptr, &status));
    return status == 0 ? name.get() : type.name();
}

void replace_all(std::string& text, std::string_view from, std::string_view to) {
    for (auto at = text.find(from); at != std::string::npos; at = text.find(from, at + to.size())) {
        text.replace(at, from.size(), to);
    }
}

// One past the '>' that closes the '<' just before `at`; the end if the name is not balanced.
std::size_t after_closing(const std::string& text, std::size_t at) {
    for (int depth = 1; at < text.size(); ++at) {
        if (text[at] == '<') ++depth;
        if (text[at] == '>' && --depth == 0) return at + 1;
    }
    return text.size();
}

// Erases every template argument that starts with `head`, which ends in '<'.
void erase_arguments(std::string& text, std::string_view head) {
    for (auto at = text.find(head); at != std::string::npos; at = text.find(head, at)) {
        text.erase(at, after_closing(text, at + head.size()) - at);
    }
}

}  // namespace

std::string type_name(const std::type_info& type) {
    std::string name = demangled(type);
    replace_all(name, "std::__cxx11::", "std::");
    replace_all(name, "std::__1::", "std::");
    erase_arguments(name, ", std::allocator<");
    erase_arguments(name, ", std::default_delete<");
    erase_arguments(name, ", std::char_traits<");
    replace_all(name, " >", ">");
    replace_all(name, "std::basic_string<char>", "std::string");
    replace_all(name, "std::basic_string_view<char>", "std::string_view");
    return name;
}

}  // namespace copse::detail
