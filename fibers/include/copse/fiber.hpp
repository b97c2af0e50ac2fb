/// Fibers: greenlets that the thread's hub owns and runs.
#pragma once

#include <copse/fiber_handle.hpp>
#include <copse/hub.hpp>
#include <copse/join_all.hpp>
#include <copse/link.hpp>
#include <copse/shield.hpp>
#include <copse/sleep.hpp>
#include <copse/spawn.hpp>
#include <copse/this_fiber.hpp>
