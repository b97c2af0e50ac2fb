# Which compilers and flags copse can live with. Refuses early what would only crash later.

# safe-stack keeps a second stack per thread that no switch moves; cfi does not survive the indirect entry of a stack.
# Called before project(), because a compiler that lacks them fails there with a message that explains nothing, and
# again after it, when all flags are known.
function(copse_refuse_stack_instrumentation)
    get_directory_property(flags COMPILE_OPTIONS)
    list(APPEND flags "$ENV{CXXFLAGS}" "${CMAKE_CXX_FLAGS}" "${CMAKE_EXE_LINKER_FLAGS}" "${CMAKE_SHARED_LINKER_FLAGS}")
    if(CMAKE_BUILD_TYPE)
        string(TOUPPER "${CMAKE_BUILD_TYPE}" build_type)
        list(APPEND flags "${CMAKE_CXX_FLAGS_${build_type}}")
    endif()
    if(flags MATCHES "-fsanitize=[^ ;]*(safe-stack|cfi)")
        message(FATAL_ERROR "copse cannot work with -fsanitize=${CMAKE_MATCH_1}: that instrumentation assumes one stack "
                            "per thread, and fibers bring their own. Remove it from the compiler flags.")
    endif()
endfunction()

function(copse_check_toolchain)
    copse_refuse_stack_instrumentation()
    if(NOT CMAKE_SYSTEM_NAME STREQUAL "Linux")
        message(FATAL_ERROR "copse runs on Linux only (this is ${CMAKE_SYSTEM_NAME}).")
    endif()
    if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU" AND CMAKE_CXX_COMPILER_VERSION VERSION_LESS 12)
        message(FATAL_ERROR "copse needs g++ 12 or newer (this is ${CMAKE_CXX_COMPILER_VERSION}).")
    elseif(CMAKE_CXX_COMPILER_ID STREQUAL "Clang" AND CMAKE_CXX_COMPILER_VERSION VERSION_LESS 14)
        message(FATAL_ERROR "copse needs clang 14 or newer (this is ${CMAKE_CXX_COMPILER_VERSION}).")
    endif()

    set(allowed "" "address" "undefined" "address,undefined" "thread")
    if(NOT COPSE_SANITIZE IN_LIST allowed)
        message(FATAL_ERROR "COPSE_SANITIZE='${COPSE_SANITIZE}' is not known. "
                            "Use nothing, 'address', 'undefined', 'address,undefined' or 'thread'.")
    endif()
endfunction()
