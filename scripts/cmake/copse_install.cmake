# Installs what was built: libraries, headers, a CMake package and pkg-config files.

if(NOT TARGET copse_fibers)
    return()
endif()
include(CMakePackageConfigHelpers)
set(package_dir ${CMAKE_INSTALL_LIBDIR}/cmake/copse)
set(pkgconfig_dir ${CMAKE_INSTALL_LIBDIR}/pkgconfig)

# pkg-config finds the prefix from where its own file lies, so that an installed tree may be moved.
if(IS_ABSOLUTE "${CMAKE_INSTALL_LIBDIR}")
    set(pc_prefix "${CMAKE_INSTALL_PREFIX}")
    set(pc_libdir "${CMAKE_INSTALL_LIBDIR}")
else()
    file(RELATIVE_PATH up "/p/${pkgconfig_dir}" "/p")
    string(REGEX REPLACE "/$" "" up "${up}")
    set(pc_prefix "\${pcfiledir}/${up}")
    set(pc_libdir "\${prefix}/${CMAKE_INSTALL_LIBDIR}")
endif()
if(IS_ABSOLUTE "${CMAKE_INSTALL_INCLUDEDIR}")
    set(pc_includedir "${CMAKE_INSTALL_INCLUDEDIR}")
else()
    set(pc_includedir "\${prefix}/${CMAKE_INSTALL_INCLUDEDIR}")
endif()

# Boost has no pkg-config file: when it is not where the compiler looks anyway, say where it is.
set(pc_boost_cflags "")
set(pc_boost_libs "-lboost_context")
if(Boost_INCLUDE_DIRS AND NOT Boost_INCLUDE_DIRS IN_LIST CMAKE_CXX_IMPLICIT_INCLUDE_DIRECTORIES)
    set(pc_boost_cflags "-I${Boost_INCLUDE_DIRS}")
endif()
foreach(property IN ITEMS IMPORTED_LOCATION IMPORTED_LOCATION_RELEASE IMPORTED_LOCATION_NONE)
    get_target_property(location Boost::context ${property})
    if(location)
        get_filename_component(directory "${location}" DIRECTORY)
        get_filename_component(directory "${directory}" REALPATH)
        if(NOT directory IN_LIST CMAKE_CXX_IMPLICIT_LINK_DIRECTORIES)
            set(pc_boost_libs "-L${directory} -lboost_context")
        endif()
        break()
    endif()
endforeach()

# What io stands on; a static library brings none of it along.
set(pc_io_needs "")
if(COPSE_TLS)
    set(pc_io_needs ", openssl >= 3.0")
endif()
if(COPSE_CARES)
    string(APPEND pc_io_needs ", libcares")
endif()
if(COPSE_URING)
    string(APPEND pc_io_needs ", liburing >= 2.3")
endif()

foreach(room IN ITEMS fibers io)
    if(NOT TARGET copse_${room})
        continue()
    endif()
    install(TARGETS copse_${room} EXPORT copse-${room}
        ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR}
        LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR}
        RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
    install(EXPORT copse-${room} FILE copse-${room}-targets.cmake NAMESPACE copse:: DESTINATION ${package_dir})
    install(DIRECTORY ${PROJECT_SOURCE_DIR}/${room}/include/
        DESTINATION ${CMAKE_INSTALL_INCLUDEDIR} FILES_MATCHING PATTERN "*.hpp")
    configure_file(${CMAKE_CURRENT_LIST_DIR}/copse-${room}.pc.in ${PROJECT_BINARY_DIR}/package/copse-${room}.pc @ONLY)
    install(FILES ${PROJECT_BINARY_DIR}/package/copse-${room}.pc DESTINATION ${pkgconfig_dir})
endforeach()

get_property(bridges GLOBAL PROPERTY COPSE_BRIDGES)
foreach(bridge IN LISTS bridges)
    install(TARGETS copse_${bridge} EXPORT copse-${bridge})
    install(EXPORT copse-${bridge} FILE copse-${bridge}-targets.cmake NAMESPACE copse:: DESTINATION ${package_dir})
endforeach()

configure_package_config_file(${CMAKE_CURRENT_LIST_DIR}/copse-config.cmake.in
    ${PROJECT_BINARY_DIR}/package/copse-config.cmake INSTALL_DESTINATION ${package_dir})
write_basic_package_version_file(${PROJECT_BINARY_DIR}/package/copse-config-version.cmake
    COMPATIBILITY SameMinorVersion)
install(FILES
    ${PROJECT_BINARY_DIR}/package/copse-config.cmake
    ${PROJECT_BINARY_DIR}/package/copse-config-version.cmake
    DESTINATION ${package_dir})
install(FILES ${PROJECT_SOURCE_DIR}/LICENSE DESTINATION ${CMAKE_INSTALL_DOCDIR})
