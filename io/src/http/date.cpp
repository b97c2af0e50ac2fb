#include "http/date.hpp"

#include <cstdio>

namespace copse::io::http::detail {

std::string_view write_date(std::time_t when, char* into) noexcept {
    static constexpr const char* days[] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
    static constexpr const char* months[] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                             "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
    std::tm t{};
    ::gmtime_r(&when, &t);
    char text[64];  // strftime would ask the locale
    std::snprintf(text, sizeof text, "%s, %02d %s %04d %02d:%02d:%02d GMT", days[t.tm_wday], t.tm_mday,
                  months[t.tm_mon], (t.tm_year + 1900) % 10000, t.tm_hour, t.tm_min, t.tm_sec);
    return {into, std::string_view(text).copy(into, 29)};
}

std::string_view date_now() noexcept {
    static thread_local std::time_t known = -1;
    static thread_local char text[30];
    timespec now{};
    ::clock_gettime(CLOCK_REALTIME_COARSE, &now);
    if (now.tv_sec != known) write_date(known = now.tv_sec, text);
    return {text, 29};
}

}  // namespace copse::io::http::detail
