// The functions of std::istream and std::ostream catch whatever the buffer throws, set badbit, and throw it again only if
// exceptions() has badbit (libstdc++ knows one exception from that, the cancellation of threads). So the mask is set; where
// the user has cleared it nothing is thrown at them.
#include <copse/io/iostream.hpp>

#include <algorithm>

#include <copse/detail/fiber_access.hpp>
#include <copse/detail/wait.hpp>
#include <copse/error.hpp>
#include <copse/fiber.hpp>

namespace copse::io {

namespace detail {

namespace {

bool is_kill(const std::exception_ptr& e) noexcept {
    try {
        std::rethrow_exception(e);
    } catch (const greenlet_exit&) {
        return true;
    } catch (...) {
        return false;
    }
}

/// Outside of any handler: while one is active a kill counts as being dealt with.
void kill_again(const std::exception_ptr& kill) {
    copse::detail::core& self = *copse::detail::this_thread.current;
    if (!self.is(copse::detail::trait_fiber)) return;
    copse::detail::fiber_access::share(static_cast<copse::detail::fiber_core&>(self)).request_kill(kill);
}

}  // namespace

/// Has no put area: a character is put into the buffer of the stream below. The get area is that buffer itself.
class iostream_buffer final : public std::streambuf {
public:
    iostream_buffer(std::ios& of, any_stream under, const buffered_stream_options& with)
        : stream_(of), below_(std::move(under), with) {}

    /// Gives back what of the get area has not been taken.
    buffered_stream& below() {
        if (const auto taken = static_cast<std::size_t>(gptr() - eback()); taken != 0) below_.consume(taken);
        setg(nullptr, nullptr, nullptr);
        return below_;
    }
    const buffered_stream& below() const noexcept { return below_; }

    std::exception_ptr failure() const noexcept { return failure_; }
    void set_timeout(std::int64_t length) noexcept { timeout_ = length; }

    void send() {
        if (below_.kept_back() == 0) return;
        is_limited() ? below_.flush_for(length()) : below_.flush();
    }

protected:
    int_type underflow() override {
        return guarded(traits_type::eof(), [&] {
            send();  // the answer may be waited for
            return fill(1) == 0 ? traits_type::eof() : traits_type::to_int_type(*gptr());
        });
    }

    // Gathers all of it before any is taken, so that nothing is lost on the way.
    std::streamsize xsgetn(char* into, std::streamsize n) override {
        if (n <= 0) return 0;
        return guarded(std::streamsize{0}, [&] {
            const auto wanted = static_cast<std::size_t>(n);
            if (static_cast<std::size_t>(egptr() - gptr()) < wanted) {
                send();
                fill(wanted);
            }
            const std::size_t got = std::min(wanted, static_cast<std::size_t>(egptr() - gptr()));
            traits_type::copy(into, gptr(), got);
            setg(eback(), gptr() + got, egptr());
            return static_cast<std::streamsize>(got);
        });
    }

    int_type overflow(int_type c) override {
        if (traits_type::eq_int_type(c, traits_type::eof())) return sync() == 0 ? traits_type::not_eof(c) : c;
        const char one = traits_type::to_char_type(c);
        return xsputn(&one, 1) == 1 ? c : traits_type::eof();
    }

    std::streamsize xsputn(const char* from, std::streamsize n) override {
        return guarded(std::streamsize{0}, [&] {
            const std::string_view text(from, static_cast<std::size_t>(n));
            is_limited() ? below_.write_for(text, length()) : below_.write(text);
            if (is_unbuffered()) send();
            return n;
        });
    }

    // With unitbuf this is called by a destructor, which must not throw: what fails then is told by the next call.
    int sync() override {
        const auto all = [&] {
            send();
            return 0;
        };
        if (!is_unbuffered()) return guarded(-1, all);
        try {
            return all();
        } catch (...) {
            failure_ = std::current_exception();
        }
        pass_on_kill();
        return 0;
    }

private:
    // Returns how many bytes there are now: fewer only at the end.
    std::size_t fill(std::size_t n) {
        buffered_stream& from = below();
        const auto there = is_limited() ? from.peek_for(n, length()) : from.peek(n);
        char* const first =
            reinterpret_cast<char*>(const_cast<std::byte*>(there.data()));  // nothing is put back changed
        setg(first, first, first + there.size());
        return there.size();
    }

    template <class R, class Act>
    R guarded(R failed, Act act) {
        try {
            if (failure_ != nullptr && throws()) std::rethrow_exception(std::exchange(failure_, nullptr));
            return act();
        } catch (...) {
            if (throws()) throw;
            failure_ = std::current_exception();
        }
        stream_.setstate(std::ios::badbit);
        pass_on_kill();
        return failed;
    }

    void pass_on_kill() {
        if (is_kill(failure_)) kill_again(std::exchange(failure_, nullptr));
    }

    bool throws() const noexcept { return (stream_.exceptions() & std::ios::badbit) != 0; }
    bool is_unbuffered() const noexcept { return (stream_.flags() & std::ios::unitbuf) != 0; }
    bool is_limited() const noexcept { return timeout_ != copse::detail::never; }
    std::chrono::nanoseconds length() const noexcept { return std::chrono::nanoseconds(timeout_); }

    std::ios& stream_;
    buffered_stream below_;
    std::int64_t timeout_ = copse::detail::never;
    std::exception_ptr failure_;
};

}  // namespace detail

iostream::iostream(any_stream under, const buffered_stream_options& with)
    : std::iostream(nullptr), buffer_(std::make_unique<detail::iostream_buffer>(*this, std::move(under), with)) {
    rdbuf(buffer_.get());
    exceptions(std::ios::badbit);
}

iostream::~iostream() = default;

bool iostream::is_open() const noexcept { return std::as_const(*buffer_).below().is_open(); }

void iostream::close() {
    try {
        buffer_->send();
    } catch (...) {
        buffer_->below().close();
        throw;
    }
    buffer_->below().close();
}

std::exception_ptr iostream::failure() const noexcept { return buffer_->failure(); }

buffered_stream& iostream::below() { return buffer_->below(); }

void iostream::set_timeout_ns(std::int64_t length) noexcept { buffer_->set_timeout(length); }

}  // namespace copse::io
