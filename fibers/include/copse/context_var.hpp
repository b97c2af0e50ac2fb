/// Variables of the context that a greenlet works in: which request, which user, which trace.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <type_traits>
#include <utility>

#include <copse/detail/greenlet_data.hpp>
#include <copse/error.hpp>
#include <copse/local.hpp>

namespace copse {

/// What a fiber starts with: nothing, or the value that its spawner has at that moment.
enum class inherit : bool { no, yes };

namespace detail {
[[noreturn]] void throw_unset_variable();
[[noreturn]] void throw_token(const char* why);
}  // namespace detail

/// A variable that has a value for each greenlet, set for a while and then set back.
///
///     copse::context_var<std::string> request("none", copse::inherit::yes);
///     const auto now = request.scoped("GET /");
///     copse::spawn([] { log(request.get()); });  // "GET /", whatever the spawner does next
///
/// A fiber starts with no value (gevent), or, if the variable is inheritable, with what its spawner has when it spawns: a
/// snapshot, which later settings on either side do not touch. Other greenlets start with none. Without a value there is
/// the default.
///
/// The object may be static, and may be used by greenlets of every thread; it may end before they do. Inherited values are
/// shared, not copied: they are const.
/// Cost:    inheriting is one allocation and one count for all variables together, and nothing where none is set; `get`
///          walks the inheritable variables that are set; setting one copies their table.
template <class T>
class context_var {
    static_assert(std::is_object_v<T> && !std::is_const_v<T>, "context_var<T>: T is an object type without const");
    using shared = std::shared_ptr<const T>;

public:
    /// Without a default.
    explicit context_var(inherit fibers = inherit::no) : inherits_(fibers == inherit::yes) {}
    explicit context_var(T otherwise, inherit fibers = inherit::no)
        : default_(std::move(otherwise)), inherits_(fibers == inherit::yes) {}
    context_var(const context_var&) = delete;
    context_var& operator=(const context_var&) = delete;

    /// What `set` found. Good for one `reset`, in the greenlet that set.
    class token {
    public:
        /// What the variable was set to before; null if it had no value.
        const T* before() const noexcept { return before_.get(); }

    private:
        friend class context_var;
        token(std::uint64_t variable, std::uint64_t owner, shared before) noexcept
            : variable_(variable), owner_(owner), before_(std::move(before)) {}
        std::uint64_t variable_;  // serial number; 0: used
        std::uint64_t owner_;     // id of the greenlet
        shared before_;
    };

    /// The current greenlet's value, else the default. The reference is good until this greenlet sets the variable again or
    /// ends.
    /// Throws:  error if there is neither.
    const T& get() const {
        if (const T* found = find()) return *found;
        if (!default_) detail::throw_unset_variable();
        return *default_;
    }

    /// The current greenlet's value; null if it has none.
    const T* find() const noexcept {
        if (!inherits_) {
            const shared* mine = own_.find();
            return mine == nullptr ? nullptr : mine->get();
        }
        const std::shared_ptr<const void>* found = detail::find_context(key_);
        return found == nullptr ? nullptr : static_cast<const T*>(found->get());
    }

    /// Returns: a token to set it back with. It need not be used.
    /// Throws:  std::bad_alloc; what moving the value throws. The variable is unchanged then.
    token set(T value) {
        auto fresh = std::make_shared<const T>(std::move(value));
        token t(key_.serial, detail::data_owner(), current());
        store(std::move(fresh));
        return t;
    }

    /// Sets the variable back to what it was before that `set`, whatever was set since.
    /// Throws:  error if the token is another variable's or another greenlet's, or has been used. The variable is unchanged
    ///          then.
    void reset(token& t) {
        if (t.variable_ == 0) detail::throw_token("has been used already");
        if (t.variable_ != key_.serial) detail::throw_token("is another variable's");
        if (t.owner_ != detail::data_owner()) detail::throw_token("was made in another greenlet");
        store(t.before_);
        t.variable_ = 0;
        t.before_ = nullptr;
    }
    void reset(token&& t) { reset(t); }

    /// Sets the variable for as long as the result lives, which must end in the same greenlet, and before the variable.
    class scope {
    public:
        scope(context_var& variable, T value) : variable_(variable), token_(variable.set(std::move(value))) {}
        scope(const scope&) = delete;
        scope& operator=(const scope&) = delete;
        ~scope() { variable_.reset(token_); }

    private:
        context_var& variable_;
        token token_;
    };
    [[nodiscard]] scope scoped(T value) { return scope(*this, std::move(value)); }

private:
    shared current() const {
        if (!inherits_) {
            const shared* mine = own_.find();
            return mine == nullptr ? shared() : *mine;
        }
        const std::shared_ptr<const void>* found = detail::find_context(key_);
        return found == nullptr ? shared() : std::static_pointer_cast<const T>(*found);
    }

    void store(shared value) {
        if (inherits_) return detail::set_context(key_, std::move(value));
        if (value == nullptr) return own_.reset();
        own_.get().swap(value);  // the old one ends last: what it destroys may look
    }

    std::optional<T> default_;
    bool inherits_;
    detail::data_key key_;
    mutable local<shared> own_;
};

}  // namespace copse
