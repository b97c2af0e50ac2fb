/// Reads at random places of a file that is in the cache: by threads, by io_uring, and what the kernel itself takes for it.
/// By the steady clock, and by the processor time of all threads, the kernel's workers included.

#include <fcntl.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#ifdef COPSE_HAVE_URING
#include <liburing.h>
#endif

#include <copse/fibers.hpp>
#include <copse/io/file.hpp>

#include <cstdlib>
#include <string>
#include <vector>

#include "bench.hpp"

namespace {

constexpr std::size_t file_size = 64 * 1024 * 1024;

/// Without a name, on a disk: a file system in memory has io_uring put every read to a thread of the kernel.
int cached_file() {
    const char* const folder = std::getenv("TMPDIR");
    std::string name = std::string(folder != nullptr ? folder : "/var/tmp") + "/copse-bench-XXXXXX";
    const int fd = mkostemp(name.data(), O_CLOEXEC);
    bench::require(fd >= 0 && unlink(name.c_str()) == 0, "there is a file");
    const std::string piece(1024 * 1024, 'x');
    for (std::size_t done = 0; done < file_size; done += piece.size())
        bench::require(write(fd, piece.data(), piece.size()) > 0, "it can be written");
    return fd;
}

/// Places in the file, each a multiple of `size`.
class places {
public:
    places(std::size_t size, unsigned seed) : size_(size), at_(seed) {}
    std::uint64_t next() {
        at_ = at_ * 6364136223846793005U + 1442695040888963407U;
        return (at_ >> 33) % (file_size / size_) * size_;
    }

private:
    std::size_t size_;
    std::uint64_t at_;
};

double seconds(clockid_t clock) {
    timespec t{};
    clock_gettime(clock, &t);
    return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_nsec) * 1e-9;
}

/// How it is read: how much at a time, and how many at once.
struct load {
    std::size_t size;
    unsigned at_once;

    std::string text() const {
        return std::to_string(size / 1024) + " KiB" + (at_once == 1 ? "" : ", " + std::to_string(at_once) + " at once");
    }
};

constexpr std::size_t operations = 3200;

/// `read_all` makes `operations` reads.
template <class F>
void measure(const bench::sink& out, const std::string& who, const load& of, F&& read_all) {
    const double budget = bench::settings().quick ? 0.05 : 0.3;
    read_all();
    const double cpu = seconds(CLOCK_PROCESS_CPUTIME_ID);
    const double start = seconds(CLOCK_MONOTONIC);
    double took = 0;
    double done = 0;
    for (; took < budget; took = seconds(CLOCK_MONOTONIC) - start, done += operations) read_all();
    const double used = seconds(CLOCK_PROCESS_CPUTIME_ID) - cpu;
    const std::string plain = "bare pread, " + load{of.size, 1}.text();
    const std::string name = who + ", " + of.text();
    out(name, done / took / 1000, "kop/s", plain);
    out(name + ", CPU", used / done * 1e9, "ns/op", plain + ", CPU");
}

void read_bare(const bench::sink& out, const load& of) {
    const int fd = cached_file();
    places at(of.size, 1);
    std::vector<char> into(of.size);
    measure(out, "bare pread", of, [&] {
        for (std::size_t i = 0; i < operations; ++i)
            bench::require(pread(fd, into.data(), of.size, static_cast<off_t>(at.next())) > 0, "it is read");
    });
}

void read_by_copse(const bench::sink& out, const load& of, copse::io::disk_engine engine) {
    copse::io::choose_file_engine(engine);
    if (copse::io::file_engine() != engine) return;
    auto f = copse::io::file::adopt(cached_file());
    measure(out, engine == copse::io::disk_engine::threads ? "copse by threads" : "copse by io_uring", of, [&] {
        copse::with_nursery([&](copse::nursery& all) {
            for (unsigned i = 0; i < of.at_once; ++i) {
                all.spawn([&f, &of, i] {
                    places at(of.size, i);
                    std::vector<std::byte> into(of.size);
                    for (std::size_t n = 0; n < operations / of.at_once; ++n)
                        bench::require(f.read_at(at.next(), into) == of.size, "it is read");
                });
            }
        });
    });
}

#ifdef COPSE_HAVE_URING
// As many as are to be under way go to the kernel by one call.
void read_by_bare_ring(const bench::sink& out, const load& of) {
    const int fd = cached_file();
    io_uring ring{};
    if (io_uring_queue_init(of.at_once, &ring, 0) != 0) return;
    places at(of.size, 1);
    std::vector<std::vector<char>> into(of.at_once, std::vector<char>(of.size));
    measure(out, "bare liburing", of, [&] {
        for (std::size_t done = 0; done < operations; done += of.at_once) {
            for (auto& each : into) {
                io_uring_prep_read(io_uring_get_sqe(&ring), fd, each.data(), static_cast<unsigned>(of.size), at.next());
            }
            io_uring_submit_and_wait(&ring, of.at_once);
            for (std::size_t i = 0; i < into.size(); ++i) {
                io_uring_cqe* ended = nullptr;
                bench::require(io_uring_wait_cqe(&ring, &ended) == 0 && ended->res > 0, "it is read");
                io_uring_cqe_seen(&ring, ended);
            }
        }
    });
}
#endif

}  // namespace

int main(int argc, char** argv) {
    bench::suite suite("reads at random places of a cached file, by the steady clock", argc, argv);
    for (const std::size_t size : {std::size_t{4096}, std::size_t{65536}}) {
        for (const unsigned at_once : {1U, 32U}) {
            const load of{size, at_once};
            if (at_once == 1) suite.add_all("bare pread", [of](const bench::sink& out) { read_bare(out, of); });
#ifdef COPSE_HAVE_URING
            suite.add_all("bare liburing", [of](const bench::sink& out) { read_by_bare_ring(out, of); });
#endif
            suite.add_all("copse by threads",
                          [of](const bench::sink& out) { read_by_copse(out, of, copse::io::disk_engine::threads); });
            suite.add_all("copse by io_uring",
                          [of](const bench::sink& out) { read_by_copse(out, of, copse::io::disk_engine::io_uring); });
        }
    }
    return suite.run(3);
}
