// The inlined half of greenlet: handles, the making of blocks, and the switch.
#include <copse/greenlet.hpp>  // first, and outside the guard: it needs the class, and includes this at its end

#ifndef COPSE_DETAIL_GREENLET_INLINE
#define COPSE_DETAIL_GREENLET_INLINE

#include <memory>

#include <copse/detail/callable.hpp>
#include <copse/detail/handle_access.hpp>
#include <copse/detail/jump.hpp>

namespace copse {

constexpr greenlet::greenlet() noexcept : core_(&detail::nobody) {}

inline greenlet::greenlet(const greenlet& other) noexcept : core_(other.core_) {
    if (core_ == &detail::nobody) return;
    if (detail::count_up(core_->refs) == 0) [[unlikely]]
        detail::first_handle_again(*core_);
}

inline greenlet::greenlet(greenlet&& other) noexcept : core_(std::exchange(other.core_, &detail::nobody)) {}

inline greenlet& greenlet::operator=(const greenlet& other) noexcept {
    greenlet(other).swap(*this);
    return *this;
}

inline greenlet& greenlet::operator=(greenlet&& other) noexcept {
    greenlet(std::move(other)).swap(*this);
    return *this;
}

inline greenlet::~greenlet() {
    if (core_ != &detail::nobody) detail::release(*core_);
}

inline bool greenlet::empty() const noexcept { return core_ == &detail::nobody; }

namespace detail {

/// Blocks hold what is aligned like this; a callable that wants more is boxed.
inline constexpr std::size_t block_alignment = 16;

/// Memory for a block of `size` bytes on this thread, whose state is made if need be.
void* allocate_block(std::size_t size);
void free_block(void* block, std::size_t size, thread_state* owner) noexcept;

/// Throws wrong_thread unless `parent` is empty or belongs here.
void check_parent(const greenlet& parent);

/// Names and parents a fresh block, and gives it its id.
void prepare_block(core& block, const core_ops& ops, const greenlet_options& with);
void prepare_block(core& block, const core_ops& ops, const greenlet& parent) noexcept;

[[noreturn]] void throw_null_callable(const char* operation);

/// Ends what other threads have dropped.
void attend_mail();

template <class F>
struct greenlet_block : core {
    union {
        F callable;
    };

    template <class G>
    explicit greenlet_block(G&& run) : callable(std::forward<G>(run)) {}
    ~greenlet_block() {}  // NOLINT(modernize-use-equals-default): the callable ends before the block

    static greenlet_block& of(core& c) noexcept { return static_cast<greenlet_block&>(c); }
    static value run(core& c, value&& first) { return call_for_value(of(c).callable, std::move(first)); }
    static void drop_callable(core& c) noexcept { of(c).callable.~F(); }
    static void destroy(core& c) noexcept {
        thread_state* owner = c.owner;
        of(c).~greenlet_block();
        free_block(&c, sizeof(greenlet_block), owner);
    }

    static constexpr core_ops ops{&run, &drop_callable, &destroy, sizeof(greenlet_block)};
};

/// Room for a block, given back unless a block was made in it.
class block_room {
public:
    explicit block_room(std::size_t size) : memory_(allocate_block(size)), size_(size) {}
    block_room(const block_room&) = delete;
    block_room& operator=(const block_room&) = delete;
    ~block_room() {
        if (memory_ != nullptr) free_block(memory_, size_, this_thread.state);
    }
    void* get() const noexcept { return memory_; }
    void keep() noexcept { memory_ = nullptr; }

private:
    void* memory_;
    std::size_t size_;
};

template <class F, class With>
greenlet make_greenlet(F&& run, const With& with) {
    using callable = std::decay_t<F>;
    if constexpr (alignof(callable) > block_alignment) {
        struct boxed {
            std::shared_ptr<callable> held;
            value operator()(value first) const { return call_for_value(*held, std::move(first)); }
        };
        return make_greenlet(boxed{std::make_shared<callable>(std::forward<F>(run))}, with);
    } else {
        if (is_null(run)) throw_null_callable("greenlet");
        using block_type = greenlet_block<callable>;
        attend_mail();  // rule 54
        block_room room(sizeof(block_type));
        auto* block = ::new (room.get()) block_type(std::forward<F>(run));
        room.keep();
        greenlet made = handle_access::adopt(*block);
        prepare_block(*block, block_type::ops, with);
        return made;
    }
}

/// The word of a jump says what arrives: null nothing, this a payload in the inbox, anything else that receive() must look.
inline void* word_of_payload() noexcept { return reinterpret_cast<void*>(std::uintptr_t{1}); }

/// What arrived in a switch that was not plain: takes the payload from the inbox, does what is due on arrival, returns it
/// or throws it.
value receive();

}  // namespace detail

template <class F>
    requires(!std::is_base_of_v<greenlet, std::decay_t<F>> && std::is_object_v<std::decay_t<F>>)
greenlet::greenlet(F&& run) : greenlet(detail::make_greenlet(std::forward<F>(run), greenlet())) {}

template <class F>
greenlet::greenlet(F&& run, const greenlet& parent) : greenlet() {
    detail::check_parent(parent);
    *this = detail::make_greenlet(std::forward<F>(run), parent);
}

template <class F>
greenlet::greenlet(const options& with, F&& run) : greenlet() {
    detail::check_parent(with.parent);
    *this = detail::make_greenlet(std::forward<F>(run), with);
}

// Always inlined: left alone GCC outlines it, and then two call sites that switch to each other share one jump, whose target
// is mispredicted every time.
template <class... Args>
[[gnu::always_inline]] inline value greenlet::switch_to(Args&&... args) const {
    detail::core* target = core_;
    void* word = nullptr;
    std::uintptr_t gate;
    if constexpr (sizeof...(Args) == 0) {
        gate = detail::this_thread.gate.load(std::memory_order_relaxed);
        if (target->gate.load(std::memory_order_relaxed) != gate || detail::this_thread.exceptions->any()) [[unlikely]]
            return switch_slowly(value());
    } else {
        value payload =
            value::pack(std::forward<Args>(args)...);  // may throw, may even switch: before anything is decided
        gate = detail::this_thread.gate.load(std::memory_order_relaxed);
        if (target->gate.load(std::memory_order_relaxed) != gate || detail::this_thread.exceptions->any())
            [[unlikely]] {
            return switch_slowly(std::move(payload));
        }
        ::new (static_cast<void*>(detail::this_thread.inbox))
            value(std::move(payload));  // it is empty between switches
        word = detail::word_of_payload();
    }
    detail::core* self = detail::this_thread.current;
    self->gate.store(gate, std::memory_order_relaxed);
    target->gate.store(detail::gate_of_nobody, std::memory_order_relaxed);
    const detail::arrival from = detail::level_jump(target->frame, word, &self->frame);
    detail::this_thread.current->frame = from.frame;
    detail::this_thread.current = self;
    if (from.word == nullptr) return {};
    if (from.word == detail::word_of_payload()) [[likely]]
        return std::move(*detail::this_thread.inbox);
    return detail::receive();
}

template <class E>
value greenlet::raise(E&& exception) const {
    if constexpr (std::is_same_v<std::decay_t<E>, std::exception_ptr>) {
        return raise_ptr(std::forward<E>(exception));
    } else {
        return raise_ptr(std::make_exception_ptr(std::forward<E>(exception)));
    }
}

}  // namespace copse

inline std::size_t std::hash<copse::greenlet>::operator()(const copse::greenlet& g) const noexcept {
    return std::hash<const void*>()(&copse::detail::handle_access::of(g));
}

#endif
