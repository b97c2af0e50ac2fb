#include "http/intake.hpp"

#include <cstring>

namespace copse::io::http::detail {

bool intake::fill(wire& from, patience p) {
    if (empty() && capacity_ == pooled_buffer::capacity) {
        pooled_ = from.recv_pooled(p);
        memory_ = pooled_.data();
        end_ = pooled_.size();
        return end_ != 0;
    }
    hold();
    const std::size_t n = from.recv({memory_ + end_, capacity_ - end_}, p);
    end_ += n;
    if (empty()) let_go();
    return n != 0;
}

// All room behind what is unread.
void intake::hold() {
    if (memory_ == nullptr) {
        own_ = std::make_unique<std::byte[]>(capacity_);
        memory_ = own_.get();
    }
    if (begin_ == 0) return;
    std::memmove(memory_, memory_ + begin_, end_ - begin_);
    end_ -= begin_;
    begin_ = 0;
}

void intake::let_go() noexcept {
    pooled_ = {};
    own_.reset();
    memory_ = nullptr;
    begin_ = end_ = 0;
}

}  // namespace copse::io::http::detail
