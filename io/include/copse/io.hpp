/// All of room 2: waiting for descriptors, sockets, servers, pipes, processes, signals.
#pragma once

#include <copse/io/any_stream.hpp>
#include <copse/io/buffer.hpp>
#include <copse/io/buffer_view.hpp>
#include <copse/io/datagram.hpp>
#include <copse/io/datagram_server.hpp>
#include <copse/io/datagram_socket.hpp>
#include <copse/io/descriptor.hpp>
#include <copse/io/descriptor_passing.hpp>
#include <copse/io/endpoint.hpp>
#include <copse/io/error.hpp>
#include <copse/io/exit_status.hpp>
#include <copse/io/http/client.hpp>
#include <copse/io/http/url.hpp>
#include <copse/io/http/websocket.hpp>
#include <copse/io/multicast.hpp>
#include <copse/io/on_signal.hpp>
#include <copse/io/pipe.hpp>
#include <copse/io/process.hpp>
#include <copse/io/process_options.hpp>
#include <copse/io/resolver.hpp>
#include <copse/io/signal_listener.hpp>
#include <copse/io/socket.hpp>
#include <copse/io/socket_option.hpp>
#include <copse/io/stream_server.hpp>
#include <copse/io/wait.hpp>
