// The three loads. Each prints one JSON object to standard output and returns the exit status.
#pragma once
#include <string>

#include "client.h"

namespace xinfer::bench_hub {

struct RequestLoad {
  double rate = 2000;  // a second; 0: the next request as soon as an answer is there
  double seconds = 10, warm_up_seconds = 2;
  int connections = 64;
};
/// GET over keep-alive connections. With a rate, requests fall due by the clock and not by the server: latency counts
/// from when a request was due, so that a server that stalls cannot hide those that it kept from being sent.
int run_requests(const Target& target, const RequestLoad& load);

struct StreamLoad {
  int count = 10'000;
};
/// Opens event streams and says so; reads until standard input ends. An event whose text is "mark TIME" (milliseconds
/// since 1970) counts as delivered when a stream has read it.
int run_streams(const Target& target, const StreamLoad& load);

struct DownloadLoad {
  int connections = 1;
  double seconds = 3, warm_up_seconds = 0.5;
};
/// The same file again and again over keep-alive connections; bytes of bodies a second.
int run_downloads(const Target& target, const DownloadLoad& load);

}  // namespace xinfer::bench_hub
