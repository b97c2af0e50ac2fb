#include <copse/detail/task_line.hpp>

#include <algorithm>
#include <limits>
#include <stdexcept>

#include <copse/detail/task_batch.hpp>

#include "hub_core.hpp"

namespace copse::detail {

namespace {

std::ptrdiff_t permits_of(std::size_t bound) {
    if (bound == 0) throw std::invalid_argument("imap: a bound of 0 lets nothing start");
    return static_cast<std::ptrdiff_t>(
        std::min(bound, static_cast<std::size_t>(std::numeric_limits<std::ptrdiff_t>::max())));
}

}  // namespace

void ask_to_end(const any_fiber& f) noexcept {
    if (!f.empty()) request_end(fiber_access::block(f, "kill"));
}

void await_end(const any_fiber& f) noexcept {
    if (f.empty() || f.ready()) return;
    if ((this_thread.current->attention & attend_hub) != 0) return;  // there nobody can wait: it ends without us
    const shield keep;
    f.join();
}

task::task(task_line& in) : observer(&task_line::told), of(in) {}

task_line::task_line(result_order order, std::size_t bound) : order_(order), room_(permits_of(bound)) {}

task_line::reader_end::reader_end(task_line& in) noexcept
    : observer([](observer& o) noexcept {
          task_line& line = static_cast<reader_end&>(o).of;
          if (!line.ended_) line.end(nullptr);
      }),
      of(in) {}

task_line::~task_line() {
    must_not_be_waited_for(consumers_, "imap");
    at_the_end_.unlink();
    for (auto* ring : {&under_way_, &finished_}) {
        while (task_place* place = ring->front()) take(static_cast<task&>(*place));
    }
}

void task_line::begin(any_fiber reader) noexcept {
    reader_ = std::move(reader);
    fiber_access::block(reader_, "imap").observers.push_back(at_the_end_);
}

void task_line::add(std::unique_ptr<task> made, any_fiber work) noexcept {
    task& t = *made.release();
    t.work = std::move(work);
    under_way_.push_back(t);
    fiber_core& f = fiber_access::block(t.work, "imap");
    if (f.is_dead()) {
        note_finished(t);
    } else {
        f.observers.push_back(t);
    }
}

void task_line::told(observer& o) noexcept {
    auto& t = static_cast<task&>(o);
    t.of.note_finished(t);
}

void task_line::note_finished(task& t) noexcept {
    t.finished = true;
    if (order_ == result_order::of_finish) {
        t.task_place::unlink();
        finished_.push_back(t);
    }
    tell_consumers();
}

void task_line::end(std::exception_ptr failure) noexcept {
    failure_ = std::move(failure);
    ended_ = true;
    tell_consumers();
}

task* task_line::first_finished() const noexcept {
    task_place* first = order_ == result_order::of_input ? under_way_.front() : finished_.front();
    auto* t = static_cast<task*>(first);
    return t != nullptr && t->finished ? t : nullptr;
}

void task_line::tell_consumers() noexcept {
    if (first_finished() == nullptr && !over()) return;
    while (wait* w = consumers_.front()) complete(*w, cause::satisfied);
}

any_fiber task_line::take(task& t) noexcept {
    const std::unique_ptr<task> gone(&t);
    t.observer::unlink();
    t.task_place::unlink();
    return std::move(t.work);
}

any_fiber task_line::next() {
    attend();
    for (;;) {  // several may wait, for one result
        if (task* t = first_finished()) {
            room_.release();
            return take(*t);
        }
        if (over()) return {};
        wait w("imap result", this, gain::nothing);
        consumers_.push_back(w);
        park(w);
    }
}

void task_line::abandon() noexcept {
    if (!begun()) return;
    ask_to_end(reader_);
    await_end(reader_);  // first: nothing is started from here on
    ring<task_place> asked;
    while (task_place* place = under_way_.front()) {
        place->unlink();
        asked.push_back(*place);
        ask_to_end(any_fiber(static_cast<task&>(*place).work));  // it may end in here, and move to finished_
    }
    while (task_place* place = asked.front()) await_end(take(static_cast<task&>(*place)));
}

}  // namespace copse::detail
