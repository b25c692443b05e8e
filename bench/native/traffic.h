// Flows for the native benchmarks: 1,000 source ports a host, one remote endpoint each, in packets
// as long as a 64-byte Ethernet frame holds.
#pragma once

#include <vector>

#include "nat/translator.h"

namespace napt::bench {

constexpr uint32_t kPacketBytes = 50, kSlotBytes = 64;

constexpr uint32_t address(uint32_t a, uint32_t b, uint32_t c, uint32_t d) {
  return a | b << 8 | c << 16 | d << 24;
}

/// Both sides of one flow before translation.
struct Flow {
  uint8_t protocol;
  uint32_t inside, remote;
  uint16_t insidePort, remotePort;  // network order
};

/// Two flows of one protocol and two of the other, so that both have even and odd ports.
inline Flow flowOf(uint32_t number, const uint8_t (&protocols)[2]) {
  const uint32_t host = number / 1000;
  const uint8_t protocol = protocols[number >> 1 & 1];
  return {protocol, address(10, host >> 16 & 255, host >> 8 & 255, host & 255),
          address(198, 51, 100, number % 250), swap16(static_cast<uint16_t>(2000 + number % 1000)),
          protocol == kIcmp ? uint16_t{0} : swap16(443)};
}

/// Fills in both checksums.
inline void seal(uint8_t* p) {
  const uint32_t length = kPacketBytes - kIpHeader;
  store(p + kIpChecksum, uint16_t{0});
  store(p + kIpChecksum, static_cast<uint16_t>(~sumBytes(p, kIpHeader)));
  uint8_t* field = p + kIpHeader + checksumOffset(p[kIpProtocol]);
  store(field, uint16_t{0});
  uint64_t pseudo = 0;
  if (p[kIpProtocol] != kIcmp) {
    pseudo = uint64_t{load<uint32_t>(p + kIpSource)} + load<uint32_t>(p + kIpDestination) +
             (uint64_t{p[kIpProtocol]} << 8) + swap16(static_cast<uint16_t>(length));
  }
  store(field, static_cast<uint16_t>(~sumBytes(p + kIpHeader, length, pseudo)));
}

/// The packet from inside (or its answer, once `turn` was called on what it was translated to).
inline void write(uint8_t* p, const Flow& flow, uint8_t tcpFlags = kAck) {
  std::memset(p, 0x5a, kPacketBytes);
  const uint8_t head[] = {0x45, 0, 0, kPacketBytes, 0x12, 0x34, 0x40, 0, 64, flow.protocol};
  std::memcpy(p, head, sizeof head);
  store(p + kIpSource, flow.inside);
  store(p + kIpDestination, flow.remote);
  uint8_t* transport = p + kIpHeader;
  if (flow.protocol == kIcmp) {
    const uint8_t echo[] = {kEcho, 0, 0, 0};
    std::memcpy(transport, echo, sizeof echo);
    store(transport + kIcmpId, flow.insidePort);
  } else {
    store(transport, flow.insidePort);
    store(transport + 2, flow.remotePort);
  }
  if (flow.protocol == kTcp) {
    const uint8_t rest[] = {0, 0, 1, 0, 0, 0, 1, 0, 0x50, tcpFlags, 0xff, 0xff, 0, 0, 0, 0};
    std::memcpy(transport + kTcpSequence, rest, sizeof rest);
  } else if (flow.protocol == kUdp) {
    store16be(transport + 4, kPacketBytes - kIpHeader);
  }
  seal(p);
}

/// Makes the answer to a translated packet.
inline void turn(uint8_t* p) {
  uint8_t* transport = p + kIpHeader;
  const uint32_t source = load<uint32_t>(p + kIpSource);
  store(p + kIpSource, load<uint32_t>(p + kIpDestination));
  store(p + kIpDestination, source);
  p[kIpTtl] = 64;
  if (p[kIpProtocol] == kIcmp) {
    transport[0] = kEchoReply;
  } else {
    const uint16_t port = load<uint16_t>(transport);
    store(transport, load<uint16_t>(transport + 2));
    store(transport + 2, port);
  }
  seal(p);
}

/// A config with public addresses enough for `flows` at this share of the ports, half TCP and half
/// UDP.
inline Config configFor(uint32_t flows, double filled) {
  Config config;
  config.inside = {{10u << 24, 0xff000000}};
  const auto perAddress = static_cast<uint32_t>(2 * 64512 * filled);
  for (uint32_t i = 0; i < (flows + perAddress - 1) / perAddress; i++) {
    config.outside.push_back({address(203, 0, 113 + (i >> 8), i & 255), 1024, 65535});
  }
  constexpr uint64_t kSecond = 1'000'000'000;
  for (uint64_t& timeout : config.profiles[0].timeouts) timeout = 300 * kSecond;
  config.profiles[0].timeouts[static_cast<uint32_t>(Timeout::Explicit)] = 0;
  config.holdDown = 120 * kSecond;
  config.holdDownPorts = 8192;
  config.fragmentLimit = 4096;
  config.fragmentTimeout = 2 * kSecond;
  config.sessionLimit = 1u << 23;
  return config;
}

}  // namespace napt::bench
