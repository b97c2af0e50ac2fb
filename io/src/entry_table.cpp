#include "entry_table.hpp"

namespace copse::io::detail {

entry& entry_table::at(int fd) {
    if (entry* known = find(fd)) return *known;
    const auto number = static_cast<std::size_t>(fd) / chunk_size;
    auto fresh = std::make_unique<chunk>();
    int next = static_cast<int>(number * chunk_size);
    for (entry& e : fresh->entries) e.fd = next++;
    if (number >= chunks_.size()) chunks_.resize(number + 1);
    chunks_[number] = std::move(fresh);
    return *find(fd);
}

}  // namespace copse::io::detail
