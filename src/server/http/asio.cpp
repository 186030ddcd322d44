// The one unit that compiles Boost.Asio and Boost.Beast themselves (BOOST_ASIO_SEPARATE_COMPILATION).
#include <boost/asio/impl/src.hpp>
#include <boost/beast/src.hpp>
