// A crawler: fetches a page and all that it links to. First one after the other, then side by side, by as many fibers as
// there are links: what takes the time is waiting, and that can be done for all of them at once.
//
//     io_crawler [url]     without one it serves itself three and thirty sites that take their time, and crawls those
#include <copse/fibers.hpp>
#include <copse/io/http/client.hpp>
#include <copse/io/http/server.hpp>

#include <chrono>
#include <exception>
#include <iostream>
#include <list>
#include <numeric>
#include <string>
#include <string_view>
#include <vector>

namespace io = copse::io;
namespace http = copse::io::http;
using namespace std::chrono_literals;

namespace {

// What stands in href="…", as URLs.
std::vector<std::string> links_of(std::string_view page, const http::url& base) {
    constexpr std::string_view mark = "href=\"";
    std::vector<std::string> links;
    for (std::size_t at = page.find(mark); at != page.npos; at = page.find(mark, at)) {
        at += mark.size();
        links.push_back(base.resolve(page.substr(at, page.find('"', at) - at)).to_string());
    }
    return links;
}

// [crawl]
// How many bytes are behind a link. A link that leads nowhere is no reason to stop.
std::size_t size_of(http::client& client, const std::string& link) {
    try {
        return client.get_for(link, 5s).body.size();
    } catch (const std::exception& e) {
        std::cerr << e.what() << '\n';
        return 0;
    }
}

void crawl(const std::string& start) {
    http::client client;
    const auto base = http::url::parse(start);
    const auto links = links_of(client.get(start).body, base);

    const auto began = copse::clock::now();
    std::vector<std::size_t> sizes;
    for (const std::string& link : links) sizes.push_back(size_of(client, link));
    const auto between = copse::clock::now();

    copse::pool crawlers(100);
    const auto again = crawlers.map(links, [&](const std::string& link) { return size_of(client, link); });
    const auto ended = copse::clock::now();
    // [/crawl]

    std::cout << links.size() << " pages, " << std::accumulate(sizes.begin(), sizes.end(), std::size_t{0}) << " bytes\n"
              << "one after the other: " << (between - began) / 1ms << " ms\n"
              << "side by side:        " << (ended - between) / 1ms << " ms\n"
              << (again == sizes ? "the same pages" : "other pages") << ", "
              << ((ended - between) * 3 < between - began ? "much sooner" : "not much sooner") << '\n';
}

// Sites that think for a while before they answer.
class slow_web {
public:
    explicit slow_web(int sites) {
        for (int i = 0; i < sites; ++i) {
            sites_.emplace_back("127.0.0.1:0", [i](const http::request&) {
                copse::sleep(20ms);
                return http::html("<h1>site " + std::to_string(i) + "</h1>" + std::string(100, '.'));
            });
            sites_.back().start();
        }
        index_.start();
    }
    std::string url() const { return "http://" + to_string(index_.local_endpoint()) + "/"; }

private:
    http::response index() const {
        std::string page = "<ul>";
        for (const http::server& s : sites_)
            page += "<li><a href=\"http://" + to_string(s.local_endpoint()) + "/\">site</a>";
        return http::html(page);
    }

    std::list<http::server> sites_;
    http::server index_{"127.0.0.1:0", [this](const http::request&) { return index(); }};
};

}  // namespace

int main(int argc, char** argv) {
    if (argc > 2 || (argc == 2 && std::string_view(argv[1]) == "--help")) {
        std::cerr << "usage: io_crawler [url]\n";
        return 2;
    }
    try {
        if (argc == 2) {
            crawl(argv[1]);
        } else {
            const slow_web web(33);
            crawl(web.url());
        }
        return 0;
    } catch (const std::exception& e) {
        std::cerr << "io_crawler: " << e.what() << '\n';
        return 1;
    }
}
