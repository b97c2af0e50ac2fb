// A crawler: fetches a page and all that it links to. First one after the other, then side by side, by as many fibers as
// there are links: what takes the time is waiting, and that can be done for all of them at once.
//
//     io_crawler [url]     without one it serves itself three and thirty sites that take their time, every third of them
//                          over TLS, and crawls those
#include <copse/fibers.hpp>
#include <copse/io/http/client.hpp>
#include <copse/io/http/server.hpp>
#include <copse/io/process.hpp>
#include <copse/io/tls_stream.hpp>

#include <chrono>
#include <exception>
#include <iostream>
#include <list>
#include <numeric>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
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

void crawl(http::client& client, const std::string& start) {
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

// Certificate and key for this one run, by the program openssl: a real site has them from an authority.
std::string make_certificate() {
    return io::check_output({"openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
                             "-noenc", "-days", "1", "-subj", "/CN=localhost", "-addext",
                             "subjectAltName=DNS:localhost", "-out", "-", "-keyout", "-"});
}

// Sites that think for a while before they answer.
class slow_web {
public:
    explicit slow_web(int sites) {
        // [https]
        const auto own = io::tls_context::server({.identity = {.certificate_pem = certificate_}});
        const auto secure = [own](io::socket s) -> io::any_stream { return io::tls_stream::server(std::move(s), own); };
        // [/https]
        std::string page = "<ul>";
        for (int i = 0; i < sites; ++i) {
            http::server_options with;
            if (i % 3 == 0) with.secure = secure;
            const auto answer = [i](const http::request&) {
                copse::sleep(20ms);
                return http::html("<h1>site " + std::to_string(i) + "</h1>" + std::string(100, '.'));
            };
            http::server& site = sites_.emplace_back("127.0.0.1:0", answer, with);
            site.start();
            page += "<li><a href=\"" + url_of(site, with.secure ? "https" : "http") + "\">site</a>";
        }
        index_.emplace("127.0.0.1:0", [page](const http::request&) { return http::html(page); });
        index_->start();
    }
    std::string url() const { return url_of(*index_, "http"); }

    // A client that believes in the certificate of these sites.
    http::client client() const {
        const auto trusting = io::tls_context::client({.trust = {.ca_pem = certificate_}});
        return http::client({.secure = [trusting](io::any_stream plain, const std::string& host) -> io::any_stream {
            return io::tls_stream::client(std::move(plain), trusting, host);
        }});
    }

private:
    static std::string url_of(const http::server& s, const std::string& scheme) {
        return scheme + "://localhost:" + std::to_string(s.local_endpoint().port()) + "/";
    }

    const std::string certificate_ = make_certificate();
    std::list<http::server> sites_;
    std::optional<http::server> index_;
};

}  // namespace

int main(int argc, char** argv) {
    if (argc > 2 || (argc == 2 && std::string_view(argv[1]) == "--help")) {
        std::cerr << "usage: io_crawler [url]\n";
        return 2;
    }
    try {
        if (argc == 2) {
            http::client client;
            crawl(client, argv[1]);
        } else {
            const slow_web web(33);
            auto client = web.client();
            crawl(client, web.url());
        }
        return 0;
    } catch (const std::exception& e) {
        std::cerr << "io_crawler: " << e.what() << '\n';
        return 1;
    }
}
