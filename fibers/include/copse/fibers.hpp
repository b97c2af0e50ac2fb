/// All of room 1: greenlets, the hub, fibers, time and synchronisation.
#pragma once

#include <copse/clock.hpp>
#include <copse/condition_variable.hpp>
#include <copse/context_var.hpp>
#include <copse/error.hpp>
#include <copse/event.hpp>
#include <copse/fiber.hpp>
#include <copse/fiber_set.hpp>
#include <copse/generator.hpp>
#include <copse/greenlet.hpp>
#include <copse/group.hpp>
#include <copse/hub.hpp>
#include <copse/imap.hpp>
#include <copse/local.hpp>
#include <copse/mutex.hpp>
#include <copse/nursery.hpp>
#include <copse/pool.hpp>
#include <copse/queue.hpp>
#include <copse/scoped_fiber.hpp>
#include <copse/semaphore.hpp>
#include <copse/stack.hpp>
#include <copse/timeout.hpp>
#include <copse/trace.hpp>
#include <copse/typed_greenlet.hpp>
#include <copse/value.hpp>
#include <copse/version.hpp>
