// Packets for the native tests, built and checked the slow way.
#pragma once

#include <doctest.h>

#include <algorithm>
#include <array>
#include <memory>
#include <vector>

#include "nat/translator.h"

namespace napt::test {

using Bytes = std::vector<uint8_t>;

constexpr uint64_t kMs = 1'000'000, kSecond = 1'000 * kMs;

/// An address in network order.
constexpr uint32_t ip(uint8_t a, uint8_t b, uint8_t c, uint8_t d) {
  return a | static_cast<uint32_t>(b) << 8 | static_cast<uint32_t>(c) << 16 |
         static_cast<uint32_t>(d) << 24;
}

struct End {
  uint32_t address;
  uint16_t port;  // host order
};

/// The sum as RFC 1071 writes it: 16-bit words in network order, one after the other.
uint16_t slowSum(const uint8_t* p, size_t length, uint32_t initial = 0);
/// Whether both checksums of a whole packet verify.
bool isSound(const Bytes& packet);
/// Computes both checksums anew.
void seal(Bytes& packet);

Bytes udp(End from, End to, size_t payload = 8);
Bytes tcp(End from, End to, uint8_t flags, uint32_t sequence = 1000, uint32_t ack = 0,
          size_t payload = 0);
Bytes echo(uint32_t from, uint32_t to, uint16_t id, bool reply = false);
/// An ICMP error that quotes `octets` bytes of a packet.
Bytes icmpError(uint32_t from, uint32_t to, uint8_t type, uint8_t code, const Bytes& about,
                size_t octets = 28);
/// A packet of any protocol around a transport header and what follows, DF set. Only its IPv4
/// header checksum is computed.
Bytes ipv4(uint8_t protocol, uint32_t from, uint32_t to, const Bytes& body);
/// Computes the IPv4 header checksum anew.
void sealHeader(Bytes& packet);
/// Clears DF and sets the identification.
Bytes fragmentable(Bytes packet, uint16_t id);
/// Pieces of a packet; `sizes` are payload bytes, multiples of 8 but for the last.
std::vector<Bytes> split(const Bytes& packet, std::vector<size_t> sizes);

End sourceOf(const Bytes& packet);
End destinationOf(const Bytes& packet);
inline bool operator==(const End& a, const End& b) {
  return a.address == b.address && a.port == b.port;
}

constexpr End kInside{ip(192, 168, 226, 135), 4000};
constexpr End kNeighbour{ip(192, 168, 226, 136), 4000};
constexpr End kRemote{ip(198, 51, 100, 7), 53};
constexpr uint32_t kPublic = ip(203, 0, 113, 1);

/// The default config: 192.168.226.0/24 behind 203.0.113.1.
Config config();

/// The same behaviour for every protocol.
inline void setAll(Behaviour (&behaviours)[kPortSpaces], Behaviour to) {
  std::fill(behaviours, behaviours + kPortSpaces, to);
}

/// A translator with the default seed.
std::unique_ptr<Translator> make(const Config& from);

Result run(Translator& nat, Bytes& packet, uint64_t now = 0, uint32_t tag = 1);

/// Sends a packet that need not be looked at afterwards.
Result send(Translator& nat, Bytes packet, uint64_t now = 0);
/// Where a UDP packet leaves from; port 0 if it is refused.
End mapped(Translator& nat, End from, End to = kRemote, uint64_t now = 0);
/// Where a UDP packet from outside arrives; port 0 if it is refused.
End delivered(Translator& nat, End from, End to, uint64_t now = 0);

}  // namespace napt::test
