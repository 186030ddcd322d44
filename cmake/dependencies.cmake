# Debian bookworm packages only; the reason for each is in docs/dependencies.md.
find_package(Threads REQUIRED)
find_package(fmt REQUIRED)
find_package(Protobuf REQUIRED)
find_package(CURL REQUIRED)
find_package(PostgreSQL REQUIRED)
find_package(JPEG REQUIRED)
find_package(PNG REQUIRED)
find_package(Boost 1.81 REQUIRED)
find_package(OpenSSL REQUIRED)
find_package(CLI11 REQUIRED)
find_package(yaml-cpp REQUIRED)
find_package(GTest REQUIRED)
find_program(XI_PROTOC protoc REQUIRED)
find_program(XI_FLATC flatc REQUIRED)

find_package(PkgConfig REQUIRED)
pkg_check_modules(SODIUM REQUIRED IMPORTED_TARGET libsodium)
add_library(sodium ALIAS PkgConfig::SODIUM)

pkg_check_modules(RABBITMQ REQUIRED IMPORTED_TARGET librabbitmq)
add_library(rabbitmq ALIAS PkgConfig::RABBITMQ)

# SOCI 4.0.3 in Debian has no CMake config file.
add_library(soci INTERFACE)
target_link_libraries(soci INTERFACE soci_core soci_sqlite3 sqlite3 soci_postgresql PostgreSQL::PostgreSQL)
target_include_directories(soci INTERFACE /usr/include/soci)
