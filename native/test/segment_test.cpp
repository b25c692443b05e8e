// Cutting super-packets, and checksums that were left to the card.
#include "packet/segment.h"

#include <doctest.h>

#include <vector>

#include "packet/checksum.h"

using namespace napt;

namespace {

/// A super-packet from 10.0.0.1 to 10.0.0.2; its checksum is as a sender leaves it.
std::vector<uint8_t> superPacket(uint8_t protocol, uint32_t payload, uint32_t options = 0) {
  const uint32_t transport = protocol == kTcp ? kTcpHeader + options : kUdpHeader;
  std::vector<uint8_t> p(kIpHeader + transport + payload);
  p[0] = 0x45;
  store16be(p.data() + kIpTotal, static_cast<uint16_t>(p.size()));
  store16be(p.data() + kIpId, 0xffff);
  p[8] = 64;
  p[kIpProtocol] = protocol;
  store(p.data() + kIpSource, swap32(0x0a000001));
  store(p.data() + kIpDestination, swap32(0x0a000002));
  uint8_t* t = p.data() + kIpHeader;
  store16be(t, 4000);
  store16be(t + 2, 80);
  if (protocol == kTcp) {
    store(t + kTcpSequence, swap32(0xfffffff0));
    t[12] = static_cast<uint8_t>(transport / 4 << 4);
    t[kTcpFlags] = 0x99;  // CWR, ACK, PSH, FIN
  }
  for (uint32_t i = 0; i < payload; i++) p[kIpHeader + transport + i] = static_cast<uint8_t>(i * 7);
  return p;
}

bool isSound(const uint8_t* p, uint32_t length) {
  const uint32_t covered = length - kIpHeader;
  const uint64_t pseudo = uint64_t{sumBytes(p + kIpSource, 8)} + swap16(p[kIpProtocol]) +
                          swap16(static_cast<uint16_t>(covered));
  return sumBytes(p, kIpHeader) == 0xffff && sumBytes(p + kIpHeader, covered, pseudo) == 0xffff;
}

}  // namespace

TEST_CASE("a TCP super-packet is cut into segments that make up the whole") {
  const auto packet = superPacket(kTcp, 2501, 12);
  const uint32_t headers = kIpHeader + kTcpHeader + 12;
  Segmenter segments(packet.data(), static_cast<uint32_t>(packet.size()), 1000);
  REQUIRE(segments.usable());
  std::vector<uint8_t> payload, out(0x10000);
  const uint8_t flags[] = {0x90, 0x10, 0x19};
  for (uint32_t i = 0; i < 3; i++) {
    const uint32_t length = segments.nextLength();
    segments.next(out.data());
    REQUIRE(length == headers + (i < 2 ? 1000u : 501u));
    CHECK(load16be(out.data() + kIpTotal) == length);
    CHECK(load16be(out.data() + kIpId) == static_cast<uint16_t>(0xffff + i));
    CHECK(load32be(out.data() + kIpHeader + kTcpSequence) == 0xfffffff0 + i * 1000);
    CHECK(out[kIpHeader + kTcpFlags] == flags[i]);
    CHECK(isSound(out.data(), length));
    payload.insert(payload.end(), out.begin() + headers, out.begin() + length);
  }
  CHECK(segments.nextLength() == 0);
  CHECK(std::vector<uint8_t>(packet.begin() + headers, packet.end()) == payload);
}

TEST_CASE("a UDP super-packet is cut into datagrams") {
  const auto packet = superPacket(kUdp, 2000);
  Segmenter segments(packet.data(), static_cast<uint32_t>(packet.size()), 1000);
  std::vector<uint8_t> out(0x10000);
  for (uint32_t i = 0; i < 2; i++) {
    const uint32_t length = segments.nextLength();
    segments.next(out.data());
    CHECK(length == kIpHeader + kUdpHeader + 1000);
    CHECK(load16be(out.data() + kIpHeader + 4) == kUdpHeader + 1000);
    CHECK(isSound(out.data(), length));
  }
  CHECK(segments.nextLength() == 0);
}

TEST_CASE("what carries nothing is one piece") {
  const auto packet = superPacket(kTcp, 0);
  Segmenter segments(packet.data(), static_cast<uint32_t>(packet.size()), 1000);
  std::vector<uint8_t> out(0x10000);
  CHECK(segments.nextLength() == packet.size());
  segments.next(out.data());
  CHECK(out[kIpHeader + kTcpFlags] == 0x99);
  CHECK(segments.nextLength() == 0);
}

TEST_CASE("what can't be cut says so, whatever its bytes") {
  const auto usable = [](std::vector<uint8_t> packet, uint32_t size) {
    return Segmenter(packet.data(), static_cast<uint32_t>(packet.size()), size).usable();
  };
  auto packet = superPacket(kTcp, 100);
  CHECK(usable(packet, 1));
  CHECK_FALSE(usable(packet, 0));
  CHECK_FALSE(usable(packet, 0xffff));
  CHECK_FALSE(usable(superPacket(kIcmp, 100), 10));
  for (uint32_t length = 0; length < kIpHeader + kTcpHeader; length++) {
    CHECK_FALSE(usable({packet.begin(), packet.begin() + length}, 10));
  }
  for (const auto protocol : {kTcp, kUdp}) {
    for (uint32_t first = 0; first < 256; first++) {
      packet = superPacket(protocol, 8);
      packet[0] = static_cast<uint8_t>(first);
      for (uint32_t offset = 0; offset < 256; offset += 16) {
        packet[kIpHeader + 12] = static_cast<uint8_t>(offset);
        Segmenter segments(packet.data(), static_cast<uint32_t>(packet.size()), 3);
        if (!segments.usable()) continue;
        while (const uint32_t length = segments.nextLength()) {
          segments.next(std::vector<uint8_t>(length).data());
        }
      }
    }
  }
}

TEST_CASE("a checksum is completed where the sender says, within the packet") {
  auto packet = superPacket(kUdp, 101);
  const auto length = static_cast<uint32_t>(packet.size());
  store16be(packet.data() + kIpHeader + 4, static_cast<uint16_t>(length - kIpHeader));
  store(packet.data() + kIpHeader + kUdpChecksum,
        fold(uint32_t{sumBytes(packet.data() + kIpSource, 8)} + swap16(kUdp) +
             swap16(static_cast<uint16_t>(length - kIpHeader))));
  REQUIRE(completeChecksumAt(packet.data(), length, kIpHeader, kUdpChecksum));
  const uint64_t pseudo = uint64_t{sumBytes(packet.data() + kIpSource, 8)} + swap16(kUdp) +
                          swap16(static_cast<uint16_t>(length - kIpHeader));
  CHECK(sumBytes(packet.data() + kIpHeader, length - kIpHeader, pseudo) == 0xffff);
  const auto before = packet;
  CHECK_FALSE(completeChecksumAt(packet.data(), length, length, 0));
  CHECK_FALSE(completeChecksumAt(packet.data(), length, length - 1, 0));
  CHECK_FALSE(completeChecksumAt(packet.data(), length, kIpHeader, 0xffff));
  CHECK(packet == before);
  CHECK(completeChecksumAt(packet.data(), length, length - 2, 0));
}
