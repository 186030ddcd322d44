// Load for a hub, from one thread: requests by the clock, event streams, downloads. bench/hub/hub.mjs runs it.
#include <signal.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <exception>

#include "loads.h"

int main(int argc, char** argv) {
  using namespace xinfer::bench_hub;
  CLI::App app{"Puts load on a hub and prints what it measured as JSON"};
  app.require_subcommand(1);
  std::string url;
  Target target;
  RequestLoad requests;
  StreamLoad streams;
  DownloadLoad downloads;
  CLI::App* request_command = app.add_subcommand("requests", "GET at a fixed rate, or as fast as answers come");
  request_command->add_option("--rate", requests.rate, "Requests a second; 0: as fast as answers come")->capture_default_str();
  request_command->add_option("--seconds", requests.seconds)->capture_default_str();
  request_command->add_option("--warm-up", requests.warm_up_seconds, "Seconds before, not counted")->capture_default_str();
  request_command->add_option("--connections", requests.connections)->capture_default_str();
  CLI::App* stream_command = app.add_subcommand("streams", "Open event streams; reads them until standard input ends");
  stream_command->add_option("--count", streams.count)->capture_default_str();
  CLI::App* download_command = app.add_subcommand("downloads", "One file again and again");
  download_command->add_option("--connections", downloads.connections)->capture_default_str();
  download_command->add_option("--seconds", downloads.seconds)->capture_default_str();
  download_command->add_option("--warm-up", downloads.warm_up_seconds, "Seconds before, not counted")->capture_default_str();
  for (CLI::App* command : {request_command, stream_command, download_command}) {
    command->add_option("--url", url, "http://IPV4:PORT/PATH or https:")->required();
    command->add_option("--token", target.token, "Access token");
    command->add_option("--certificate", target.certificate, "PEM file of what to trust, for https");
    command->add_option("--cipher-suite", target.cipher_suite, "Of TLS 1.3")->capture_default_str();
  }
  CLI11_PARSE(app, argc, argv);
  signal(SIGPIPE, SIG_IGN);
  raise_file_limit();
  try {
    parse_address(url, target);
    if (*request_command) return run_requests(target, requests);
    return *stream_command ? run_streams(target, streams) : run_downloads(target, downloads);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "hub_load: %s\n", error.what());
    return 1;
  }
}
