// Files by io_uring: one ring for each thread, whose descriptor its reactor watches. What the kernel has in its cache is
// there when the call returns, and no fiber parks for it; of the rest the reactor hears.
//
// Invariants:
//   - A call that the kernel has been given, or that stands in line, holds itself: its bytes outlive its fiber.
//   - At most `most_at_once` are with the kernel, so that their completions fit; the others stand in line.
//   - No call is left in the submission queue for later: each is submitted as it is begun, or refused. The entry of one that
//     the kernel did not take becomes one that does nothing.
//   - Landing a call never switches. Who is refused has threads do the rest.
//   - A thread that ends calls back what it can and waits for the rest, as the kernel would: it writes into our memory.
//   - In the child of a fork the ring is the parent's: it is let go of at once, before its number can be somebody else's.
//   - Of a number that has been closed by somebody, and may be another's, nothing is asked any more. What the kernel has
//     ends all the same, and is looked for; all else is the threads', until a new ring can be made.
#include "disk_ring.hpp"

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstring>
#include <system_error>
#include <utility>

#include <copse/detail/shared_wait.hpp>
#include <copse/error.hpp>
#include <copse/fiber.hpp>
#include <copse/hub.hpp>

#include "failure.hpp"
#include "guest.hpp"
#include "reactor.hpp"
#include "uring_calls.hpp"

namespace copse::io::detail {

namespace {

using copse::detail::cause;

constexpr unsigned most_at_once = 128;

/// Tells our ring from another that has its number: the end of the last page that the kernel shares with us belongs to nobody.
class ring_mark {
public:
    void leave(const io_uring& ring) noexcept;
    /// Whether the ring behind this number bears it.
    bool is_behind(int fd) const noexcept;

private:
    static bool is_any_ring(int fd) noexcept;

    std::uint64_t value_ = 0;
    std::size_t at_ = 0;     // 0: there was no room
    std::size_t pages_ = 0;  // their size
};

void ring_mark::leave(const io_uring& ring) noexcept {
    static std::atomic<std::uint64_t> last{0};
    value_ = ++last;
    const auto page = static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
    const std::size_t used = std::max(ring.sq.ring_sz, ring.cq.ring_sz);
    pages_ = (used + page - 1) / page * page;
    if (ring.sq.ring_ptr != ring.cq.ring_ptr || pages_ - used < sizeof value_) return;
    at_ = pages_ - sizeof value_;
    std::memcpy(static_cast<std::byte*>(ring.sq.ring_ptr) + at_, &value_, sizeof value_);
}

bool ring_mark::is_any_ring(int fd) noexcept {
    io_uring_probe nothing{};
    return fd >= 0 && ::io_uring_register(static_cast<unsigned>(fd), IORING_REGISTER_PROBE, &nothing, 0) == 0;
}

bool ring_mark::is_behind(int fd) const noexcept {
    if (!is_any_ring(fd)) return false;  // also because what a file is mapped to may not be there
    if (at_ == 0) return true;
    void* const shared = ::mmap(nullptr, pages_, PROT_READ, MAP_SHARED, fd, IORING_OFF_SQ_RING);
    if (shared == MAP_FAILED) return false;
    std::uint64_t found = 0;
    std::memcpy(&found, static_cast<const std::byte*>(shared) + at_, sizeof found);
    ::munmap(shared, pages_);
    return found == value_;
}

/// What says more of the ring than of the file. EAGAIN: with O_NONBLOCK, which our files have, a read of what is not in the
/// cache, before Linux 5.13.
bool is_of_the_ring(int error) noexcept {
    return error == EAGAIN || error == ECANCELED || error == EINVAL || error == ENOMEM || error == EOPNOTSUPP;
}

class disk_ring final : private guest {
public:
    /// Throws:  std::system_error, std::bad_alloc.
    disk_ring();
    disk_ring(const disk_ring&) = delete;
    disk_ring& operator=(const disk_ring&) = delete;
    ~disk_ring();

    /// It has its number, and may be given calls.
    bool is_open() const noexcept { return !gone_ && !unheard; }
    /// It is of no more use, and nothing in it is waited for.
    bool is_over() const noexcept { return gone_ || (unheard && at_once_ == 0); }

    /// Lets others run before the next call, after some work that did not park.
    void rest(const disk_call& after);

    /// It ends at once, or hangs here.
    void begin(const std::shared_ptr<disk_call>& call) noexcept;

private:
    bool can_do_files();
    void launch(disk_call& call) noexcept;
    void go_on(disk_call& call) noexcept;
    bool submit(disk_call& call) noexcept;
    void reap() noexcept;
    bool launch_those_in_line() noexcept;
    void land(disk_call& call, int result) noexcept;
    void end(disk_call& call, bool refused) noexcept;
    void give_up_lost_number() noexcept;
    void call_back_all() noexcept;
    void await_all() noexcept;
    void abandon() noexcept;
    static void let_go(copse::detail::ring<disk_call>& calls) noexcept;

    io_uring ring_{};
    ring_mark mark_;
    copse::detail::ring<disk_call> with_kernel_;
    unsigned at_once_ = 0;  // how many
    copse::detail::ring<disk_call> in_line_;
    unsigned spent_ = 0;   // since it last rested
    bool ending_ = false;  // nothing is begun any more, and nobody told: fibers end with the hub
    bool gone_ = false;    // in the child of a fork
};

disk_ring::disk_ring() {
    io_uring_params with{};
    if (const int error = -uring.setup(most_at_once, &ring_, &with); error != 0) fail(error, "io_uring_setup");
    try {
        // NODROP: Linux 5.5; the operations: 5.6.
        if ((with.features & IORING_FEAT_NODROP) == 0 || !can_do_files()) fail(ENOSYS, "io_uring of this kernel");
        mark_.leave(ring_);
        fd = ring_.ring_fd;
        called = [](guest& g) noexcept { static_cast<disk_ring&>(g).reap(); };
        posts = [](const guest&) noexcept { return false; };
        busy = [](const guest& g) noexcept { return static_cast<const disk_ring&>(g).at_once_ != 0; };
        abandoned = [](guest& g) noexcept { static_cast<disk_ring&>(g).abandon(); };
        intact = [](const guest& g) noexcept { return static_cast<const disk_ring&>(g).mark_.is_behind(g.fd); };
        ends_by_itself = true;
        reactor::here().add(*this);
    } catch (...) {
        ::io_uring_queue_exit(&ring_);
        throw;
    }
}

bool disk_ring::can_do_files() {
    const std::unique_ptr<io_uring_probe, void (*)(io_uring_probe*)> probe(::io_uring_get_probe_ring(&ring_),
                                                                           ::io_uring_free_probe);
    if (probe == nullptr) return false;
    for (const int operation : {IORING_OP_READ, IORING_OP_WRITE, IORING_OP_FSYNC, IORING_OP_ASYNC_CANCEL}) {
        if (::io_uring_opcode_supported(probe.get(), operation) == 0) return false;
    }
    return true;
}

disk_ring::~disk_ring() {
    if (gone_) return;
    let_go(in_line_);
    give_up_lost_number();
    if (linked() && home.now != nullptr) home.now->remove(*this);
    ending_ = true;
    if (at_once_ != 0) {
        call_back_all();
        await_all();
    }
    ::io_uring_queue_exit(&ring_);
}

// The fibers of these calls are the parent's.
void disk_ring::abandon() noexcept {
    let_go(in_line_);
    let_go(with_kernel_);
    give_up_lost_number();
    ::io_uring_queue_exit(&ring_);
    gone_ = true;
}

// Neither epoll nor the kernel is told of it again, and it is not closed.
void disk_ring::give_up_lost_number() noexcept {
    if (mark_.is_behind(fd)) return;
    unheard = true;
    ring_.ring_fd = ring_.enter_ring_fd = -1;
}

void disk_ring::let_go(copse::detail::ring<disk_call>& calls) noexcept {
    while (disk_call* first = calls.front()) {
        first->unlink();
        first->waiter = nullptr;
        first->held.reset();
    }
}

// What has not been begun; what runs is not disturbed. Linux 5.19: before that all of them end by themselves.
void disk_ring::call_back_all() noexcept {
    io_uring_sqe* const sqe = ::io_uring_get_sqe(&ring_);
    if (sqe == nullptr) return;
    ::io_uring_prep_cancel(sqe, nullptr, IORING_ASYNC_CANCEL_ANY);
    ::io_uring_submit(&ring_);
}

// If the ring's descriptor has been closed by somebody nobody knows when the kernel is done: its calls stay for good.
void disk_ring::await_all() noexcept {
    while (at_once_ != 0) {
        io_uring_cqe* cqe = nullptr;
        const int error = -::io_uring_wait_cqe(&ring_, &cqe);
        if (error != 0 && error != EINTR && error != EAGAIN) return;
        reap();
    }
}

void disk_ring::rest(const disk_call& after) {
    constexpr unsigned enough = 128;
    constexpr std::size_t piece = 16 * 1024;  // of copying: as much work as a call
    spent_ += 1 + static_cast<unsigned>(after.size / piece);
    if (spent_ < enough) return;
    spent_ = 0;
    copse::yield();
}

void disk_ring::begin(const std::shared_ptr<disk_call>& call) noexcept {
    call->held = call;
    if (at_once_ == most_at_once || !in_line_.empty()) {
        in_line_.push_back(*call);
    } else {
        launch(*call);
    }
    reap();
}

void disk_ring::launch(disk_call& call) noexcept {
    call.begun = true;
    with_kernel_.push_back(call);
    ++at_once_;
    go_on(call);
}

// Gives the kernel what is left of it.
void disk_ring::go_on(disk_call& call) noexcept {
    if (!submit(call)) end(call, true);
}

bool disk_ring::submit(disk_call& call) noexcept {
    if (unheard) return false;
    io_uring_sqe* sqe = uring.next_sqe(&ring_, call.what);
    if (sqe == nullptr) {  // full of what was not taken before
        uring.submit(&ring_);
        sqe = uring.next_sqe(&ring_, call.what);
    }
    if (sqe == nullptr) return false;
    std::byte* const rest = call.bytes.get() + call.done.bytes;
    const auto left = static_cast<unsigned>(call.size - call.done.bytes);  // a piece at most
    const std::uint64_t from = call.offset + call.done.bytes;
    switch (call.what) {
    case disk_call::kind::read: ::io_uring_prep_read(sqe, call.file->fd, rest, left, from); break;
    case disk_call::kind::write: ::io_uring_prep_write(sqe, call.file->fd, rest, left, from); break;
    case disk_call::kind::sync: ::io_uring_prep_fsync(sqe, call.file->fd, 0); break;
    }
    ::io_uring_sqe_set_data(sqe, &call);
    int taken = 0;
    do taken = uring.submit(&ring_);
    while (taken == -EINTR);
    if (taken > 0 && ::io_uring_sq_ready(&ring_) == 0) return true;  // not only what was not taken before
    ::io_uring_prep_nop(sqe);
    ::io_uring_sqe_set_data(sqe, nullptr);
    give_up_lost_number();
    return false;
}

// Whatever has ended; then those in line, of which some may end at once.
void disk_ring::reap() noexcept {
    do {
        io_uring_cqe* cqe = nullptr;
        while (::io_uring_peek_cqe(&ring_, &cqe) == 0) {
            auto* const call = static_cast<disk_call*>(::io_uring_cqe_get_data(cqe));
            const int result = cqe->res;
            ::io_uring_cqe_seen(&ring_, cqe);
            if (call != nullptr) land(*call, uring.result(result, call->what));  // else: nothing, or a calling back
        }
    } while (launch_those_in_line());
}

bool disk_ring::launch_those_in_line() noexcept {
    bool any = false;
    while (at_once_ < most_at_once && !in_line_.empty()) {
        disk_call& first = *in_line_.front();
        first.unlink();
        launch(first);
        any = true;
    }
    return any;
}

void disk_ring::land(disk_call& call, int result) noexcept {
    if (ending_) return end(call, false);
    if (result == -EINTR) return go_on(call);
    if (result < 0 && is_of_the_ring(-result)) return end(call, true);
    if (result < 0) {
        call.done.error = -result;
        return end(call, false);
    }
    call.done.bytes += static_cast<std::size_t>(result);
    if (result != 0 && call.done.bytes != call.size) return go_on(call);
    if (result == 0 && call.what == disk_call::kind::write)
        call.done.error = EIO;  // a device that takes nothing and does not say why
    end(call, false);
}

// The file may be closed here, and the bytes go.
void disk_ring::end(disk_call& call, bool refused) noexcept {
    const std::shared_ptr<disk_call> last = std::move(call.held);
    call.unlink();
    --at_once_;
    call.refused = refused;
    if (call.waiter != nullptr && !ending_) copse::detail::complete(*call.waiter, cause::satisfied);
}

// ---- This thread's

// Ends before the hub does: what fibers do while the end of the thread unwinds them, threads do for them.
constinit thread_local bool place_ended = false;
struct place {
    std::unique_ptr<disk_ring> ring{};
    bool refused = false;

    constexpr place() noexcept = default;
    place(const place&) = delete;
    place& operator=(const place&) = delete;
    ~place() {
        place_ended = true;
        ring.reset();
    }
};
thread_local place this_place;

disk_ring* ring_here() noexcept {
    if (place_ended || !rings_are_wanted()) return nullptr;
    place& here = this_place;
    if (here.ring != nullptr && here.ring->is_over()) here.ring.reset();
    if (here.ring == nullptr && !here.refused) {
        try {
            here.ring = std::make_unique<disk_ring>();
        } catch (const std::system_error& e) {
            // ENOSYS, EPERM of a sandbox, ENOMEM: threads are as good. Descriptors may be free again later.
            here.refused =
                e.code() != std::errc::too_many_files_open && e.code() != std::errc::too_many_files_open_in_system;
        } catch (...) {
            here.refused = true;
        }
    }
    return here.ring != nullptr && here.ring->is_open() ? here.ring.get() : nullptr;
}

// A fiber's wait for what the ring has. Whatever ends it, a call that has not been begun never will.
class stand_by {
public:
    stand_by(disk_call& call, copse::detail::wait& w) noexcept : call_(call) { call_.waiter = &w; }
    stand_by(const stand_by&) = delete;
    stand_by& operator=(const stand_by&) = delete;
    ~stand_by() {
        call_.waiter = nullptr;
        if (call_.begun || call_.held == nullptr) return;
        call_.unlink();
        call_.held.reset();
    }

private:
    disk_call& call_;
};

void await(disk_call& call, limit& within, const char* operation, std::size_t before) {
    reactor::stay_in_hub();
    copse::detail::wait w(operation, call.file.get(), copse::detail::gain::something);
    const stand_by here(call, w);
    if (copse::detail::park(w, within.deadline()) == cause::timed_out)
        throw timed_out_of(operation, call.file->name, before);
}

}  // namespace

bool has_disk_ring() noexcept {
    try {
        hub::current();  // it is to end after the ring
    } catch (const thread_exited&) {
        return false;
    }
    return ring_here() != nullptr;
}

bool disk_ring_does(const std::shared_ptr<disk_call>& call, limit& within, const char* operation, std::size_t before) {
    copse::detail::attend();
    disk_ring* ring = ring_here();
    if (ring == nullptr) return false;
    ring->rest(*call);
    ring = ring_here();  // it may have been lost while others ran
    if (ring == nullptr) return false;
    ring->begin(call);
    if (call->held != nullptr) await(*call, within, operation, before);
    return !call->refused;
}

}  // namespace copse::io::detail
