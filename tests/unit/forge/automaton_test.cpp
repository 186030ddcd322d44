#include "forge/automaton.h"

#include <gtest/gtest.h>

#include <regex>

namespace xinfer::forge {
namespace {

bool matches(std::string_view pattern, std::string_view text) {
  auto made = compile_pattern(pattern);
  EXPECT_TRUE(made) << made.error().text();
  return made && made->matches(text);
}

std::string refused(std::string_view pattern) {
  auto made = compile_pattern(pattern);
  return made ? "compiled" : made.error().text();
}

TEST(Automaton, AgreesWithTheStandardLibrary) {
  const char* patterns[] = {"",       "abc",         "a*",          "(a|b)+c?",    "[a-c]{2,3}",  "a{2}",     "(ab|a)(bc|c)",       "x*y+z?",
                            "[^a]*",  "a|b|",        "(?:ab)*",     "[-a]+",       "\\d+\\.\\d*", "\\w+@\\w+", "\\s*a\\S",           "a.c",
                            "(a*)*b", "[[:alpha:]]+", "((a|b)c){2}", "a+?b",        "[\\d-]+",     "\\(a\\)",  "[.]com|[^b-z]{1,2}", "a{0,2}b{1,}"};
  const char* texts[] = {"",   "a",    "b",    "ab",  "abc",   "aaa",   "aab",    "bc",  "abbc", "acac", "bcac", "a@b",
                         "x9", "1.5",  "12.",  "xyz", "yz",    " ab",   "a c",    "a-a", "(a)",  ".com", "aaab", "zz"};
  for (const char* pattern : patterns) {
    const auto made = compile_pattern(pattern);
    ASSERT_TRUE(made) << made.error().text();
    const std::regex expected(pattern);
    for (const char* text : texts) EXPECT_EQ(made->matches(text), std::regex_match(text, expected)) << "'" << pattern << "' on '" << text << "'";
  }
}

TEST(Automaton, CharactersAreUnicode) {
  EXPECT_TRUE(matches(".", "ä"));
  EXPECT_TRUE(matches("..", "ä€"));
  EXPECT_FALSE(matches("...", "ä€"));
  EXPECT_TRUE(matches("[à-ÿ]+", "éüÿ"));
  EXPECT_FALSE(matches("[à-ÿ]+", "Ā"));
  EXPECT_TRUE(matches("[^a]", "𝄞"));
  EXPECT_TRUE(matches("\\x{1D11E}\\x41", "𝄞A"));
  EXPECT_FALSE(matches(".", "\xff"));  // no UTF-8
  EXPECT_TRUE(matches("[\\x{80}-\\x{10FFFF}]", "\xf4\x8f\xbf\xbf"));
}

TEST(Automaton, FlagsAnchorsAndNewLines) {
  EXPECT_TRUE(matches("(?i)HeLLo[a-c]", "hEllOB"));
  EXPECT_FALSE(matches("hello", "Hello"));
  EXPECT_FALSE(matches("a.b", "a\nb"));
  EXPECT_TRUE(matches("(?s)a.b", "a\nb"));
  EXPECT_TRUE(matches("^abc$", "abc"));
  EXPECT_TRUE(matches("^$", ""));
  EXPECT_TRUE(matches("(^a|b$)", "b"));
  EXPECT_FALSE(matches("a^b", "ab"));
  EXPECT_FALSE(matches("a$b", "ab"));
  EXPECT_TRUE(matches("(?P<year>\\d{4})-(?<month>\\d\\d)", "2024-05"));
}

TEST(Automaton, RefusalsNameWhatIsWrong) {
  EXPECT_EQ(refused("a\\bc"), "the pattern 'a\\bc': '\\b' at byte 1 has no automaton here");
  EXPECT_EQ(refused("(a)\\1"), "the pattern '(a)\\1': '\\1' at byte 3 has no automaton here");
  EXPECT_EQ(refused("a(?=b)"), "the pattern 'a(?=b)': this kind of group at byte 3 has no automaton here");
  EXPECT_EQ(refused("(ab"), "the pattern '(ab': a '(' without ')' at byte 3");
  EXPECT_EQ(refused("ab)"), "the pattern 'ab)': a ')' without '(' at byte 2");
  EXPECT_EQ(refused("*a"), "the pattern '*a': nothing to repeat at byte 0");
  EXPECT_EQ(refused("[b-a]"), "the pattern '[b-a]': a range that runs backwards at byte 4");
  EXPECT_EQ(refused("[a"), "the pattern '[a': a '[' without ']' at byte 2");
  EXPECT_EQ(refused("a\\"), "the pattern 'a\\': a '\\' at the end at byte 1");
  EXPECT_EQ(refused("a{3,2}"), "the pattern 'a{3,2}': an impossible number of times at byte 1");
  EXPECT_EQ(refused("(a{1000}){1000}"), "a pattern of more than 10000 states");
  EXPECT_EQ(refused("(a|b)*a(a|b){16}"), "a pattern whose automaton has more than 65536 entries");
}

}  // namespace
}  // namespace xinfer::forge
