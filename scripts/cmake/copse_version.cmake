# Reads the project's version from the one place where it is written.

function(copse_read_version header result)
    set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS "${header}")
    file(READ "${header}" text)
    if(NOT text MATCHES "#define COPSE_VERSION ([0-9]+)")
        message(FATAL_ERROR "copse: no COPSE_VERSION in ${header}")
    endif()
    set(number ${CMAKE_MATCH_1})
    math(EXPR major "${number} / 10000")
    math(EXPR minor "${number} / 100 % 100")
    math(EXPR patch "${number} % 100")
    set(version "${major}.${minor}.${patch}")
    if(NOT text MATCHES "version_string = \"([0-9.]+)\"" OR NOT CMAKE_MATCH_1 STREQUAL version)
        message(FATAL_ERROR "copse: COPSE_VERSION ${number} means ${version}, but version_string in ${header} "
                            "says '${CMAKE_MATCH_1}'. Change both together.")
    endif()
    set(${result} "${version}" PARENT_SCOPE)
endfunction()
