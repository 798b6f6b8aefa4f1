# SPDX-License-Identifier: Apache-2.0
# The library, out of one OBJECT library per folder: libstepcost.a, or libstepcost.so with BUILD_SHARED_LIBS.
#   stepcost      what is installed: only SCO_API symbols are visible in the shared form
#   sco_internal  the same objects as a static library, for tests and benchmarks that call what is hidden
set(sco_objects)
foreach(folder arch kernels io optim models evaluation)
  if(TARGET sco_${folder})
    list(APPEND sco_objects $<TARGET_OBJECTS:sco_${folder}>)
  endif()
endforeach()
set(sco_modules HWLOC=hwloc JANSSON=jansson ZLIB=zlib) # targets PkgConfig::NAME and the module behind each
if(SCO_HAVE_HWY)
  list(APPEND sco_modules HWY=libhwy)
endif()
if(SCO_HAVE_PAPI)
  list(APPEND sco_modules PAPI=papi)
endif()
foreach(entry JPEG=libjpeg ARCHIVE=libarchive HDF5=${HDF5_MODULE_NAME} FFTW=fftw3f)
  string(REGEX REPLACE "=.*" "" name ${entry})
  if(SCO_HAVE_${name})
    list(APPEND sco_modules ${entry})
  endif()
endforeach()
list(TRANSFORM sco_modules REPLACE "(.*)=.*" "PkgConfig::\\1" OUTPUT_VARIABLE sco_links)
list(APPEND sco_links Threads::Threads m)
if(SCO_HAVE_ONEDNN)
  list(APPEND sco_links ${DNNL_LIBRARY} gomp)
endif()

add_library(stepcost ${sco_objects})
add_library(stepcost::stepcost ALIAS stepcost)
target_include_directories(stepcost PUBLIC $<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}/include>
                                           $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>)
target_link_libraries(stepcost PRIVATE ${sco_links})
set_target_properties(stepcost PROPERTIES VERSION ${PROJECT_VERSION} SOVERSION ${PROJECT_VERSION_MAJOR})

if(BUILD_SHARED_LIBS)
  add_library(sco_internal STATIC ${sco_objects})
  target_link_libraries(sco_internal PUBLIC ${sco_links})
else()
  add_library(sco_internal ALIAS stepcost)
endif()

include(CMakePackageConfigHelpers)
set(sco_package_dir ${CMAKE_INSTALL_LIBDIR}/cmake/stepcost)
install(TARGETS stepcost EXPORT stepcost-targets)
install(DIRECTORY ${PROJECT_SOURCE_DIR}/include/stepcost DESTINATION ${CMAKE_INSTALL_INCLUDEDIR} FILES_MATCHING PATTERN *.h)
install(EXPORT stepcost-targets NAMESPACE stepcost:: DESTINATION ${sco_package_dir})
list(JOIN sco_modules " " sco_config_modules)
configure_package_config_file(${CMAKE_CURRENT_LIST_DIR}/stepcost-config.cmake.in stepcost-config.cmake
                              INSTALL_DESTINATION ${sco_package_dir})
write_basic_package_version_file(stepcost-config-version.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${CMAKE_CURRENT_BINARY_DIR}/stepcost-config.cmake
              ${CMAKE_CURRENT_BINARY_DIR}/stepcost-config-version.cmake DESTINATION ${sco_package_dir})

# A static library passes its dependencies on; a shared one keeps them to itself.
list(TRANSFORM sco_modules REPLACE ".*=" "" OUTPUT_VARIABLE sco_pc_requires)
list(JOIN sco_pc_requires ", " sco_pc_requires)
set(sco_pc_libs "-pthread -lm")
if(SCO_HAVE_HWY)
  string(APPEND sco_pc_libs " -lstdc++")
endif()
if(SCO_HAVE_ONEDNN)
  string(APPEND sco_pc_libs " ${DNNL_LIBRARY} -lgomp")
endif()
configure_file(${CMAKE_CURRENT_LIST_DIR}/stepcost.pc.in stepcost.pc @ONLY)
install(FILES ${CMAKE_CURRENT_BINARY_DIR}/stepcost.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
