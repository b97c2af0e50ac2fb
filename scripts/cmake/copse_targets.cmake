# What every target of copse has in common, and how sources are told apart by room.

# Warnings for copse's own code. Never exported: a user's warnings are the user's business.
function(copse_own_target target)
    target_compile_features(${target} PRIVATE cxx_std_20)
    set_target_properties(${target} PROPERTIES CXX_EXTENSIONS OFF)
    target_compile_options(${target} PRIVATE
        -Wall -Wextra -Wshadow -Wconversion -Wold-style-cast -Wnon-virtual-dtor
        -fstack-clash-protection
        # g++ leaves signs out of -Wconversion, clang does not: one rule for both.
        $<$<CXX_COMPILER_ID:Clang>:-Wno-sign-conversion>
        # g++ 12 takes "x" + std::string for an overlapping copy, wherever it inlines it (GCC bug 105651).
        $<$<AND:$<CXX_COMPILER_ID:GNU>,$<VERSION_LESS:$<CXX_COMPILER_VERSION>,13>>:-Wno-restrict>
        $<$<BOOL:${COPSE_WERROR}>:-Werror>)
endfunction()

# A library of one room: `copse_room(fibers)` makes copse_fibers from src/*.cpp, seen by others as copse::fibers.
# Makes nothing while the room has no sources.
function(copse_room room)
    file(GLOB sources CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/src/*.cpp)
    if(NOT sources)
        message(NOTICE "copse: ${room}/src holds no sources yet, copse::${room} is left out")
        return()
    endif()
    set(target copse_${room})
    add_library(${target} ${sources})
    add_library(copse::${room} ALIAS ${target})
    copse_own_target(${target})
    target_compile_features(${target} PUBLIC cxx_std_20)
    target_include_directories(${target}
        PUBLIC $<BUILD_INTERFACE:${CMAKE_CURRENT_SOURCE_DIR}/include> $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>
        PRIVATE ${CMAKE_CURRENT_SOURCE_DIR}/src)
    set_target_properties(${target} PROPERTIES
        EXPORT_NAME ${room}
        OUTPUT_NAME copse-${room}
        POSITION_INDEPENDENT_CODE ON
        DEFINE_SYMBOL "" # one set of flags for static and shared: their objects are the same
        VERSION ${PROJECT_VERSION}
        SOVERSION ${PROJECT_VERSION_MAJOR}.${PROJECT_VERSION_MINOR})
endfunction()

# The library a program needs: a bridge if it includes that, copse::io if it includes anything of that room, else
# copse::fibers alone.
function(copse_room_of source result)
    get_filename_component(name ${source} NAME)
    file(STRINGS ${source} bridge REGEX "^[ \t]*#[ \t]*include[ \t]*<copse/io/(asio_|boost_fiber)" LIMIT_COUNT 1)
    if(bridge)
        string(REGEX MATCH "asio|boost_fiber" bridge "${bridge}")
        set(${result} copse::${bridge} PARENT_SCOPE)
        return()
    endif()
    file(STRINGS ${source} io_lines REGEX "^[ \t]*#[ \t]*include[ \t]*<copse/io[./]" LIMIT_COUNT 1)
    if(io_lines OR name MATCHES "^io_")
        set(${result} copse::io PARENT_SCOPE)
    else()
        set(${result} copse::fibers PARENT_SCOPE)
    endif()
endfunction()
