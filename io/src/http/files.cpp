// Files below a folder. Two walls: paths that are suspicious by their text are refused, and the kernel resolves what
// is left beneath the folder only.
#include <copse/io/http/files.hpp>

#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <optional>
#include <stdexcept>
#include <system_error>
#include <utility>

#include <copse/io/buffer.hpp>

#include "http/byte_range.hpp"
#include "http/characters.hpp"
#include "http/date.hpp"

namespace copse::io::http {

/// What a name led to. No descriptor: nothing that is served.
struct files::found {
    descriptor file;
    struct stat about {};
    bool is_folder = false;
};

namespace {

/// A file up to this size leaves with its head in one write.
constexpr std::uint64_t small = 64 * 1024;

/// To open a file while others rename.
constexpr int most_tries = 64;

int hex_digit(char c) noexcept {
    if (detail::is_digit(c)) return c - '0';
    const char l = detail::lower(c);
    return l >= 'a' && l <= 'f' ? l - 'a' + 10 : -1;
}

/// The path with its escapes resolved. Empty: there is one that is none, or that hides a slash or NUL.
std::optional<std::string> decoded(std::string_view path) {
    std::string all;
    while (!path.empty()) {
        char c = path.front();
        if (c == '%') {
            const int high = path.size() < 3 ? -1 : hex_digit(path[1]);
            const int low = path.size() < 3 ? -1 : hex_digit(path[2]);
            if (high < 0 || low < 0) return std::nullopt;
            c = static_cast<char>(high * 16 + low);
            if (c == '/' || c == '\0') return std::nullopt;
            path.remove_prefix(2);
        }
        path.remove_prefix(1);
        all += c;
    }
    return all;
}

/// No segment is empty (but the last) or begins with a dot, and none has a backslash.
bool is_harmless(std::string_view path) noexcept {
    if (!path.starts_with('/') || path.find('\\') != std::string_view::npos) return false;
    for (std::size_t at = path.find('/'); at != std::string_view::npos; at = path.find('/', at + 1)) {
        const char next = at + 1 < path.size() ? path[at + 1] : 'x';
        if (next == '/' || next == '.') return false;
    }
    return true;
}

std::string_view type_of(std::string_view name) noexcept {
    static constexpr std::array<std::pair<std::string_view, std::string_view>, 18> known = {{
        {"html", "text/html; charset=utf-8"},
        {"htm", "text/html; charset=utf-8"},
        {"css", "text/css; charset=utf-8"},
        {"js", "text/javascript; charset=utf-8"},
        {"mjs", "text/javascript; charset=utf-8"},
        {"txt", "text/plain; charset=utf-8"},
        {"md", "text/markdown; charset=utf-8"},
        {"csv", "text/csv; charset=utf-8"},
        {"json", "application/json"},
        {"xml", "application/xml"},
        {"pdf", "application/pdf"},
        {"wasm", "application/wasm"},
        {"svg", "image/svg+xml"},
        {"png", "image/png"},
        {"jpg", "image/jpeg"},
        {"jpeg", "image/jpeg"},
        {"webp", "image/webp"},
        {"ico", "image/x-icon"},
    }};
    const std::size_t dot = name.rfind('.');
    const std::string_view ending = dot == std::string_view::npos ? std::string_view() : name.substr(dot + 1);
    const auto it = std::find_if(known.begin(), known.end(), [&](const auto& k) { return same_word(k.first, ending); });
    return it == known.end() ? "application/octet-stream" : it->second;
}

std::string etag_of(const struct stat& about) {
    std::string tag = "\"";
    std::array<char, 24> room;
    for (const auto number : {static_cast<std::int64_t>(about.st_size), static_cast<std::int64_t>(about.st_mtim.tv_sec),
                              static_cast<std::int64_t>(about.st_mtim.tv_nsec)}) {
        if (tag.size() > 1) tag += '-';
        tag.append(room.data(), std::to_chars(room.data(), room.data() + room.size(), number, 16).ptr);
    }
    return tag += '"';
}

/// "W/" is of no account here (RFC 9110, 13.1.2).
bool names_tag(std::string_view list, std::string_view tag) noexcept {
    return detail::trimmed(list) == "*" || list.find(tag) != std::string_view::npos;
}

response head_of(const struct stat& about, std::string_view name) {
    response head;
    std::array<char, 30> date;
    head.headers.add("Content-Type", type_of(name));
    head.headers.add("ETag", etag_of(about));
    head.headers.add("Last-Modified", detail::write_date(about.st_mtim.tv_sec, date.data()));
    head.headers.add("Accept-Ranges", "bytes");
    head.headers.add("X-Content-Type-Options", "nosniff");  // what somebody uploaded is not taken for a page
    return head;
}

/// "Not there", as far as a client is concerned. The rest (no descriptor, no memory, a broken disk) passes or is ours to mend.
bool is_absence(int error) noexcept {
    static constexpr std::array<int, 10> all = {ENOENT, ENOTDIR, EACCES, EPERM,  ELOOP,
                                                EXDEV,  ENXIO,   ENODEV, EINVAL, ENAMETOOLONG};
    return std::find(all.begin(), all.end(), error) != all.end();
}

/// By the very words: who sends another time has it from somebody else.
bool is_unchanged(const fields& asked, const fields& head) noexcept {
    if (const auto tags = asked.find("if-none-match")) return names_tag(*tags, head.get("etag"));
    return asked.get("if-modified-since") == head.get("last-modified");
}

/// Of a file of `size` bytes. Empty: all of it is wanted.
std::optional<detail::byte_range> range_of(const request& asked, const fields& head, std::uint64_t size) noexcept {
    const auto range = asked.headers.find("range");
    if (!range || asked.method != "GET") return std::nullopt;
    // By its ETag only: the time of change has seconds, in which a file may change twice.
    const auto only_if = asked.headers.find("if-range");
    if (only_if && *only_if != head.get("etag")) return std::nullopt;
    return detail::read_range(*range, size);
}

std::string text_of(const detail::byte_range& part, std::uint64_t size) {
    return "bytes " + std::to_string(part.first) + "-" + std::to_string(part.first + part.count - 1) + "/" +
           std::to_string(size);
}

/// Up to `size` bytes: fewer if it was cut meanwhile.
std::string contents(int file, std::uint64_t first, std::size_t size) {
    std::string all(size, '\0');
    std::size_t got = 0;
    while (got != size) {
        const ssize_t n = ::pread(file, all.data() + got, size - got, static_cast<off_t>(first + got));
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) throw std::system_error(errno, std::generic_category(), "reading a file to be served");
        if (n == 0) break;
        got += static_cast<std::size_t>(n);
    }
    all.resize(got);
    return all;
}

void send(exchange& x, int file, response head, const detail::byte_range& part) {
    if (part.count <= small && x.request().method == "GET") {
        head.body = contents(file, part.first, static_cast<std::size_t>(part.count));
        if (head.status == 206 && head.body.size() != part.count)  // which it has been said to be
            throw std::runtime_error("http::files: the file ended within the part that was asked for");
        return x.respond(head);
    }
    x.start(head, part.count);
    x.write_file(file, part.first, part.count);
}

void serve_file(exchange& x, int file, const struct stat& about, std::string_view name) {
    response head = head_of(about, name);
    if (is_unchanged(x.request().headers, head.headers)) {
        head.status = 304;
        return x.respond(head);
    }
    const auto size = static_cast<std::uint64_t>(about.st_size);
    const auto part = range_of(x.request(), head.headers, size);
    if (!part) return send(x, file, std::move(head), {0, size});
    if (part->count == 0) {
        response none = text("the file has no such bytes\n", 416);
        none.headers.add("Content-Range", "bytes */" + std::to_string(size));
        return x.respond(none);
    }
    head.status = 206;
    head.headers.add("Content-Range", text_of(*part, size));
    send(x, file, std::move(head), *part);
}

}  // namespace

files::files(const std::string& folder) : folder_(::open(folder.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC)) {
    if (!folder_) throw std::system_error(errno, std::generic_category(), "http::files(\"" + folder + "\")");
    // Better now than a 404 for everything. A folder that may not be listed is none of the reasons.
    if (!open(".") && errno != EACCES)
        throw std::system_error(errno, std::generic_category(), "http::files(\"" + folder + "\"): openat2");
}

descriptor files::open(const std::string& name) const {
    open_how how{};
    how.flags = O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY;  // a FIFO must not stop the thread
    how.resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS;
    for (int tries = 1;; ++tries) {
        const long fd = ::syscall(SYS_openat2, folder_.get(), name.c_str(), &how, sizeof how);
        // EAGAIN: somebody renames beneath it, and the kernel could not be sure; or a process holds a lease on the file,
        // which lasts longer than anybody here shall wait.
        const bool again = errno == EINTR || (errno == EAGAIN && tries < most_tries);
        if (fd >= 0 || !again) return descriptor(static_cast<int>(fd));
    }
}

files::found files::look_up(const std::string& name) const {
    found f{.file = open(name)};
    if (!f.file && !is_absence(errno))
        throw std::system_error(errno, std::generic_category(), "opening a file to be served");
    if (!f.file || ::fstat(f.file.get(), &f.about) != 0) return {};
    f.is_folder = S_ISDIR(f.about.st_mode);
    return f.is_folder || S_ISREG(f.about.st_mode) ? std::move(f) : found{};
}

void files::serve(exchange& x, std::string_view path) const {
    const http::method& method = x.request().method;
    if (method != "GET" && method != "HEAD") {
        response refused = text("only GET and HEAD\n", 405);
        refused.headers.add("Allow", "GET, HEAD");
        return x.respond(refused);
    }
    const std::optional<std::string> plain = decoded(path);
    if (!plain || !is_harmless(*plain)) return x.respond(text("there is no such file\n", 404));
    std::string name = plain->substr(1);
    if (name.empty() || name.ends_with('/')) name += "index.html";
    const found f = look_up(name);
    if (f.is_folder) return x.respond(redirect(std::string(x.request().path()) + "/", 301));
    if (!f.file) return x.respond(text("there is no such file\n", 404));
    serve_file(x, f.file.get(), f.about, name);
}

}  // namespace copse::io::http
