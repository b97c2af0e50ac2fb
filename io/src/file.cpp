// Each verb goes to the disk in pieces. A piece owns a share of the file and its bytes: its fiber may be gone when it ends.
#include <copse/io/file.hpp>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <mutex>
#include <stdexcept>
#include <vector>

#include "disk_call.hpp"
#include "failure.hpp"
#include "open_file.hpp"
#include "system_calls.hpp"

namespace copse::io {

namespace {

using detail::disk_call;
using detail::limit;
using detail::open_file;
using shared_file = std::shared_ptr<open_file>;

constexpr std::size_t piece_size = 1024 * 1024;

// ---- How it is opened

void check(const std::string& path, const open_options& with) {
    const auto refuse = [&path](const char* why) { throw std::invalid_argument("open of " + path + ": " + why); };
    detail::check_path("open", path);
    const bool makes = with.create || with.exclusive || with.truncate;
    if (with.temporary && (makes || with.append)) refuse("a temporary file is always new");
    if (makes && !with.write && !with.append) refuse("create, exclusive and truncate need write or append");
}

int flags_of(const open_options& with) noexcept {
    const bool writes = with.write || with.append;
    int flags = !writes ? O_RDONLY : with.read ? O_RDWR : O_WRONLY;
    if (with.append) flags |= O_APPEND;
    if (with.create || with.exclusive) flags |= O_CREAT;
    if (with.exclusive) flags |= O_EXCL;
    if (with.truncate) flags |= O_TRUNC;
    return flags;
}

void check_offset(const open_file& f, const char* operation, std::uint64_t offset, std::size_t size) {
    constexpr auto most = static_cast<std::uint64_t>(std::numeric_limits<off_t>::max());
    if (offset > most || size > most - offset)
        throw std::invalid_argument(detail::describe(operation, f.name) + ": offset " + std::to_string(offset) +
                                    " is beyond what a file has");
}

// ---- Moving bytes

using piece = std::shared_ptr<disk_call>;

/// Short only at the end of the file.
piece read_piece(const shared_file& f, std::uint64_t offset, std::size_t size, limit& within, const char* operation) {
    auto p = std::make_shared<disk_call>(f, offset, size);
    detail::carry_out(p, within, operation);
    if (p->done.error != 0) detail::fail_file(p->done.error, operation, f->name);
    return p;
}

std::size_t read_into(const shared_file& f, std::uint64_t offset, std::span<std::byte> into, limit& within,
                      const char* operation) {
    check_offset(*f, operation, offset, into.size());
    std::size_t got = 0;
    while (got != into.size()) {
        const std::size_t wanted = std::min(piece_size, into.size() - got);
        const piece p = read_piece(f, offset + got, wanted, within, operation);
        const std::size_t came = p->done.bytes;
        if (came != 0) std::memcpy(into.data() + got, p->bytes.get(), came);
        got += came;
        if (came != wanted) break;
    }
    return got;
}

std::size_t write_piece(const shared_file& f, std::uint64_t offset, std::span<const std::byte> bytes,
                        std::size_t before, limit& within) {
    const auto p = std::make_shared<disk_call>(f, offset, bytes);
    detail::carry_out(p, within, "write", before);
    const detail::moved done = p->done;
    if (done.error == 0) return done.bytes;
    const std::size_t all = before + done.bytes;
    if (all == 0) detail::fail_file(done.error, "write", f->name);
    throw transfer_error({done.error, std::generic_category()},
                         detail::describe("write", f->name) + " after " + std::to_string(all) + " bytes", all);
}

/// `told` hears how far it has come.
template <class Told>
void write_from(const shared_file& f, std::uint64_t offset, std::span<const std::byte> bytes, limit& within,
                Told&& told) {
    check_offset(*f, "write", offset, bytes.size());
    for (std::size_t done = 0; done != bytes.size();) {
        done +=
            write_piece(f, offset + done, bytes.subspan(done, std::min(piece_size, bytes.size() - done)), done, within);
        told(done);
    }
}

/// The only one at the position, until the end of the scope.
class position_use {
public:
    position_use(shared_file f, limit& within, const char* operation) : file_(std::move(f)) {
        const auto until = within.point();
        if (!until) {
            file_->turn.lock();
        } else if (!file_->turn.try_lock_until(*until)) {
            throw timed_out(std::make_error_code(std::errc::timed_out),
                            detail::describe(operation, file_->name) + ", its time was over before its turn came", 0);
        }
        if (!file_->closed) return;
        file_->turn.unlock();
        detail::fail(EBADF, detail::describe(operation, file_->name) + ", closed by another fiber");
    }
    position_use(const position_use&) = delete;
    position_use& operator=(const position_use&) = delete;
    ~position_use() { file_->turn.unlock(); }

    const shared_file& file() const noexcept { return file_; }
    std::uint64_t& at() noexcept { return file_->position; }

private:
    const shared_file file_;
};

[[noreturn]] void fail_too_large(const char* operation, const std::string& name, std::size_t most) {
    throw transfer_error(std::make_error_code(std::errc::file_too_large),
                         detail::describe(operation, name) + ", more than " + std::to_string(most) + " bytes", 0);
}

}  // namespace

// ---- Opening and closing

file::file() noexcept = default;
file::file(std::shared_ptr<detail::open_file> opened) noexcept : open_(std::move(opened)) {}
file::file(file&& other) noexcept = default;
file& file::operator=(file&& other) noexcept {
    if (this == &other) return *this;
    close();
    open_ = std::move(other.open_);
    return *this;
}
file::~file() { close(); }

file file::open_by(const std::string& path, const open_options& with, limit within) {
    check(path, with);
    struct outcome {
        shared_file opened;  // closes it if nobody is left to take it
        int error;
    };
    const outcome done = on_disk(within, "open", path, 0, [path, with] {
        const detail::opened got = with.temporary ? detail::open_temporary_there(path, with.permissions)
                                                  : detail::open_there(path, flags_of(with), with.permissions);
        if (got.fd < 0) return outcome{nullptr, got.error};
        return outcome{std::make_shared<open_file>(got.fd, path, with.append), 0};
    });
    if (done.opened == nullptr) detail::fail_file(done.error, "open", path);
    return file(done.opened);
}

file file::adopt(int fd) {
    const std::string name = "fd " + std::to_string(fd);
    if (const int refused = detail::refusal_of(fd); refused != 0) detail::fail_file(refused, "adopt", name);
    const off_t at = ::lseek(fd, 0, SEEK_CUR);
    if (at < 0) detail::fail_file(errno, "adopt", name);
    const bool appends = (::fcntl(fd, F_GETFL) & O_APPEND) != 0;
    file made(std::make_shared<open_file>(fd, name, appends));
    made.open_->position = static_cast<std::uint64_t>(at);
    return made;
}

void file::close() noexcept {
    if (open_ == nullptr) return;
    open_->closed = true;
    open_.reset();
}

int file::native_handle() const noexcept { return open_ == nullptr ? -1 : open_->fd; }

const std::shared_ptr<detail::open_file>& file::use(const char* operation) const {
    if (open_ == nullptr) detail::fail(EBADF, std::string(operation) + " on a closed file");
    return open_;
}

// ---- Reading

std::size_t file::read_by(std::span<std::byte> into, limit within) {
    position_use here(use("read"), within, "read");
    const std::size_t n = read_into(here.file(), here.at(), into, within, "read");
    here.at() += n;
    return n;
}

std::size_t file::read_at_by(std::uint64_t offset, std::span<std::byte> into, limit within) {
    const shared_file f = use("read_at");
    return read_into(f, offset, into, within, "read_at");
}

std::size_t file::read_exactly_by(std::span<std::byte> into, limit within) {
    position_use here(use("read_exactly"), within, "read_exactly");
    const std::size_t n = read_into(here.file(), here.at(), into, within, "read_exactly");
    if (n != 0 && n != into.size())
        throw transfer_error(std::make_error_code(std::errc::connection_aborted),
                             detail::describe("read_exactly", here.file()->name) + ", it ended after " +
                                 std::to_string(n) + " of " + std::to_string(into.size()) + " bytes",
                             n);
    here.at() += n;
    return n;
}

std::string file::read_to_end_by(std::size_t most, limit within) {
    position_use here(use("read_to_end"), within, "read_to_end");
    std::string all;
    for (;;) {
        const piece p = read_piece(here.file(), here.at() + all.size(), piece_size, within, "read_to_end");
        const std::size_t came = p->done.bytes;
        if (came > most - all.size()) fail_too_large("read_to_end", here.file()->name, most);
        if (came != 0) all.append(reinterpret_cast<const char*>(p->bytes.get()), came);
        if (came != piece_size) break;
    }
    here.at() += all.size();
    return all;
}

// ---- Writing

void file::write_all_by(std::span<const std::byte> bytes, limit within) {
    position_use here(use("write"), within, "write");
    if (here.file()->appends) return write_from(here.file(), 0, bytes, within, [](std::size_t) {});
    const std::uint64_t from = here.at();
    write_from(here.file(), from, bytes, within, [&](std::size_t done) { here.at() = from + done; });
}

void file::write_all_at_by(std::uint64_t offset, std::span<const std::byte> bytes, limit within) {
    const shared_file f = use("write_at");
    if (f->appends) throw std::invalid_argument(detail::describe("write_all_at", f->name) + ": it is opened to append");
    write_from(f, offset, bytes, within, [](std::size_t) {});
}

void file::sync_by(limit within) {
    const shared_file f = use("sync");
    const auto call = std::make_shared<disk_call>(f);
    detail::carry_out(call, within, "sync");
    if (call->done.error != 0) detail::fail_file(call->done.error, "sync", f->name);
}

// ---- What it is

std::uint64_t file::size_by(limit within) const {
    const shared_file f = use("size");
    struct outcome {
        struct stat about {};
        int error = 0;
    };
    const outcome asked = on_disk(within, "size", f->name, 0, [f] {
        outcome o;
        if (::fstat(f->fd, &o.about) != 0) o.error = errno;
        return o;
    });
    if (asked.error != 0) detail::fail_file(asked.error, "size", f->name);
    return static_cast<std::uint64_t>(asked.about.st_size);
}

void file::truncate_by(std::uint64_t size, limit within) {
    const shared_file f = use("truncate");
    check_offset(*f, "truncate", size, 0);
    const int error = on_disk(within, "truncate", f->name, 0,
                              [f, size] { return ::ftruncate(f->fd, static_cast<off_t>(size)) == 0 ? 0 : errno; });
    if (error != 0) detail::fail_file(error, "truncate", f->name);
}

std::uint64_t file::position() const { return use("position")->position; }

void file::seek(std::uint64_t offset) {
    const shared_file& f = use("seek");
    check_offset(*f, "seek", offset, 0);
    if (f->turn.locked())
        throw concurrent_use(detail::describe("seek", f->name) + ": another fiber reads or writes at the position");
    f->position = offset;
}

}  // namespace copse::io
