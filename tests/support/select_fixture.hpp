#pragma once

/// A fixture for select: two queues and a channel to choose from, and handlers that log.

#include "hub_test.hpp"

#include <copse/fibers.hpp>

namespace copse_test {

class select_fixture : public hub_test {
protected:
    copse::queue<int> a{1};
    copse::queue<int> b{1};
    copse::channel<int> meet;

    auto logging(const char* name) {
        return [this, name](int i) { log(name, i); };
    }
    auto saying(const char* text) {
        return [this, text] { log(text); };
    }
};

}  // namespace copse_test
