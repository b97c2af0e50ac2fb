// Nothing at run time: pins that our streams are what Beast takes.
#include <copse/io/sync_stream.hpp>

#include <boost/beast/core/role.hpp>
#include <boost/beast/core/stream_traits.hpp>

namespace copse::io {

static_assert(boost::beast::is_sync_stream<socket>::value);
static_assert(boost::beast::is_sync_stream<any_stream>::value);

}  // namespace copse::io
