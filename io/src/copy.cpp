#include <copse/io/copy.hpp>

#include <exception>
#include <system_error>

#include <copse/nursery.hpp>

namespace copse::io::detail {

namespace {

/// Who has gone needs no end; if bytes were lost by that, sending them or the way back tells.
void pass_on_the_end(any_stream& to, limit within) {
    const auto until = within.point();
    try {
        until ? to.shutdown_until(shut::write, *until) : to.shutdown(shut::write);
    } catch (const std::system_error& e) {
        if (e.code() != std::errc::not_connected) throw;
    }
}

std::uint64_t pass_on(any_stream& from, any_stream& to, limit within) {
    const std::uint64_t n = copy_by(from, to, up_to_the_end, within);
    pass_on_the_end(to, within);
    return n;
}

}  // namespace

both_ways copy_both_by(any_stream& a, any_stream& b, limit within) {
    within.deadline();  // one for both
    both_ways moved;
    try {
        with_nursery([&](nursery& ways) {
            ways.spawn([&] { moved.back = pass_on(b, a, within); });
            moved.there = pass_on(a, b, within);
        });
    } catch (const nursery_error& e) {  // what ends one way may end the other with it
        std::rethrow_exception(e.failures().front());
    }
    return moved;
}

}  // namespace copse::io::detail
