// Greenlets form a tree: each has a parent, which continues when it ends, with its result or with its exception. Here that
// tree is the tree of a file system: a greenlet for each folder walks it, makes one for each folder inside, and returns
// the size of all it has seen.
//
//     greenlet_tree
#include <copse/greenlet.hpp>

#include <iostream>
#include <stdexcept>
#include <string>
#include <vector>

namespace {

struct node {
    std::string name;
    int size = 0;  // negative: cannot be read
    std::vector<node> inside{};
};

// [path]
// The way up, from any greenlet: "main > copse > fibers".
std::string path_of(const copse::greenlet& g) { return g.is_main() ? "main" : path_of(g.parent()) + " > " + g.name(); }
// [/path]

// [walk]
// Runs in a greenlet of its own, whose parent is that of the folder around it.
int walk(const node& here) {
    std::cout << path_of(copse::greenlet::current()) << '\n';
    if (here.size < 0) throw std::runtime_error(here.name + " cannot be read");
    int size = here.size;
    for (const node& child : here.inside) {
        copse::greenlet visitor({.name = child.name}, [&child] { return walk(child); });
        size += visitor.switch_to().as<int>();  // it ends there and continues here, in its parent
    }
    return size;
}
// [/walk]

int size_of(const node& root) {
    copse::greenlet visitor({.name = root.name}, [&root] { return walk(root); });
    return visitor.switch_to().as<int>();
}

}  // namespace

int main() {
    node tree{"copse", 1, {{"fibers", 0, {{"include", 20}, {"src", 30}}}, {"io", 0, {{"include", 10}, {"src", 25}}}}};
    const int size = size_of(tree);
    std::cout << "size: " << size << "\n\n";

    // An exception climbs: it ends each greenlet in which nobody catches it, and goes to its parent.
    tree.inside[1].inside[0].size = -1;
    try {
        size_of(tree);
    } catch (const std::runtime_error& e) {
        std::cout << "main: " << e.what() << "\n\n";
    }

    // A parent can be changed. The result of `leaf` goes to `branch` although main made it and switched to it.
    copse::greenlet branch([](const std::string& from_leaf) { return "branch got: " + from_leaf; });
    copse::greenlet leaf([] { return "a leaf"; });
    leaf.set_parent(branch);
    std::cout << leaf.switch_to().as<std::string>() << '\n';
    try {
        branch.set_parent(leaf);
    } catch (const copse::parent_cycle&) {
        std::cout << "a cycle is refused\n";
    }
}
