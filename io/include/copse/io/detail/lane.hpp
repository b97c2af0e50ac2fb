// One direction of an object: the fiber that is inside, and nobody else.
#pragma once

namespace copse::io::detail {

[[noreturn]] void throw_lane_taken(const char* operation);

/// What stands in a buffer must not change under a fiber that parks in the middle of using it.
class lane {
public:
    lane() noexcept = default;
    lane(lane&&) noexcept {}  // nobody is inside what is moved
    lane& operator=(lane&&) noexcept { return *this; }

    class use {
    public:
        /// Throws:  concurrent_use.
        use(lane& l, const char* operation) : lane_(l) {
            if (l.taken_) [[unlikely]]
                throw_lane_taken(operation);
            l.taken_ = true;
        }
        use(const use&) = delete;
        use& operator=(const use&) = delete;
        ~use() { lane_.taken_ = false; }

    private:
        lane& lane_;
    };

private:
    bool taken_ = false;
};

}  // namespace copse::io::detail
