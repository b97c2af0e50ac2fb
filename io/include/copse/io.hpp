/// All of room 2: waiting for descriptors, sockets, servers, streams of lines and
/// messages, pipes, files, processes, signals.
#pragma once

#include <copse/io/any_stream.hpp>
#include <copse/io/buffer.hpp>
#include <copse/io/buffer_view.hpp>
#include <copse/io/buffered_stream.hpp>
#include <copse/io/byte_stream.hpp>
#include <copse/io/copy.hpp>
#include <copse/io/datagram.hpp>
#include <copse/io/datagram_server.hpp>
#include <copse/io/datagram_socket.hpp>
#include <copse/io/descriptor.hpp>
#include <copse/io/descriptor_passing.hpp>
#include <copse/io/endpoint.hpp>
#include <copse/io/error.hpp>
#include <copse/io/exit_status.hpp>
#include <copse/io/file.hpp>
#include <copse/io/frame_stream.hpp>
#include <copse/io/iostream.hpp>
#include <copse/io/line_reader.hpp>
#include <copse/io/multicast.hpp>
#include <copse/io/on_signal.hpp>
#include <copse/io/pipe.hpp>
#include <copse/io/pipe_stream.hpp>
#include <copse/io/process.hpp>
#include <copse/io/process_options.hpp>
#include <copse/io/resolver.hpp>
#include <copse/io/signal_listener.hpp>
#include <copse/io/socket.hpp>
#include <copse/io/socket_option.hpp>
#include <copse/io/stream_server.hpp>
#include <copse/io/wait.hpp>
