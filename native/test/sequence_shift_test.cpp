#include "nat/alg/sequence_shift.h"

#include <string>

#include "test/support.h"

using namespace napt;
using namespace napt::test;

namespace {
Edit edit(uint32_t from, uint8_t span, uint8_t length) {
  Edit e{from, span, length, {}};
  std::fill(e.text, e.text + length, uint8_t{'x'});
  return e;
}
}  // namespace

TEST_CASE("a shift's two numberings agree, also where they wrap") {
  for (const uint32_t start : {1000u, 0xffffffe0u, 0x7fffffe0u}) {
    SequenceShift shift;
    shift.start(start);
    shift.add(edit(start + 10, 5, 9));
    shift.add(edit(start + 20, 8, 3));
    shift.add(edit(start + 28, 4, 4));
    // Around the changes, and within each of them.
    const std::pair<uint32_t, uint32_t> numbers[] = {{0, 0},   {10, 10}, {15, 19}, {20, 24},
                                                     {28, 27}, {32, 31}, {60, 59}};
    for (const auto& [sender, receiver] : numbers) {
      CHECK(shift.toReceiver(start + sender) == start + receiver);
      CHECK(shift.toSender(start + receiver) == start + sender);
      CHECK(shift.toSender(start + receiver, true) == start + sender);
    }
    CHECK(shift.toReceiver(start + 12) == start + 10);
    CHECK(shift.toReceiver(start + 27) == start + 24);
    CHECK(shift.toSender(start + 18) == start + 10);
    CHECK(shift.toSender(start + 18, true) == start + 15);
    CHECK(shift.toSender(start + 26) == start + 20);
    CHECK(shift.toSender(start + 26, true) == start + 28);
    CHECK(shift.changeOf(start, 10) == SequenceShift::Change::None);
    CHECK(shift.changeOf(start, 11) == SequenceShift::Change::Length);
    CHECK(shift.changeOf(start + 28, 4) == SequenceShift::Change::Text);
    CHECK(shift.changeOf(start + 29, 3) == SequenceShift::Change::Length);
    CHECK(shift.changeOf(start + 32, 9) == SequenceShift::Change::None);
  }
}

TEST_CASE("a shift outlives its numbers") {
  SequenceShift shift;
  shift.start(0);
  shift.add(edit(10, 1, 4));
  uint32_t at = 100;
  for (int i = 0; i < 40; i++, at += 1u << 28) {
    shift.acknowledge(at);
    CHECK(shift.toReceiver(at) == at + 3);
    CHECK(shift.toSender(at + 3) == at);
  }
  CHECK(shift.hasRoom());
}

TEST_CASE("a shift keeps what is not acknowledged") {
  SequenceShift shift;
  shift.start(0);
  for (uint32_t i = 0; i < SequenceShift::kEdits; i++) {
    CHECK(shift.hasRoom());
    shift.add(edit(10 * i, 2, 3));
  }
  CHECK_FALSE(shift.hasRoom());
  shift.acknowledge(1);
  CHECK_FALSE(shift.hasRoom());
  shift.acknowledge(2);
  shift.acknowledge(1);
  CHECK(shift.hasRoom());
  shift.add(edit(100, 2, 3));
  CHECK_FALSE(shift.hasRoom());
  CHECK(shift.toReceiver(200) == 205);
  CHECK_FALSE(shift.isIdentity());
}

TEST_CASE("a shift writes each piece of a stream into no more than its length") {
  SequenceShift shift;
  shift.start(0);
  shift.add(edit(4, 3, 6));
  shift.add(edit(9, 6, 2));
  const std::string said = "abcdefghijklmnopqrst", passed = "abcdxxxxxxhixxpqrst";
  for (uint32_t from = 0; from < said.size(); from++) {
    for (uint32_t to = from; to <= said.size(); to++) {
      const Bytes piece(said.begin() + from, said.begin() + to);
      const uint32_t length = shift.lengthOf(from, to - from);
      std::string out(length + Edit::kMost, '-');
      shift.apply(from, piece.data(), to - from, reinterpret_cast<uint8_t*>(out.data()));
      CHECK(out.substr(length) == std::string(Edit::kMost, '-'));
      CHECK(out.substr(0, length) == passed.substr(shift.toReceiver(from), length));
    }
  }
}
