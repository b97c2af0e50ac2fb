/// What the fibers of several threads use together, and threads that know nothing of fibers with them.
#pragma once

#include <copse/shared/async_result.hpp>
#include <copse/shared/channel.hpp>
#include <copse/shared/event.hpp>
#include <copse/shared/mutex.hpp>
#include <copse/shared/queue.hpp>
#include <copse/shared/semaphore.hpp>
