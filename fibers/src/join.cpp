#include "join.hpp"

#include <algorithm>
#include <deque>

#include <copse/fiber.hpp>

namespace copse::detail {

namespace {

struct join_wait final : wait {
    explicit join_wait(const fiber_core& f) noexcept : wait("join", &f, gain::nothing), at_the_end(*this) {
        behind = [](const wait& w, blockers& b) {
            b.how = "of";
            b.ids.push_back(static_cast<const fiber_core*>(w.on)->id);  // open: so it has not finished
        };
    }
    ~join_wait() { at_the_end.unlink(); }

    struct link final : observer {
        explicit link(join_wait& w) noexcept : observer(&join_wait::told), of(w) {}
        join_wait& of;
    } at_the_end;

    // Also after its deadline, until the joiner runs: it has finished all the same.
    static void told(observer& o) noexcept {
        join_wait& w = static_cast<link&>(o).of;
        w.over = true;
        complete(w, cause::satisfied);
    }

    bool over = false;
};

// Waits for the first so many of several fibers. A fiber named twice counts twice.
class finish_line final : public wait {
public:
    finish_line(std::size_t wanted, bool raise_error) noexcept
        : wait("join_all", this, gain::nothing), wanted_(wanted), raise_error_(raise_error) {
        behind = [](const wait& w, blockers& b) { static_cast<const finish_line&>(w).tell(b); };
    }
    ~finish_line() {
        for (runner& r : runners_) r.unlink();
    }

    void add(fiber_core& f) {
        if (f.is_dead()) {
            ++finished_before_;
            count(f);
        } else {
            f.observers.push_back(runners_.emplace_back(*this, f));
        }
    }

    bool reached() const noexcept { return arrived_ >= wanted_ || failure_ != nullptr; }
    std::size_t arrived() const noexcept { return arrived_; }
    void raise() const {
        if (failure_ != nullptr) std::rethrow_exception(failure_);
    }

private:
    struct runner final : observer {
        runner(finish_line& of, fiber_core& f) noexcept : observer(&told), line(of), who(f) {}
        static void told(observer& o) noexcept {
            const runner& r = static_cast<runner&>(o);
            r.line.count(r.who);
            if (r.line.reached()) complete(r.line, cause::satisfied);
        }
        finish_line& line;
        fiber_core& who;
    };

    // Only if all of them are needed: any other that finishes would do.
    void tell(blockers& b) const {
        b.how = "of";
        if (wanted_ != runners_.size() + finished_before_) return;
        for (const runner& r : runners_) {
            if (b.full()) return;
            if (r.linked()) b.ids.push_back(r.who.id);
        }
    }

    void count(fiber_core& f) noexcept {
        ++arrived_;
        const bool raises = raise_error_ || f.is(trait_left_behind);
        if (!raises || f.error == nullptr || failure_ != nullptr) return;
        f.marks |= mark_observed;
        failure_ = f.error;
    }

    std::size_t wanted_;
    std::size_t arrived_ = 0;
    std::size_t finished_before_ = 0;
    bool raise_error_;
    std::exception_ptr failure_;
    std::deque<runner> runners_;  // stay where they are
};

// Nobody here has seen the end of one that the parent process has.
bool has_joined(const fiber_core& dead) {
    if (dead.is(trait_left_behind)) std::rethrow_exception(dead.error);
    return true;
}

}  // namespace

bool join(fiber_core& f, std::int64_t deadline) {
    if (f.is_dead() && (this_thread.current->attention & attend_hub) != 0) return true;  // raw links may look
    attend();
    if (f.is_dead()) return has_joined(f);
    join_wait w(f);
    f.observers.push_back(w.at_the_end);
    park(w, deadline);
    return w.over;  // `f` may be gone
}

std::size_t join_many(const join_options& with, std::span<const any_fiber> fibers) {
    const std::int64_t deadline = with.timeout ? deadline_after(*with.timeout) : never;
    attend();
    finish_line line(std::min(with.count.value_or(fibers.size()), fibers.size()), with.raise_error);
    for (std::size_t i = 0; i < fibers.size() && !line.reached(); ++i)
        line.add(fiber_access::block(fibers[i], "join_all"));
    if (!line.reached()) park(line, deadline);
    line.raise();
    return line.arrived();
}

}  // namespace copse::detail
