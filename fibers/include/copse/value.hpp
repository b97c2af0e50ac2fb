#pragma once

/// `value`: what travels with a switch.

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <functional>
#include <memory>
#include <new>
#include <string>
#include <tuple>
#include <type_traits>
#include <typeinfo>
#include <utility>

namespace copse {

class value;

namespace detail {

template <class T>
struct value_stored_as {
    using type = T;
};
template <>
struct value_stored_as<const char*> {
    using type = std::string;
};
template <>
struct value_stored_as<char*> {
    using type = std::string;
};

/// What a `value` made from a `T` holds: the decayed type, and a std::string for a literal or a pointer to
/// characters.
template <class T>
using value_stored_t = typename value_stored_as<std::decay_t<T>>::type;

template <class T>
inline constexpr bool is_in_place_type = false;
template <class T>
inline constexpr bool is_in_place_type<std::in_place_type_t<T>> = true;

/// The types that may be asked of a value by value.
template <class T>
concept value_object =
    std::is_object_v<T> && !std::is_array_v<T> && std::is_same_v<T, std::remove_cv_t<T>> && !std::is_same_v<T, value>;

template <class T>
concept value_reference = std::is_lvalue_reference_v<T>;
template <class T>
concept value_const_reference = value_reference<T> && std::is_const_v<std::remove_reference_t<T>>;

/// What a `value` can be made from without saying more. Whether the object can be copied is not asked here: the
/// answer can depend on this very conversion, as it does for a std::tuple<value>.
template <class T>
concept value_source = value_object<value_stored_t<T>> && !is_in_place_type<std::decay_t<T>>;

inline constexpr std::size_t value_word = sizeof(std::uint64_t);
inline constexpr std::size_t value_capacity = 3 * value_word;

/// Whether moving a `T` is copying its bytes and ending one is nothing, as for a type that the ABI passes in
/// registers. (Not is_trivially_copyable: a std::pair of scalars is assigned by a function.)
template <class T>
inline constexpr bool moves_by_bytes = std::is_trivially_move_constructible_v<T>&& std::is_trivially_destructible_v<T>;

/// libstdc++ moves a tuple element by element in a function of its own, which does what copying the bytes does.
template <class... T>
inline constexpr bool moves_by_bytes<std::tuple<T...>> = (moves_by_bytes<T> && ...);

/// Whether a `T` lives inside the value, so that moving the value never runs user code.
template <class T>
inline constexpr bool value_fits_inside = moves_by_bytes<T> && sizeof(T) <= value_capacity &&
                                          alignof(T) <= alignof(std::uint64_t);

/// What a value knows about the type it holds.
struct value_ops {
    const std::type_info* type;
    void (*destroy)(void* box) noexcept;  // null for what lives inside
    bool wide;                            // more than the first word is in use
};

template <class T, class... Args>
T make_held(Args&&... args) {
    if constexpr (std::is_constructible_v<T, Args...>) {
        return T(std::forward<Args>(args)...);
    } else {
        return T{std::forward<Args>(args)...};
    }
}

/// A payload on the heap. A member instead of a plain `new T`: the payload's own operator new plays no part.
template <class T>
struct value_box {
    T held;

    template <class... Args>
    explicit value_box(std::in_place_t /*unused*/, Args&&... args) : held(make_held<T>(std::forward<Args>(args)...)) {}

    static void destroy(void* box) noexcept { delete static_cast<value_box*>(box); }
};

template <class T>
inline constexpr value_ops ops_of_inside{&typeid(T), nullptr, (sizeof(T) > value_word)};
template <class T>
inline constexpr value_ops ops_of_boxed{&typeid(T), &value_box<T>::destroy, false};

template <class T>
constexpr const value_ops* value_ops_of() noexcept {
    if constexpr (value_fits_inside<T>) {
        return &ops_of_inside<T>;
    } else {
        return &ops_of_boxed<T>;
    }
}

/// Throws: bad_value_cast naming both types; `held` is null for an empty value.
[[noreturn]] void throw_bad_value_cast(const std::type_info* held, const std::type_info& asked);

}  // namespace detail

/// An object of any type, or nothing. It owns what it holds, can be moved but not copied, and moving it never
/// throws and never runs a constructor of the payload, so the address of a payload that does not fit inside stays
/// the same on its whole journey.
///
/// May be made and destroyed on any thread; what it holds may not agree.
///
///     copse::value v = 42;
///     v.holds<int>();                                   // true
///     v.as<int>();                                      // 42; v still holds it
///     v = "text";                                       // a std::string
///     v.as<std::string&>() += "!";
///     std::string s = std::move(v).as<std::string>();   // v is empty now
///     v.as<int>();                                      // bad_value_cast: value is empty, asked for int
///
/// Cost: up to three words that are copied by their bytes live inside; everything else is one heap allocation.
class value {
public:
    /// Empty.
    constexpr value() noexcept : nothing_{} {}

    /// Holds `object`, moved or copied. String literals and pointers to characters (never null) become a std::string.
    /// Throws: what copying or moving the object throws; std::bad_alloc. Nothing is left behind then.
    template <detail::value_source T>
    value(T&& object) : nothing_{} {
        static_assert(std::is_constructible_v<detail::value_stored_t<T>, T>,
                      "this object cannot be copied: std::move it");
        construct<detail::value_stored_t<T>>(std::forward<T>(object));
    }

    /// Holds a `T` made in place from `args`, so `T` need not be movable.
    template <detail::value_object T, class... Args>
    explicit value(std::in_place_type_t<T> /*unused*/, Args&&... args) : nothing_{} {
        construct<T>(std::forward<Args>(args)...);
    }

    /// After:   `other` is empty.
    value(value&& other) noexcept : nothing_{} { steal(other); }

    /// After:   `other` is empty. What this value held is destroyed last, when both are already in their new state.
    ///          Moving a value to itself changes nothing.
    value& operator=(value&& other) noexcept {
        value incoming(std::move(other));
        swap(incoming);
        return *this;
    }

    value(const value&) = delete;
    value& operator=(const value&) = delete;

    ~value() {
        if (ops_ != nullptr) release();
    }

    /// What the arguments of a switch become: none an empty value, one itself (a value moves through), several a
    /// std::tuple of what each would be alone. Passing one tuple and passing its elements are the same thing;
    /// passing std::tuple<> and passing nothing are not.
    [[nodiscard]] static value pack() noexcept { return {}; }
    [[nodiscard]] static value pack(value&& only) noexcept { return std::move(only); }
    template <detail::value_source T>
    [[nodiscard]] static value pack(T&& only) {
        return value(std::forward<T>(only));
    }
    template <class T, class U, class... More>
    [[nodiscard]] static value pack(T&& first, U&& second, More&&... more) {
        using tuple = std::tuple<detail::value_stored_t<T>, detail::value_stored_t<U>, detail::value_stored_t<More>...>;
        return value(std::in_place_type<tuple>, std::forward<T>(first), std::forward<U>(second),
                     std::forward<More>(more)...);
    }

    [[nodiscard]] bool has_value() const noexcept { return ops_ != nullptr; }

    /// Same as has_value(): tells whether there is something, not whether it is true.
    [[nodiscard]] explicit operator bool() const noexcept { return has_value(); }

    /// Returns: the type of what is held, typeid(void) when empty.
    [[nodiscard]] const std::type_info& type() const noexcept { return ops_ == nullptr ? typeid(void) : *ops_->type; }

    /// Whether exactly a `T` is held: no conversions, no base classes.
    template <detail::value_object T>
    [[nodiscard]] bool holds() const noexcept {
        // The table of a type can exist twice when shared libraries hide their symbols.
        return ops_ == detail::value_ops_of<T>() || (ops_ != nullptr && *ops_->type == typeid(T));
    }

    /// Returns: the address of the `T` that is held, null if none is. Good until the value is moved, changed or
    ///          destroyed.
    template <detail::value_object T>
    [[nodiscard]] T* get_if() noexcept {
        return holds<T>() ? held<T>() : nullptr;
    }
    template <detail::value_object T>
    [[nodiscard]] const T* get_if() const noexcept {
        return holds<T>() ? held<T>() : nullptr;
    }

    /// Moves the `T` out.
    /// Throws:  bad_value_cast if none is held, the value is unchanged then; what moving throws.
    /// After:   empty.
    template <detail::value_object T>
    T as() && {
        require<T>();
        value taken(std::move(*this));
        return std::move(*taken.held<T>());
    }

    /// Copies the `T` out.
    /// Throws:  bad_value_cast if none is held; what copying throws.
    template <detail::value_object T>
    T as() const& {
        static_assert(std::is_copy_constructible_v<T>, "this type can only be moved: std::move(v).as<T>()");
        require<T>();
        return *held<T>();
    }

    /// Gives a reference to the `T` that is held, or that a std::ref or std::cref that is held refers to. The
    /// former is good until the value is moved, changed or destroyed.
    /// Throws:  bad_value_cast.
    template <detail::value_reference T>
    T as() & {
        using object = std::remove_reference_t<T>;
        if (auto* own = get_if<std::remove_const_t<object>>()) return *own;
        return referent<object>();
    }
    template <detail::value_const_reference T>
    T as() const& {
        using object = std::remove_reference_t<T>;
        if (const auto* own = get_if<std::remove_const_t<object>>()) return *own;
        return referent<object>();
    }

    /// A reference into a value that is about to go would dangle: name the value first.
    template <detail::value_reference T>
    T as() && = delete;

    /// After:   empty, already while the payload's destructor runs.
    void reset() noexcept { value dropped(std::move(*this)); }

    void swap(value& other) noexcept {
        value mine(std::move(*this));
        steal(other);
        other.steal(mine);
    }
    friend void swap(value& a, value& b) noexcept { a.swap(b); }

private:
    struct nothing {};

    template <class T, class... Args>
    void construct(Args&&... args) {
        if constexpr (!detail::value_fits_inside<T>) {
            void* box = new detail::value_box<T>(std::in_place, std::forward<Args>(args)...);
            std::memcpy(bytes_, &box, sizeof box);
        } else if constexpr (sizeof(T) > detail::value_word) {
            ::new (static_cast<void*>(bytes_)) T(detail::make_held<T>(std::forward<Args>(args)...));
        } else {
            // A whole word is written, because a whole word is read when the value moves, and a load that is wider
            // than the store before it waits for that store to reach the cache (a dozen cycles).
            const T object = detail::make_held<T>(std::forward<Args>(args)...);
            std::uint64_t word = 0;
            std::memcpy(&word, std::addressof(object), sizeof object);
            std::memcpy(bytes_, &word, sizeof word);
        }
        ops_ = detail::value_ops_of<T>();
    }

    // GCC cannot see that `wide` tells whether the further words were written.
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#endif
    // Requires: this value is empty.
    void steal(value& other) noexcept {
        if (other.ops_ == nullptr) return;
        std::memcpy(bytes_, other.bytes_, detail::value_word);
        if (other.ops_->wide) {
            std::memcpy(bytes_ + detail::value_word, other.bytes_ + detail::value_word,
                        detail::value_capacity - detail::value_word);
        }
        ops_ = std::exchange(other.ops_, nullptr);
    }
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic pop
#endif

    // Requires: not empty. Empties the value before the payload's destructor runs, which may look at the value again.
    void release() noexcept {
        const detail::value_ops* ops = std::exchange(ops_, nullptr);
        if (ops->destroy != nullptr) ops->destroy(box());
    }

    void* box() const noexcept {
        void* p;
        std::memcpy(&p, bytes_, sizeof p);
        return p;
    }

    // Requires: a T is held.
    template <class T>
    T* held() noexcept {
        if constexpr (detail::value_fits_inside<T>) {
            return std::launder(reinterpret_cast<T*>(bytes_));
        } else {
            return std::addressof(static_cast<detail::value_box<T>*>(box())->held);
        }
    }
    template <class T>
    const T* held() const noexcept {
        return const_cast<value*>(this)->held<T>();
    }

    template <class T>
    void require() const {
        if (!holds<T>()) [[unlikely]] {
            detail::throw_bad_value_cast(ops_ == nullptr ? nullptr : ops_->type, typeid(T));
        }
    }

    // What a std::reference_wrapper in here refers to.
    template <class T>
    T& referent() const {
        if (const auto* ref = get_if<std::reference_wrapper<T>>()) return ref->get();
        if constexpr (std::is_const_v<T>) {
            return referent<std::remove_const_t<T>>();
        } else {
            detail::throw_bad_value_cast(ops_ == nullptr ? nullptr : ops_->type, typeid(T));
        }
    }

    const detail::value_ops* ops_ = nullptr;  // null: empty
    union {
        nothing nothing_;  // lets the empty value be a constant without writing the bytes
        alignas(std::uint64_t) std::byte bytes_[detail::value_capacity];  // the payload, or the address of its box
    };
};

}  // namespace copse
