// A hundred pages are fetched by at most ten fibers at a time, each of which starts at most every 50 ms. `pool::map` keeps the
// results in order; the progress line counts as they come.
//
//     rate_limited_map
#include <copse/fibers.hpp>
#include <copse/virtual_time.hpp>

#include <algorithm>
#include <iostream>
#include <numeric>
#include <vector>

using namespace std::chrono_literals;

namespace {

// One turn every so often, for whoever asks first.
class rate_limit {
public:
    explicit rate_limit(copse::clock::duration every) : every_(every) {}
    void wait() {
        const auto mine = std::max(next_, copse::clock::now());
        next_ = mine + every_;
        copse::sleep_until(mine);
    }

private:
    copse::clock::duration every_;
    copse::clock::time_point next_{};
};

int fetch(int page) {
    copse::sleep(300ms + page % 7 * 40ms);  // in place of a download
    return 1000 + page;
}

}  // namespace

int main() {
    copse::virtual_time time;  // so that it takes no time and prints the same always

    // [map]
    copse::pool workers(10);
    rate_limit limit(50ms);
    int done = 0;
    std::vector<int> pages(100);
    std::iota(pages.begin(), pages.end(), 0);
    const auto sizes = workers.map(pages, [&](int page) {
        limit.wait();
        const int size = fetch(page);
        if (++done % 20 == 0) std::cout << "progress: " << done << " of 100, " << workers.size() << " at work\n";
        return size;
    });
    // [/map]

    std::cout << sizes.size() << " pages, " << std::accumulate(sizes.begin(), sizes.end(), 0)
              << " bytes, the first has " << sizes.front() << "\ntook " << time.elapsed() / 1ms << " ms\n";
}
