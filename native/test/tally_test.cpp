// Histograms: which bucket a figure is counted in.
#include "io/tally.h"

#include <doctest/doctest.h>

using napt::Histogram;

TEST_CASE("a histogram's buckets end at 1, 2, 4 ... units, and what is larger has one of its own") {
  Histogram<1> frames;
  for (const uint64_t value : {0u, 1u, 2u, 3u, 4u, 5u, 64u}) frames.add(value);
  CHECK(frames.count(0) == 2);
  CHECK(frames.count(1) == 1);
  CHECK(frames.count(2) == 2);
  CHECK(frames.count(3) == 1);
  CHECK(frames.count(6) == 1);
  CHECK(frames.sum() == 79);
  frames.add(32768);
  CHECK(frames.count(15) == 1);
  for (const uint64_t value : {uint64_t{32769}, uint64_t{1} << 60}) frames.add(value);
  CHECK(frames.count(16) == 2);
}

TEST_CASE("a part of a unit counts as a whole one, but in the sum") {
  Histogram<1000> time;
  for (const uint64_t value : {1u, 1000u, 1001u, 2000u, 2001u}) time.add(value);
  CHECK(time.count(0) == 2);
  CHECK(time.count(1) == 2);
  CHECK(time.count(2) == 1);
  CHECK(time.sum() == 6003);
}
