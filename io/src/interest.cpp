#include "interest.hpp"

#include <sys/epoll.h>

namespace copse::io::detail {

interest::interest(int number, std::uint32_t wanted) noexcept
    : watch(
          [](watch& w) noexcept {
              auto& i = static_cast<interest&>(w);
              i.told = true;
              if (i.of != nullptr) copse::detail::complete(*i.of, copse::detail::cause::satisfied);
          },
          [](watch& w) noexcept {
              static_cast<interest&>(w).gone = true;
              w.happened(w);
          }),
      fd(number) {
    events = wanted | EPOLLERR | EPOLLHUP;
}

}  // namespace copse::io::detail
