// A picture of a thread's greenlets, of one moment: nobody runs from its making to the last word of the text made from it.
// Each step is linear in the greenlets; what would not be is bounded (most_edges, deepest_drawn).
#include "dump.hpp"

#include <algorithm>
#include <cstdio>
#include <ostream>
#include <unordered_map>

#include "hub_core.hpp"
#include "messenger.hpp"
#include "stack_walk.hpp"

namespace copse {

namespace detail {

namespace {

// A name must not end its line, or talk to the terminal.
std::string printable(std::string_view name) {
    std::string text(name);
    std::replace_if(
        text.begin(), text.end(), [](char ch) { return static_cast<unsigned char>(ch) < ' ' || ch == '\x7f'; }, '?');
    return text;
}

constexpr std::size_t none = SIZE_MAX;
constexpr std::size_t most_edges = 1'000'000;  // a thousand fibers that each join a thousand
constexpr std::size_t deepest_drawn = 24;      // below it a line says how deep it is
constexpr std::size_t most_named = 3;

bool is_parked(const core& c) noexcept { return c.waiting != nullptr && c.waiting->ended == cause::open; }

const char* state_of(const core& c) {
    if (is_parked(c)) return "parked";  // also while the hub's turn is taken on its stack
    if (&c == this_thread.current) return "running";
    if (hub_core::is_hub(c)) return "at rest";
    if (c.waiting != nullptr) return "ready";
    if (!c.has_started()) return "pending";
    return is_suspended_by_hand(c) ? "suspended" : "ready";
}

const char* kind_of(const core& c) noexcept {
    if (hub_core::is_hub(c)) return "hub";
    if (c.is(trait_eternal)) return "main";
    return c.is(trait_fiber) ? "fiber" : "greenlet";
}

std::string name_of(const core& c) {
    std::string text = '#' + std::to_string(c.id);
    if (c.label != nullptr) text.append(" \"").append(printable(c.label)).append("\"");
    return text;
}

std::string title_of(const core& c) { return std::string(kind_of(c)) + ' ' + name_of(c); }

std::string wait_of(const core& c) {
    if (!is_parked(c)) return {};
    std::string text = c.waiting->what;
    if (c.waiting->on == nullptr) return text;
    char address[2 + 16 + 1];
    return text.append(1, ' ').append(
        address, static_cast<std::size_t>(std::snprintf(address, sizeof address, "%p", c.waiting->on)));
}

std::uint64_t parent_of(const core& c) noexcept {
    if (c.is(trait_fiber)) return static_cast<const fiber_core&>(c).spawner;
    return handle_access::of(c.parent).id;
}

std::string site_of(const core& c) {
    const char* file = spawn_file(c);
    return file == nullptr ? std::string() : std::string(file) + ':' + std::to_string(spawn_line(c));
}

// A wait that began in virtual time may have begun later than now.
std::chrono::nanoseconds waited(const core& c, std::int64_t now) {
    return std::chrono::nanoseconds(std::max<std::int64_t>(now - c.waiting->since, 0));
}

blockers blockers_of(const core& c, std::size_t most) {
    blockers found;
    found.most = most;
    if (is_parked(c) && c.waiting->behind != nullptr) c.waiting->behind(*c.waiting, found);
    return found;
}

fiber_info info_of(const core& c, std::int64_t now) {
    fiber_info info;
    info.id = c.id;
    info.name = c.label == nullptr ? "" : c.label;
    info.state = state_of(c);
    info.waits_for = wait_of(c);
    if (is_parked(c)) info.waited = waited(c, now);
    info.spawned_at = site_of(c);
    info.spawned_by = c.is(trait_fiber) ? parent_of(c) : 0;
    info.parent = parent_of(c);
    if (c.stack != nullptr && c.is_active()) {
        info.stack_used = stack_pool::high_water(*c.stack);
        info.stack_size = stack_pool::size(*c.stack);
    }
    info.behind = blockers_of(c, blockers().most).ids;
    return info;
}

class picture {
public:
    picture(hub_core& hub, const dump_options& with);

    std::string tree();
    std::string rings();

private:
    struct node {
        const core* who;
        std::size_t first_child = none;
        std::size_t next_sibling = none;
        std::size_t edges = 0;  // where those of it begin; they end where those of the next node do
        bool drawn = false;
        bool told = false;  // in a ring
    };
    enum class visit : std::uint8_t { not_yet, on_the_way, done };

    static constexpr std::size_t main_node = 0;
    static constexpr std::size_t hub_node = 1;

    void hang_up();
    void draw(std::string& out, std::size_t root);
    void draw_line(std::string& out, std::size_t at, std::size_t depth);
    void draw_backtrace(std::string& out, const core& c, std::size_t depth);
    std::string branch(std::size_t depth, bool below) const;
    std::string blockers_text(const core& c) const;

    void find_edges();
    void add_edge(std::uint64_t id);
    void look_from(std::size_t start, std::string& out);
    void tell_ring(std::string& out, std::size_t length, std::size_t first);
    std::size_t end_of_edges(std::size_t n) const {
        return n + 1 < nodes_.size() ? nodes_[n + 1].edges : edges_.size();
    }
    std::string waiting_text(const core& c) const;

    const dump_options& with_;
    const std::int64_t now_;
    address_names names_;
    std::vector<node> nodes_;  // main, hub, then the newest first
    std::unordered_map<std::uint64_t, std::size_t> by_id_;
    std::vector<std::size_t> roots_;  // of those that hang nowhere; the newest first
    std::vector<char> more_;          // by depth: whether the line there goes on downwards
    std::vector<std::size_t> edges_;  // to whom one stands behind
    std::vector<visit> visits_;
    std::vector<std::size_t> way_;      // from where the search began
    std::vector<std::size_t> next_of_;  // beside `way_`: the next edge to be tried
};

picture::picture(hub_core& hub, const dump_options& with) : with_(with), now_(hub.now()) {
    nodes_.push_back({&hub.state.main});
    nodes_.push_back({&hub.greenlet_core});
    for (const core* c = hub.state.newest(); c != nullptr; c = c->older) nodes_.push_back({c});
    by_id_.reserve(nodes_.size());
    for (std::size_t n = 0; n < nodes_.size(); ++n) by_id_.emplace(nodes_[n].who->id, n);
    hang_up();
}

// The newest first, each before those that hang there already: so the oldest comes first in the end.
void picture::hang_up() {
    for (std::size_t n = hub_node + 1; n < nodes_.size(); ++n) {
        const auto parent = by_id_.find(parent_of(*nodes_[n].who));
        if (parent == by_id_.end()) {
            roots_.push_back(n);
            continue;
        }
        node& p = nodes_[parent->second];
        nodes_[n].next_sibling = std::exchange(p.first_child, n);
    }
}

std::string picture::tree() {
    std::string out;
    draw(out, main_node);
    if (nodes_[hub_node].first_child != none || nodes_[hub_node].who == this_thread.current) draw(out, hub_node);
    for (auto root = roots_.rbegin(); root != roots_.rend(); ++root) draw(out, *root);
    // A greenlet made a child of the fiber that it spawned hangs at no root.
    for (std::size_t n = nodes_.size(); n-- > hub_node + 1;) {
        if (!nodes_[n].drawn) draw(out, n);
    }
    return out;
}

void picture::draw(std::string& out, std::size_t root) {
    struct place {
        std::size_t node;
        std::size_t depth;
    };
    std::vector<place> to_do{{root, 0}};
    while (!to_do.empty()) {
        const place at = to_do.back();
        node& n = nodes_[at.node];
        to_do.pop_back();
        if (at.depth != 0 && n.next_sibling != none) to_do.push_back({n.next_sibling, at.depth});
        if (std::exchange(n.drawn, true)) continue;
        if (more_.size() <= at.depth) more_.resize(at.depth + 1);
        more_[at.depth] = at.depth != 0 && n.next_sibling != none ? 1 : 0;
        if (n.first_child != none) to_do.push_back({n.first_child, at.depth + 1});
        draw_line(out, at.node, at.depth);
    }
}

std::string picture::branch(std::size_t depth, bool below) const {
    std::string text = "  ";
    const std::size_t drawn = std::min(depth, deepest_drawn);
    for (std::size_t d = 1; d < drawn; ++d) text += more_[d] != 0 ? "|   " : "    ";
    if (drawn != 0 && below) text += more_[depth] != 0 ? "|   " : "    ";
    if (drawn != 0 && !below) text += more_[depth] != 0 ? "|-- " : "`-- ";
    if (depth > deepest_drawn && !below) text += "[depth " + std::to_string(depth) + "] ";
    return text;
}

void picture::draw_line(std::string& out, std::size_t at, std::size_t depth) {
    const core& c = *nodes_[at].who;
    out += branch(depth, false);
    out.append(title_of(c)).append(1, ' ').append(state_of(c));
    if (is_parked(c)) {
        const auto ms = std::chrono::duration_cast<std::chrono::milliseconds>(waited(c, now_)).count();
        out += " in " + wait_of(c) + blockers_text(c) + " for " + std::to_string(ms) + " ms";
    }
    if (const std::string site = site_of(c); !site.empty())
        out += ", spawned at " + site + " by #" + std::to_string(parent_of(c));
    if (const std::uint64_t parent = parent_of(c); parent != 0 && by_id_.count(parent) == 0)
        out += ", child of #" + std::to_string(parent) + ", which has ended";
    if (with_.stacks && c.stack != nullptr && c.is_active()) {
        out += ", stack " + std::to_string((stack_pool::high_water(*c.stack) + 1023) / 1024) + " of " +
               std::to_string(stack_pool::size(*c.stack) / 1024) + " KiB";
    }
    out += '\n';
    if (with_.backtraces && &c != this_thread.current) draw_backtrace(out, c, depth);
}

void picture::draw_backtrace(std::string& out, const core& c, std::size_t depth) {
    const std::vector<void*> addresses = c.self.backtrace();
    const std::string margin = branch(depth, true);
    for (void* address : addresses) out.append(margin).append("  at ").append(names_.of(address)).append(1, '\n');
}

std::string picture::blockers_text(const core& c) const {
    const blockers found = blockers_of(c, blockers().most);
    std::string text;
    for (std::size_t i = 0; i < std::min(found.ids.size(), most_named); ++i) {
        const auto who = by_id_.find(found.ids[i]);
        text += i == 0 ? ' ' + std::string(found.how) + ' ' : ", ";
        text += who == by_id_.end() ? '#' + std::to_string(found.ids[i]) + ", which is not here or has ended,"
                                    : title_of(*nodes_[who->second].who);
    }
    return found.ids.size() > most_named ? text + " and others" : text;
}

// Who is suspended by hand waits, as far as anybody can tell, for its children.
void picture::find_edges() {
    for (node& n : nodes_) {
        n.edges = edges_.size();
        for (const std::uint64_t id : blockers_of(*n.who, most_edges - edges_.size()).ids) add_edge(id);
        if (!is_suspended_by_hand(*n.who) || n.who == this_thread.current) continue;
        for (std::size_t child = n.first_child; child != none; child = nodes_[child].next_sibling) {
            if (!nodes_[child].who->is(trait_fiber)) add_edge(nodes_[child].who->id);
        }
    }
}

void picture::add_edge(std::uint64_t id) {
    if (const auto found = by_id_.find(id); found != by_id_.end()) edges_.push_back(found->second);
}

std::string picture::rings() {
    std::string out;
    find_edges();
    visits_.assign(nodes_.size(), visit::not_yet);
    look_from(main_node, out);
    for (std::size_t n = nodes_.size(); n-- > hub_node;) {  // the oldest first
        if (visits_[n] == visit::not_yet) look_from(n, out);
    }
    return out;
}

void picture::look_from(std::size_t start, std::string& out) {
    const auto go_to = [this](std::size_t n) {
        visits_[n] = visit::on_the_way;
        way_.push_back(n);
        next_of_.push_back(nodes_[n].edges);
    };
    go_to(start);
    while (!way_.empty()) {
        const std::size_t at = way_.back();
        if (next_of_.back() == end_of_edges(at)) {
            visits_[at] = visit::done;
            way_.pop_back();
            next_of_.pop_back();
            continue;
        }
        const std::size_t next = edges_[next_of_.back()++];
        if (visits_[next] == visit::not_yet) {
            go_to(next);
        } else if (visits_[next] == visit::on_the_way && !nodes_[next].told) {
            const auto begin = std::find(way_.rbegin(), way_.rend(), next);
            tell_ring(out, static_cast<std::size_t>(begin - way_.rbegin()) + 1, next);
        }
    }
}

// Each greenlet is in one ring only: those that share some of theirs would fill pages and say nothing new.
void picture::tell_ring(std::string& out, std::size_t length, std::size_t first) {
    const auto name = [this](std::size_t n) { return title_of(*nodes_[n].who); };
    const std::size_t begin = way_.size() - length;
    for (std::size_t i = begin; i < way_.size(); ++i) {
        if (nodes_[way_[i]].told) return;
    }
    for (std::size_t i = begin; i < way_.size(); ++i) nodes_[way_[i]].told = true;
    out += "cycle: " + name(first);
    for (std::size_t i = begin; i < way_.size(); ++i) {
        out += (i == begin ? " " : ", which ") + waiting_text(*nodes_[way_[i]].who) + ' ' +
               name(i + 1 < way_.size() ? way_[i + 1] : first);
    }
    out += '\n';
}

std::string picture::waiting_text(const core& c) const {
    if (!is_parked(c)) return "is suspended in a switch by hand behind";
    return "waits in " + wait_of(c) + ' ' + blockers_of(c, 1).how;
}

}  // namespace

std::string describe_fibers(hub_core& hub, const dump_options& with) {
    picture all(hub, with);
    std::string text = all.tree();
    return text += all.rings();
}

std::string describe_deadlock(hub_core& hub) {
    const dump_options with;
    picture all(hub, with);
    std::string text = "this thread would block forever: nothing can make a fiber ready\n";
    text += all.rings();
    return text += all.tree();
}

std::string describe_wait(const core& c) {
    if (hub_core::is_hub(c)) return " is the hub's own greenlet, which is never entered by hand";
    if (c.is(trait_left_behind)) return " was left in the parent process by fork";
    if (is_parked(c)) return " is parked in the hub (" + wait_of(c) + "), which alone resumes it";
    return " is in the hub's ready queue: the hub alone resumes it";
}

}  // namespace detail

std::vector<fiber_info> hub::fibers() const {
    detail::hub_core& self = detail::hub_core::of(*this);
    const std::int64_t now = self.now();
    std::vector<fiber_info> all;
    for (const detail::core* c = self.state.newest(); c != nullptr; c = c->older) {
        if (c->is(detail::trait_fiber) || c->waiting != nullptr) all.push_back(detail::info_of(*c, now));
    }
    return all;
}

void hub::dump(std::ostream& out, const dump_options& with) const {
    out << detail::describe_fibers(detail::hub_core::of(*this), with);
}

}  // namespace copse
