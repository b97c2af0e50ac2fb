/// All of room 1: greenlets, the hub, fibers, time and synchronisation.
#pragma once

#include <copse/async_result.hpp>
#include <copse/barrier.hpp>
#include <copse/clock.hpp>
#include <copse/condition_variable.hpp>
#include <copse/error.hpp>
#include <copse/event.hpp>
#include <copse/fiber.hpp>
#include <copse/generator.hpp>
#include <copse/greenlet.hpp>
#include <copse/hub.hpp>
#include <copse/latch.hpp>
#include <copse/link.hpp>
#include <copse/mutex.hpp>
#include <copse/once.hpp>
#include <copse/queue.hpp>
#include <copse/recursive_mutex.hpp>
#include <copse/semaphore.hpp>
#include <copse/shared_mutex.hpp>
#include <copse/stack.hpp>
#include <copse/timeout.hpp>
#include <copse/trace.hpp>
#include <copse/typed_greenlet.hpp>
#include <copse/value.hpp>
#include <copse/version.hpp>
#include <copse/wait_any.hpp>
