// How a result that is kept is given out, to everybody who asks for it.
#pragma once

#include <optional>
#include <type_traits>
#include <utility>

namespace copse::detail {

/// What is kept of an R: of a reference a pointer.
template <class R>
using kept = std::conditional_t<std::is_reference_v<R>, std::remove_reference_t<R>*, R>;

/// Everybody gets a copy, or the reference. What can only be moved is moved out once: `require` throws if it has been, `take`
/// notes that it is. If moving throws it has not been taken.
template <class R, class Require, class Take>
R give(kept<R>& from, Require require, Take take) {
    if constexpr (std::is_reference_v<R>) {
        return static_cast<R>(*from);
    } else if constexpr (std::is_copy_constructible_v<R>) {
        return from;
    } else {
        require();
        R taken(std::move(from));
        take();
        return taken;
    }
}

/// What the timed forms return: an optional; of a reference a pointer that may be null; of void whether it is there.
template <class R, class Give>
auto give_if(bool there, Give give_it) {
    if constexpr (std::is_void_v<R>) {
        if (there) give_it();
        return there;
    } else if constexpr (std::is_reference_v<R>) {
        return there ? &give_it() : static_cast<std::remove_reference_t<R>*>(nullptr);
    } else {
        return there ? std::optional<R>(give_it()) : std::optional<R>();
    }
}

}  // namespace copse::detail
