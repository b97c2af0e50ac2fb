#pragma once
/// The harness every benchmark shares.
///
/// A *job* measures one thing once and reports one or more named figures. The suite runs all jobs once a round, in
/// order, so that a disturbance from outside hits all of them alike; a ratio is taken between figures of one round and
/// the median over the rounds is printed. Each job runs in a child process of its own: none sees the heap, the
/// schedulers or the stacks that another left behind, and one that crashes is one missing row.
///
/// Time is the CPU time of the measuring thread, because the machine may be shared: being preempted is not a cost of
/// what is measured. `--wall` takes the steady clock instead.

#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <limits>
#include <optional>
#include <sstream>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace bench {

struct options {
    bool quick = false;
    bool full = false;  ///< what takes minutes too
    bool json = false;
    bool wall = false;
    int rounds = 0;  ///< 0: the suite's own number
    std::string filter;
};

inline options& settings() {
    static options only;
    return only;
}

// ---- keeping the optimiser honest

template <class T>
inline void keep(const T& value) {
    asm volatile("" : : "g"(value) : "memory");
}

inline void clobber() { asm volatile("" : : : "memory"); }

// ---- time

inline double now_ns() {
    timespec t{};
    clock_gettime(settings().wall ? CLOCK_MONOTONIC : CLOCK_THREAD_CPUTIME_ID, &t);
    return static_cast<double>(t.tv_sec) * 1e9 + static_cast<double>(t.tv_nsec);
}

template <class F>
double elapsed_ns(F&& f) {
    const double start = now_ns();
    f();
    return now_ns() - start;
}

/// The middle one; of an even number the mean of the two in the middle. Not-a-numbers are left out.
inline double median(std::vector<double> v) {
    std::erase_if(v, [](double x) { return std::isnan(x); });
    if (v.empty()) return std::numeric_limits<double>::quiet_NaN();
    std::sort(v.begin(), v.end());
    const std::size_t half = v.size() / 2;
    return v.size() % 2 ? v[half] : (v[half - 1] + v[half]) / 2;
}

/// Calls `f`, which does `operations` of what is measured, once to warm up and then again and again for a while.
/// Returns nanoseconds per operation of the median call.
template <class F>
double ns_per_op(std::size_t operations, F&& f) {
    constexpr std::size_t least_slices = 5;
    const double budget = settings().quick ? 15e6 : 50e6;
    f();
    std::vector<double> slices;
    for (double spent = 0; spent < budget || slices.size() < least_slices;) {
        slices.push_back(elapsed_ns(f));
        spent += slices.back();
    }
    return median(std::move(slices)) / static_cast<double>(operations);
}

/// A measurement that found its own premises broken ends without reporting.
inline void require(bool held, const char* what) {
    if (held) return;
    std::fprintf(stderr, "bench: does not hold: %s\n", what);
    std::_Exit(3);
}

// ---- jobs and figures

/// Where a job puts its figures: a pipe to the suite.
class sink {
public:
    explicit sink(int fd) : fd_(fd) {}

    /// `base` is the name of the figure that this one is compared with; by default that of the job.
    void operator()(std::string_view name, double value, std::string_view unit = "ns",
                    std::string_view base = "") const {
        dprintf(fd_, "%.*s\t%.*s\t%.*s\t%.17g\n", length(name), name.data(), length(unit), unit.data(), length(base),
                base.data(), value);
    }

private:
    static int length(std::string_view s) { return static_cast<int>(s.size()); }

    int fd_;
};

struct figure {
    std::string name;
    std::string unit;
    std::string base;  ///< the figure it is divided by; empty: none
    std::vector<double> samples;
};

class suite {
public:
    suite(std::string title, int argc, char** argv) : title_(std::move(title)) { parse(argc, argv); }

    /// The figures of all jobs added from here on are also shown as multiples of the figure `name`.
    void base(std::string name) { base_ = std::move(name); }

    /// `measure` returns nanoseconds.
    void add(std::string name, std::function<double()> measure) {
        add_all(name, [name, measure = std::move(measure)](const sink& out) { out(name, measure()); });
    }

    /// `measure` reports any number of figures.
    void add_all(std::string label, std::function<void(const sink&)> measure) {
        jobs_.push_back({std::move(label), base_, std::move(measure)});
    }

    /// Runs everything and prints it; returns what `main` should.
    int run(int rounds = 5) {
        if (settings().rounds > 0) rounds = settings().rounds;
        else if (settings().quick) rounds = std::min(rounds, 3);
        for (int r = 0; r < rounds; ++r) run_round(r);
        settings().json ? print_json() : print_table();
        return failed_ ? 1 : 0;
    }

private:
    struct job {
        std::string label;
        std::string base;
        std::function<void(const sink&)> measure;
    };

    void parse(int argc, char** argv) {
        auto& s = settings();
        for (int i = 1; i < argc; ++i) {
            const std::string_view arg = argv[i];
            if (arg == "--quick") s.quick = true;
            else if (arg == "--full") s.full = true;
            else if (arg == "--json") s.json = true;
            else if (arg == "--wall") s.wall = true;
            else if (arg == "--rounds" && i + 1 < argc) s.rounds = std::atoi(argv[++i]);
            else if (arg == "--filter" && i + 1 < argc) s.filter = argv[++i];
            else usage(argv[0]);
        }
    }

    [[noreturn]] static void usage(const char* program) {
        std::fprintf(stderr, "usage: %s [--quick | --full] [--json] [--wall] [--rounds N] [--filter TEXT]\n", program);
        std::exit(2);
    }

    bool wanted(const job& j) const {
        const auto& text = settings().filter;
        if (j.label.find(text) != std::string::npos) return true;
        return std::any_of(jobs_.begin(), jobs_.end(), [&](const job& other) {
            return other.base == j.label && other.label.find(text) != std::string::npos;
        });
    }

    void run_round(int round) {
        for (const job& j : jobs_)
            if (wanted(j)) collect(j, round, run_in_child(j));
    }

    std::string run_in_child(const job& j) {
        int ends[2];
        if (pipe(ends) != 0) std::abort();
        std::fflush(nullptr);
        const pid_t child = fork();
        if (child < 0) std::abort();
        if (child == 0) {
            close(ends[0]);
            alarm(longest_job);
            j.measure(sink(ends[1]));
            // Whatever the job left suspended goes with the process: unwinding it is not what is measured.
            _exit(0);
        }
        close(ends[1]);
        std::string text = read_all(ends[0]);
        close(ends[0]);
        note_end(j, child);
        return text;
    }

    static std::string read_all(int fd) {
        std::string text;
        char part[4096];
        for (ssize_t n; (n = read(fd, part, sizeof part)) > 0;) text.append(part, static_cast<std::size_t>(n));
        return text;
    }

    void note_end(const job& j, pid_t child) {
        int status = 0;
        waitpid(child, &status, 0);
        if (status == 0) return;
        failed_ = true;
        const bool signalled = WIFSIGNALED(status);
        std::fprintf(stderr, "bench: %s: %s %d\n", j.label.c_str(), signalled ? "killed by signal" : "exit status",
                     signalled ? WTERMSIG(status) : WEXITSTATUS(status));
    }

    void collect(const job& j, int round, const std::string& text) {
        for (std::size_t at = 0, end; (end = text.find('\n', at)) != std::string::npos; at = end + 1) {
            std::istringstream line(text.substr(at, end - at));
            std::string name, unit, base, value;
            std::getline(line, name, '\t');
            std::getline(line, unit, '\t');
            std::getline(line, base, '\t');
            std::getline(line, value);
            figure& f = find_or_add(name, unit, base.empty() ? j.base : base);
            f.samples.resize(static_cast<std::size_t>(round), std::numeric_limits<double>::quiet_NaN());
            f.samples.push_back(std::strtod(value.c_str(), nullptr));
        }
    }

    figure& find_or_add(const std::string& name, const std::string& unit, const std::string& base) {
        if (figure* f = find(name)) return *f;
        figures_.push_back({name, unit, base == name ? "" : base, {}});
        return figures_.back();
    }

    figure* find(const std::string& name) {
        const auto at = std::find_if(figures_.begin(), figures_.end(), [&](auto& f) { return f.name == name; });
        return at == figures_.end() ? nullptr : &*at;
    }

    std::optional<double> ratio(const figure& f) {
        const figure* under = f.base.empty() ? nullptr : find(f.base);
        if (!under || under->unit != f.unit) return {};
        std::vector<double> each;
        for (std::size_t r = 0; r < std::min(f.samples.size(), under->samples.size()); ++r)
            each.push_back(f.samples[r] / under->samples[r]);
        return median(std::move(each));
    }

    static double least(const figure& f) { return *std::min_element(f.samples.begin(), f.samples.end()); }
    static double most(const figure& f) { return *std::max_element(f.samples.begin(), f.samples.end()); }

    void print_table() {
        std::printf("%s\n%-58s %10s %10s %10s  %-7s %7s\n", title_.c_str(), "", "median", "min", "max", "", "x base");
        for (const figure& f : figures_) {
            std::printf("%-58s %10.2f %10.2f %10.2f  %-7s", f.name.c_str(), median(f.samples), least(f), most(f),
                        f.unit.c_str());
            if (const auto r = ratio(f)) std::printf(" %7.2f", *r);
            std::printf("\n");
        }
    }

    void print_json() {
        std::printf("{\"title\": \"%s\", \"figures\": [", title_.c_str());
        const char* separator = "\n";
        for (const figure& f : figures_) {
            std::printf("%s  {\"name\": \"%s\", \"unit\": \"%s\", \"base\": \"%s\", \"samples\": [",
                        std::exchange(separator, ",\n"), f.name.c_str(), f.unit.c_str(), f.base.c_str());
            const char* comma = "";
            for (const double x : f.samples) {
                std::printf("%s", std::exchange(comma, ", "));
                std::isnan(x) ? std::printf("null") : std::printf("%.6g", x);
            }
            std::printf("]}");
        }
        std::printf("\n]}\n");
    }

    static constexpr unsigned longest_job = 60;  // seconds; one that hangs is one missing row

    std::string title_;
    std::string base_;
    std::vector<job> jobs_;
    std::vector<figure> figures_;
    bool failed_ = false;
};

}  // namespace bench
