#include <copse/io/copy.hpp>

#include <copse/nursery.hpp>

namespace copse::io::detail {

namespace {

std::uint64_t pass_on(any_stream& from, any_stream& to) {
    const std::uint64_t n = copy_by(from, to, up_to_the_end, {});
    to.shutdown(shut::write);
    return n;
}

}  // namespace

both_ways copy_both(any_stream& a, any_stream& b) {
    both_ways moved;
    with_nursery([&](nursery& ways) {
        ways.spawn([&] { moved.back = pass_on(b, a); });
        moved.there = pass_on(a, b);
    });
    return moved;
}

}  // namespace copse::io::detail
