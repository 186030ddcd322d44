// The client's HTTP against a server that fails as networks fail.
#include "hub/http.h"

#include <gtest/gtest.h>

#include "base/files.h"
#include "test_server.h"

namespace xinfer::hub {
namespace {

using base::Code;

Http connect(const TestServer& server, HttpOptions options = {}) {
  auto http = Http::open(server.url(), std::move(options));
  EXPECT_TRUE(http) << http.error().text();
  return std::move(*http);
}

TEST(Http, SendsTokenAndBody) {
  TestServer server([](const SeenRequest&) { return Reply{.body = "{}"}; });
  HttpOptions options;
  options.token = "secret";
  Http http = connect(server, options);
  ASSERT_TRUE(http.send({.method = "POST", .path = "/v1/x?y=1", .body = "hello"}));
  const auto seen = server.seen();
  ASSERT_EQ(seen.size(), 1u);
  EXPECT_EQ(seen[0].method, "POST");
  EXPECT_EQ(seen[0].path, "/v1/x?y=1");
  EXPECT_EQ(seen[0].body, "hello");
  EXPECT_EQ(seen[0].headers.at("authorization"), "Bearer secret");
}

TEST(Http, ErrorsAreTheServers) {
  TestServer server([](const SeenRequest& request) {
    if (request.path == "/typed")
      return Reply{.status = 404, .body = R"({"error":{"code":"not_found","message":"no model 'x'","where":"model"}})"};
    return Reply{.status = 403, .body = "<html>"};
  });
  Http http = connect(server);
  const auto typed = http.send({.path = "/typed"});
  ASSERT_FALSE(typed);
  EXPECT_EQ(typed.error().code, Code::kNotFound);
  EXPECT_EQ(typed.error().text(), "no model 'x' (at model)");
  const auto foreign = http.send({.path = "/proxy"});
  ASSERT_FALSE(foreign);
  EXPECT_EQ(foreign.error().text(), "the server answered with HTTP status 403 (at GET /proxy)");
}

TEST(Http, RepeatsWhatMayBeRepeated) {
  int count = 0;
  TestServer server(
      [&](const SeenRequest&) { return ++count % 3 ? Reply{.status = 503, .body = ""} : Reply{.body = "good"}; });
  Http http = connect(server);
  const auto answer = http.send({.path = "/"});
  ASSERT_TRUE(answer) << answer.error().text();
  EXPECT_EQ(answer->body, "good");
  EXPECT_EQ(count, 3);
  const auto once = http.send({.method = "POST", .path = "/", .repeatable = false});
  ASSERT_FALSE(once);
  EXPECT_EQ(once.error().code, Code::kUnavailable);
  EXPECT_EQ(count, 4);
}

TEST(Http, NobodyListens) {
  std::string url;
  {
    TestServer server([](const SeenRequest&) { return Reply{}; });
    url = server.url();
  }
  auto http = Http::open(url, {});
  const auto answer = http->send({.path = "/"});
  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.error().code, Code::kUnavailable);
  EXPECT_NE(answer.error().message.find("no hub answers at " + url), std::string::npos) << answer.error().message;
}

TEST(Http, DownloadGoesOnWhereItBroke) {
  std::string content;
  for (int i = 0; i < 100000; ++i) content += static_cast<char>(i * 7 % 251);
  TestServer server([&](const SeenRequest& request) {
    std::size_t from = 0;
    if (request.headers.count("range")) from = std::stoul(request.headers.at("range").substr(6));
    Reply reply{.status = from ? 206 : 200, .body = content.substr(from), .cut = 40000};
    return reply;
  });
  base::TemporaryFolder folder;
  const auto file = folder.path() / "part";
  Http http = connect(server);
  std::int64_t most = 0, total = 0;
  const auto done = http.download("/file", file, [&](std::int64_t have, std::int64_t all) {
    EXPECT_GE(have, most);
    most = have;
    total = all;
  });
  ASSERT_TRUE(done) << done.error().text();
  EXPECT_EQ(*base::read_file(file), content);
  EXPECT_EQ(most, 100000);
  EXPECT_EQ(total, 100000);
  const auto seen = server.seen();
  ASSERT_EQ(seen.size(), 3u);
  EXPECT_EQ(seen[1].headers.at("range"), "bytes=40000-");
  EXPECT_EQ(seen[2].headers.at("range"), "bytes=80000-");
}

TEST(Http, DownloadBeginsAnewWhereTheServerIgnoresTheRange) {
  TestServer server([&](const SeenRequest&) { return Reply{.body = "the whole file"}; });
  base::TemporaryFolder folder;
  const auto file = folder.path() / "part";
  ASSERT_TRUE(base::write_file(file, "old bytes"));
  Http http = connect(server);
  ASSERT_TRUE(http.download("/file", file));
  EXPECT_EQ(*base::read_file(file), "the whole file");
}

TEST(Http, EventsGoOnAfterTheLastId) {
  int connections = 0;
  TestServer server([&](const SeenRequest& request) {
    Reply reply{.headers = {{"Content-Type", "text/event-stream"}}};
    if (++connections == 1) {
      reply.body =
          ": hello\n\nid: 1\nevent: log\ndata: one\n\nid: 2\ndata: two\ndata: lines\n\nid: 3\ndata: never whole\n\n";
      reply.cut = reply.body.find("never");
    } else {
      EXPECT_EQ(request.headers.at("last-event-id"), "2");
      reply.body = "id: 3\r\ndata: three\r\n\r\nid: 4\r\ndata: not asked for\r\n\r\n";
    }
    return reply;
  });
  Http http = connect(server);
  std::vector<std::string> data;
  const auto done = http.events("/events", [&](const ServerEvent& event) {
    data.push_back(event.id + event.event + ":" + event.data);
    return event.data != "three";
  });
  ASSERT_TRUE(done) << done.error().text();
  EXPECT_EQ(data, (std::vector<std::string>{"1log:one", "2:two\nlines", "3:three"}));
}

TEST(Http, EventParserTakesAnyPieces) {
  const std::string text = "id: 7\ndata: a\n\ndata: b\n\n";
  for (std::size_t size = 1; size <= text.size(); ++size) {
    EventParser parser;
    std::string seen;
    for (std::size_t at = 0; at < text.size(); at += size)
      parser.feed(text.substr(at, size), [&](const ServerEvent& event) {
        seen += event.id + event.data;
        return true;
      });
    EXPECT_EQ(seen, "7a7b") << size;
  }
}

TEST(Http, StopsWhenCancelled) {
  TestServer server([](const SeenRequest&) { return Reply{.status = 503}; });
  HttpOptions options;
  options.cancelled = [] { return true; };
  Http http = connect(server, options);
  const auto answer = http.send({.path = "/"});
  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.error().code, Code::kCancelled);
}

TEST(Http, AddressesAreChecked) {
  EXPECT_EQ(Http::open("hub.example.org", {}).error().message,
            "'hub.example.org' is not a hub's address, such as https://hub.example.org or http://127.0.0.1:8080");
  HttpOptions options;
  options.token = "secret";
  EXPECT_FALSE(Http::open("http://hub.example.org", options));
  EXPECT_FALSE(Http::open("http://127.0.0.1.example.org", options));
  EXPECT_FALSE(Http::open("http://127.0.0.1@example.org", options));
  EXPECT_TRUE(Http::open("http://127.0.0.1:9", options));
  EXPECT_TRUE(Http::open("http://localhost:9", options));
  EXPECT_TRUE(Http::open("https://hub.example.org/", options));
  EXPECT_EQ(escape("a b/c?d"), "a%20b%2Fc%3Fd");
}

}  // namespace
}  // namespace xinfer::hub
