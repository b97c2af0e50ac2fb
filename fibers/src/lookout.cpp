#include <copse/detail/lookout.hpp>

#include <algorithm>
#include <string>

#include <copse/wait_any.hpp>

namespace copse::detail {

lookout::~lookout() {
    for (sentry& s : sentries_) s.unlink();
}

void lookout::tell(observer& o) noexcept {
    auto& s = static_cast<sentry&>(o);
    s.of.ready_.push_back(s);
    if (s.of.parked_ != nullptr) complete(*s.of.parked_, cause::satisfied);
}

std::optional<std::size_t> lookout::next(std::int64_t deadline) {
    attend();
    if (watched_ == 0) return std::nullopt;
    if (ready_.empty()) {
        if (parked_ != nullptr)
            throw concurrent_use(std::string(kind_) + ": another fiber waits for the next one already");
        wait w(kind_, this, gain::nothing);
        const struct parked_here {
            parked_here(lookout& l, wait& w) noexcept : of(l) { of.parked_ = &w; }
            ~parked_here() { of.parked_ = nullptr; }
            lookout& of;
        } here(*this, w);
        park(w, deadline);
    }
    // Also after the deadline, until the caller runs: it is ready all the same.
    sentry* first = ready_.front();
    if (first == nullptr) return std::nullopt;
    first->unlink();
    --watched_;
    return first->number;
}

std::vector<std::size_t> gather(lookout& all, const wait_options& with) {
    const std::int64_t deadline = deadline_of(with);
    const std::size_t wanted = std::min(with.count.value_or(all.left()), all.left());
    std::vector<std::size_t> ready;
    ready.reserve(wanted);
    while (ready.size() < wanted) {
        const std::optional<std::size_t> next = all.next(deadline);
        if (!next) break;
        ready.push_back(*next);
    }
    return ready;
}

}  // namespace copse::detail
