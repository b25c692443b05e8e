#include "nat/alg/segment_rewrite.h"

#include "test/support.h"

using namespace napt;
using namespace napt::test;

namespace {

constexpr uint8_t kUrg = 32;

/// A shift that lets 3 bytes become 5 at `from`.
SequenceShift grown(uint32_t from) {
  SequenceShift shift;
  shift.start(from - 100);
  shift.add(Edit{from, 3, 5, {'a', 'b', 'c', 'd', 'e'}});
  return shift;
}

Bytes renumbered(Bytes packet, const SequenceShift& own, const SequenceShift& other,
                 bool partial = false, size_t here = 0) {
  const auto size = static_cast<uint32_t>(here == 0 ? packet.size() : here);
  const PacketView view{packet.data(), size, static_cast<uint32_t>(packet.size()), partial};
  renumber(view, parse(view, true, Protocols::traditional()), own, other);
  return packet;
}

uint32_t sequenceOf(const Bytes& packet) { return load32be(&packet[24]); }
uint32_t ackOf(const Bytes& packet) { return load32be(&packet[28]); }

}  // namespace

TEST_CASE("segments: sequence and acknowledgement follow, and the checksum with them") {
  const SequenceShift own = grown(1000), other = grown(5000);
  const Bytes packet = tcp(kInside, kRemote, kAck, 2000, 6002, 10);
  const Bytes out = renumbered(packet, own, other);
  CHECK(sequenceOf(out) == 2002);
  CHECK(ackOf(out) == 6000);
  CHECK(isSound(out));
  // Without the flag there is no acknowledgement.
  const Bytes first = renumbered(tcp(kInside, kRemote, kSyn, 2000, 6002), own, other);
  CHECK(ackOf(first) == 6002);
  CHECK(isSound(first));
}

TEST_CASE("segments: a partial checksum does not cover numbers") {
  const Bytes packet = tcp(kInside, kRemote, kAck, 2000, 6002, 10);
  const Bytes out = renumbered(packet, grown(1000), grown(5000), true);
  CHECK(sequenceOf(out) == 2002);
  CHECK(load16be(&out[36]) == load16be(&packet[36]));
}

TEST_CASE("segments: the urgent pointer counts what lies before it") {
  for (const bool urgent : {true, false}) {
    Bytes packet =
        tcp(kInside, kRemote, static_cast<uint8_t>(kAck | (urgent ? kUrg : 0)), 990, 6002, 30);
    store16be(&packet[38], 20);
    seal(packet);
    const Bytes out = renumbered(packet, grown(1000), SequenceShift{});
    CHECK(load16be(&out[38]) == (urgent ? 22 : 20));
    CHECK(isSound(out));
  }
}

TEST_CASE("segments: SACK blocks, at even and odd places") {
  for (const uint8_t padding : {uint8_t{0}, uint8_t{1}, uint8_t{2}}) {
    Bytes options(padding + 18u, 0);
    std::fill_n(options.begin(), padding, uint8_t{1});
    options[padding] = 5;
    options[padding + 1u] = 18;
    while (options.size() % 4 != 0) options.push_back(0);
    Bytes packet = tcp(kInside, kRemote, kAck, 2000, 4990, options.size());
    packet[32] = static_cast<uint8_t>((20 + options.size()) / 4 << 4);
    std::copy(options.begin(), options.end(), packet.begin() + 40);
    const size_t at = 40u + padding + 2;
    // The receiver's numbers: around the edit, and ending within it.
    const uint32_t blocks[] = {4995, 5003, 5001, 5009};
    for (size_t i = 0; i < 4; i++) store(&packet[at + 4 * i], swap32(blocks[i]));
    seal(packet);
    const Bytes out = renumbered(packet, SequenceShift{}, grown(5000));
    CHECK(load32be(&out[at]) == 4995);
    CHECK(load32be(&out[at + 4]) == 5000);  // it hasn't all of what was replaced
    CHECK(load32be(&out[at + 8]) == 5003);
    CHECK(load32be(&out[at + 12]) == 5007);
    CHECK(isSound(out));
  }
}

TEST_CASE("segments: a header that is cut stays") {
  const Bytes packet = tcp(kInside, kRemote, kAck, 2000, 6002, 10);
  CHECK(renumbered(packet, grown(1000), grown(5000), false, 39) == packet);
}
