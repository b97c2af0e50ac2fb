// Queues, channels and selects under everything at once: many who put, get and select, kills, timeouts, deadlines, a close, in
// an order drawn from a seed. Every item is got exactly once, or still lies inside, or is still with whoever wanted to put it.
// P5, KL09, KL11, QU01, QU04, SC08.

#include <copse/fibers.hpp>

#include "hub_test.hpp"

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <random>
#include <utility>
#include <vector>

using copse::hub;
using copse::on_get;
using copse::on_put;
using copse::spawn;
using namespace std::chrono_literals;

namespace {

struct account {
    int got = 0;
    int kept = 0;
    int lost = 0;
};

/// An item that tells when it ends without having been booked.
class token {
public:
    explicit token(account& of) noexcept : of_(&of) {}
    token(token&& other) noexcept : of_(std::exchange(other.of_, nullptr)) {}
    token& operator=(token&&) = delete;
    token(const token&) = delete;
    token& operator=(const token&) = delete;
    ~token() {
        if (of_ != nullptr) ++of_->lost;
    }

    /// Books it in its account, once.
    void book(int account::*as) noexcept {
        if (of_ != nullptr) ++(std::exchange(of_, nullptr)->*as);
    }

    friend bool operator<(const token& a, const token& b) noexcept { return a.of_ < b.of_; }

private:
    account* of_;
};

template <class Exchange>
std::unique_ptr<Exchange> make() {
    if constexpr (std::is_default_constructible_v<Exchange>) {
        return std::make_unique<Exchange>();
    } else {
        return std::make_unique<Exchange>(2);
    }
}

template <class Exchange>
class storm {
public:
    explicit storm(std::uint64_t seed) : dice_(static_cast<std::uint32_t>(seed + 1)) {
        for (auto& q : queues_) q = make<Exchange>();
        accounts_.reserve(most_items);
    }

    void run() {
        for (int i = 0; i < 24; ++i) {
            fibers_.push_back(spawn([this] {
                for (int step = 0; step < 12 && !queues_[0]->closed(); ++step) act();
            }));
        }
        for (int i = 0; i < 60; ++i) {
            copse::sleep(std::chrono::milliseconds(draw(3)));
            if (draw(3) == 0) fibers_[draw(fibers_.size())].request_kill();
        }
        for (auto& q : queues_) q->close();
        copse::join_all(fibers_);
        for (auto& q : queues_) {
            while (auto left = q->try_get()) left->book(&account::got);
        }
    }

    void check(std::uint64_t seed) const {
        int got = 0;
        int kept = 0;
        for (const account& a : accounts_) {
            EXPECT_EQ(a.lost, 0) << "seed " << seed;
            EXPECT_EQ(a.got + a.kept, 1) << "seed " << seed;
            got += a.got;
            kept += a.kept;
        }
        EXPECT_GT(got, 10) << "seed " << seed << ": too little happened";
        EXPECT_GT(kept, 0) << "seed " << seed << ": too little went wrong";
    }

private:
    static constexpr std::size_t most_items = 24 * 12;

    std::size_t draw(std::size_t below) { return dice_() % below; }
    Exchange& any() { return *queues_[draw(queues_.size())]; }
    std::chrono::milliseconds a_while() { return std::chrono::milliseconds(draw(4)); }
    token make_token() { return token(accounts_.emplace_back()); }

    void act() {
        try {
            std::optional<copse::timeout> limit;
            if (draw(4) == 0) limit.emplace(a_while());
            switch (draw(9)) {
            case 0:
            case 1:
            case 2: put(); break;
            case 3:
            case 4: get(); break;
            case 5: copse::sleep(a_while()); break;
            default: choose(); break;
            }
        } catch (const copse::timeout_expired&) {
        } catch (const copse::queue_closed&) {}
    }

    void put() {
        struct offered {
            token item;
            ~offered() { item.book(&account::kept); }
        } offer{make_token()};
        switch (draw(3)) {
        case 0: any().put(std::move(offer.item)); break;
        case 1: any().put_for(std::move(offer.item), a_while()); break;
        default: any().try_put(std::move(offer.item)); break;
        }
    }

    static void take(std::optional<token> item) {
        if (item) item->book(&account::got);
    }

    void get() {
        switch (draw(3)) {
        case 0: take(any().get()); break;
        case 1: take(any().get_for(a_while())); break;
        default: take(any().try_get()); break;
        }
    }

    void choose() {
        auto put_one = on_put(any(), make_token());
        const struct keeping {
            ~keeping() {
                if (of.item()) of.item()->book(&account::kept);
            }
            decltype(put_one)& of;
        } keep{put_one};
        const auto taking = [](token t) { t.book(&account::got); };
        auto get_one = on_get(any(), taking);
        auto get_other = on_get(any(), [](std::optional<token> t) { take(std::move(t)); });
        switch (draw(4)) {
        case 0: copse::select(put_one, get_one, get_other); break;
        case 1: copse::select_for(a_while(), put_one, get_one); break;
        case 2: copse::select_for(a_while(), get_one, get_other); break;
        default: copse::try_select(get_other, put_one); break;
        }
    }

    std::minstd_rand dice_;
    std::vector<account> accounts_;
    std::array<std::unique_ptr<Exchange>, 3> queues_;
    std::vector<copse::fiber<void>> fibers_;
};

template <class Exchange>
class ExchangeStorm : public copse_test::hub_test {};

using kinds = testing::Types<copse::queue<token>, copse::lifo_queue<token>, copse::priority_queue<token>,
                             copse::joinable_queue<token>, copse::channel<token>>;
TYPED_TEST_SUITE(ExchangeStorm, kinds);

TYPED_TEST(ExchangeStorm, Fault_QU04_EveryItemIsGotOnceOrStaysWithItsPutter) {
    for (std::uint64_t seed = 1; seed <= 150 && !this->HasFailure(); ++seed) {
        if (seed % 3 != 0) hub::current().shuffle(seed);
        storm<TypeParam> s(seed);
        s.run();
        s.check(seed);
        hub::current().shuffle(std::nullopt);
    }
}

}  // namespace
