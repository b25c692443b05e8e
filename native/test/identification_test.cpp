#include "nat/identification.h"

#include <map>
#include <set>

#include "test/support.h"

using namespace napt;
using namespace napt::test;

namespace {
/// A datagram that may be fragmented.
Bytes datagram(End from, End to, uint16_t id, size_t payload = 8) {
  Bytes packet = udp(from, to, payload);
  store16be(&packet[kIpId], id);
  store16be(&packet[kIpFragment], 0);
  seal(packet);
  return packet;
}
uint16_t idOf(const Bytes& packet) { return load16be(&packet[kIpId]); }
}  // namespace

TEST_CASE("identifications: none is used twice in a lifetime, whoever gave it") {
  // Few enough that the bounded table forgets none.
  Identifications ids(HashKey::from({1, 2}));
  REQUIRE(ids.reserve());
  Random random({3, 4});
  std::map<uint16_t, std::pair<uint32_t, uint16_t>> sent;  // by whom, and what it was
  uint32_t replaced = 0;
  for (uint16_t id = 0; id < 500; id++) {
    for (const uint32_t host : {kInside.address, kNeighbour.address}) {
      const uint16_t out = ids.assign(id, host, kPublic, kRemote.address, kUdp, 0, random);
      REQUIRE(sent.count(out) == 0);
      sent[out] = {host, id};
      replaced += out != id;
    }
  }
  CHECK(replaced >= 500);
  for (const auto& [out, from] : sent) {
    CHECK(ids.original(out, from.first, kPublic, kRemote.address, kUdp) == from.second);
    // Not for another host, remote, address or protocol.
    CHECK(ids.original(out, ip(192, 168, 226, 9), kPublic, kRemote.address, kUdp) == out);
    CHECK(ids.original(out, from.first, kPublic, kRemote.address, kTcp) == out);
  }
}

TEST_CASE("identifications: a host's own, and one that rested for a lifetime, are kept") {
  Identifications ids(HashKey::from({1, 2}));
  REQUIRE(ids.reserve());
  Random random({3, 4});
  const auto assign = [&](uint32_t host, uint64_t now) {
    return ids.assign(7, host, kPublic, kRemote.address, kUdp, now, random);
  };
  CHECK(assign(kInside.address, 0) == 7);
  CHECK(assign(kInside.address, kSecond) == 7);
  CHECK(assign(kNeighbour.address, 2 * kSecond) != 7);
  CHECK(assign(kNeighbour.address, 200 * kSecond) == 7);
}

TEST_CASE(
    "an ICMP error quotes the identification that its receiver had given (RFC 5508, REQ-4a)") {
  auto nat = make(config());
  for (uint16_t id = 1; id <= 300; id++) {
    for (const End from : {kInside, kNeighbour}) {
      const Bytes original = datagram(from, kRemote, id);
      Bytes packet = original;
      REQUIRE(run(*nat, packet).verdict == Verdict::Forwarded);
      CHECK((from == kInside || idOf(packet) != id));
      const size_t octets = std::array<size_t, 3>{28, 32, packet.size()}[id % 3];
      Bytes error = icmpError(kRemote.address, kPublic, kUnreachable, 3, packet, octets);
      REQUIRE(run(*nat, error).verdict == Verdict::Forwarded);
      REQUIRE(isSound(error));
      // Octet by octet, but for the TTL and the checksum over it.
      Bytes quoted(error.begin() + 28, error.end());
      quoted[kIpTtl] = original[kIpTtl];
      store(&quoted[kIpChecksum], load<uint16_t>(&original[kIpChecksum]));
      CHECK(std::equal(quoted.begin(), quoted.end(), original.begin()));
      CHECK(slowSum(&error[28], kIpHeader) == 0xffff);
    }
  }
}

TEST_CASE("a quoted identification that was not given by the NAT is left alone") {
  auto nat = make(config());
  Bytes first = datagram(kInside, kRemote, 9), second = datagram(kNeighbour, kRemote, 9);
  REQUIRE(run(*nat, first).verdict == Verdict::Forwarded);
  REQUIRE(run(*nat, second).verdict == Verdict::Forwarded);
  REQUIRE(idOf(second) != 9);
  // An atomic datagram that happens to have the other's new identification.
  Bytes atomic = udp(kNeighbour, kRemote);
  store16be(&atomic[kIpId], idOf(second));
  seal(atomic);
  REQUIRE(run(*nat, atomic).verdict == Verdict::Forwarded);
  CHECK(idOf(atomic) == idOf(second));
  Bytes error = icmpError(kRemote.address, kPublic, kUnreachable, 3, atomic);
  REQUIRE(run(*nat, error).verdict == Verdict::Forwarded);
  CHECK(load16be(&error[28 + kIpId]) == idOf(second));
  // An error from inside, about a packet from outside: that kept its own.
  Bytes inbound = datagram(kRemote, sourceOf(second), idOf(second));
  REQUIRE(run(*nat, inbound).verdict == Verdict::Forwarded);
  Bytes answer = icmpError(kNeighbour.address, kRemote.address, kUnreachable, 3, inbound);
  REQUIRE(run(*nat, answer).verdict == Verdict::Forwarded);
  CHECK(load16be(&answer[28 + kIpId]) == idOf(second));
}

TEST_CASE("an error about a hairpinned datagram quotes its original identification") {
  Config c = config();
  setAll(c.policies[0].filtering, Behaviour::EndpointIndependent);
  auto nat = make(c);
  const End third{ip(192, 168, 226, 9), 4000};
  Bytes theirs = udp(third, kRemote);
  REQUIRE(run(*nat, theirs).verdict == Verdict::Forwarded);
  const Bytes original = datagram(kInside, sourceOf(theirs), 9);
  Bytes before = datagram(kNeighbour, sourceOf(theirs), 9), packet = original;
  REQUIRE(run(*nat, before).verdict == Verdict::Forwarded);
  REQUIRE(run(*nat, packet).verdict == Verdict::Forwarded);
  REQUIRE(idOf(packet) != 9);
  Bytes error = icmpError(third.address, kPublic, kUnreachable, 3, packet);
  REQUIRE(run(*nat, error).verdict == Verdict::Forwarded);
  CHECK(load<uint32_t>(&error[kIpDestination]) == kInside.address);
  CHECK(load16be(&error[28 + kIpId]) == 9);
  CHECK(isSound(error));
}
