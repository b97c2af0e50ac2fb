/// All of room 1: greenlets, the hub, fibers, time and synchronisation.
#pragma once

#include <copse/channel.hpp>
#include <copse/clock.hpp>
#include <copse/condition_variable.hpp>
#include <copse/error.hpp>
#include <copse/event.hpp>
#include <copse/fiber.hpp>
#include <copse/generator.hpp>
#include <copse/greenlet.hpp>
#include <copse/hub.hpp>
#include <copse/joinable_queue.hpp>
#include <copse/lifo_queue.hpp>
#include <copse/mutex.hpp>
#include <copse/priority_queue.hpp>
#include <copse/queue.hpp>
#include <copse/select.hpp>
#include <copse/semaphore.hpp>
#include <copse/stack.hpp>
#include <copse/timeout.hpp>
#include <copse/trace.hpp>
#include <copse/typed_greenlet.hpp>
#include <copse/value.hpp>
#include <copse/version.hpp>
