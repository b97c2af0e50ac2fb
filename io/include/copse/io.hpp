/// All of room 2: waiting for descriptors, sockets, servers.
#pragma once

#include <copse/io/buffer.hpp>
#include <copse/io/buffer_view.hpp>
#include <copse/io/datagram.hpp>
#include <copse/io/datagram_server.hpp>
#include <copse/io/datagram_socket.hpp>
#include <copse/io/descriptor.hpp>
#include <copse/io/descriptor_passing.hpp>
#include <copse/io/endpoint.hpp>
#include <copse/io/error.hpp>
#include <copse/io/multicast.hpp>
#include <copse/io/resolver.hpp>
#include <copse/io/socket.hpp>
#include <copse/io/socket_option.hpp>
#include <copse/io/stream_server.hpp>
#include <copse/io/wait.hpp>
