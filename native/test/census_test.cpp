// What a translator holds by kind: sessions by protocol and phase, ports and blocks by address.
#include <array>
#include <numeric>

#include "test/support.h"

using namespace napt;
using namespace napt::test;

namespace {

SessionCensus countAll(const Translator& nat, uint32_t* calls = nullptr) {
  SessionCensus census{};
  uint32_t from = 0;
  do {
    from = nat.countSessions(from, census);
    if (calls != nullptr) ++*calls;
  } while (from != 0);
  return census;
}

End at(uint32_t address, uint32_t port) { return {address, static_cast<uint16_t>(port)}; }

}  // namespace

TEST_CASE("census: sessions by protocol, TCP's by phase") {
  auto nat = make(config());
  CHECK(countAll(*nat).byProtocol[kUdp] == 0);
  send(*nat, udp(kInside, kRemote));
  send(*nat, echo(kInside.address, kRemote.address, 7));
  const uint16_t port = [&] {
    Bytes syn = tcp(kInside, kRemote, kSyn);
    run(*nat, syn);
    return sourceOf(syn).port;
  }();
  CHECK(countAll(*nat).byPhase[static_cast<uint32_t>(TcpPhase::Opening)] == 1);
  send(*nat, tcp(kRemote, {kPublic, port}, kSyn | kAck, 5000, 1001));
  send(*nat, tcp(kInside, kRemote, kAck, 1001, 5001));
  const SessionCensus census = countAll(*nat);
  CHECK(census.byPhase[static_cast<uint32_t>(TcpPhase::Opening)] == 0);
  CHECK(census.byPhase[static_cast<uint32_t>(TcpPhase::Established)] == 1);
  CHECK(census.byProtocol[kTcp] == 0);
  CHECK(census.byProtocol[kUdp] == 1);
  CHECK(census.byProtocol[kIcmp] == 1);
}

TEST_CASE("census: sessions are counted a part at a time, each once") {
  auto nat = make(config());
  constexpr uint32_t kMany = 2 * SessionCensus::kAtATime + 5;
  for (uint32_t i = 0; i < kMany; i++) {
    send(*nat,
         udp(kInside, {kRemote.address + (i >> 15 << 24), static_cast<uint16_t>(i % 32768 + 1)}));
  }
  uint32_t calls = 0;
  CHECK(countAll(*nat, &calls).byProtocol[kUdp] == kMany);
  CHECK(calls == 3);
  nat->deleteSession(0);
  CHECK(countAll(*nat).byProtocol[kUdp] == kMany - 1);
}

TEST_CASE("census: ports in use, neither free nor at rest; a forward's own is") {
  Config c = config();
  c.outside = {{kPublic, 5000, 6999}, {ip(203, 0, 113, 2), 0, 65535}};
  c.forwards = {{kTcp, kPublic, 5001, kNeighbour.address, 80},
                {kTcp, kPublic, 80, kNeighbour.address, 80}};
  auto nat = make(c);
  CHECK(nat->poolSize() == 2);
  const auto used = [&](uint8_t protocol) { return nat->portUse(0).used[portSpace(protocol)]; };
  CHECK(nat->portUse(0).address == kPublic);
  CHECK(nat->portUse(0).ports == 2000);
  CHECK(nat->portUse(1).ports == 65536);
  CHECK(nat->portUse(0).blocks == 0);
  CHECK(used(kTcp) == 1);
  for (uint32_t i = 0; i < 10; i++) {
    mapped(*nat, at(kInside.address, 4000 + i));
    mapped(*nat, at(kInside.address, 4000 + i), at(kRemote.address, 99));
  }
  CHECK(used(kUdp) + nat->portUse(1).used[portSpace(kUdp)] == 10);
  // By ranges the same: a binding's port in its own range, the forward's in 4096 to 5119.
  const auto ranges = [&](uint8_t protocol, uint32_t address) {
    std::array<uint32_t, kPortRanges> result;
    uint32_t counts[kPortRanges];
    nat->portRanges(portSpace(protocol), address, counts);
    std::copy(counts, counts + kPortRanges, result.begin());
    return result;
  };
  const auto sum = [](const auto& counts) {
    return std::accumulate(counts.begin(), counts.end(), uint32_t{0});
  };
  CHECK(ranges(kTcp, 0)[4] == 1);
  CHECK(sum(ranges(kTcp, 0)) == 1);
  CHECK(sum(ranges(kUdp, 0)) == used(kUdp));
  CHECK(sum(ranges(kUdp, 1)) == nat->portUse(1).used[portSpace(kUdp)]);
  std::array<uint32_t, kPortRanges> expected{};
  for (uint32_t slot = 0; slot < nat->sessions().used(); slot++) {
    const Session& s = nat->sessions()[slot];
    if (s.protocol == kUdp && swap16(s.remotePort) == 99) {
      expected[swap16(s.publicPort) / kPortRange]++;
    }
  }
  for (uint32_t i = 0; i < kPortRanges; i++) {
    CHECK(ranges(kUdp, 0)[i] + ranges(kUdp, 1)[i] == expected[i]);
  }
  while (countAll(*nat).byProtocol[kUdp] != 0) {
    for (uint32_t slot = 0; slot < nat->sessions().used(); slot++) {
      if (nat->sessions()[slot].protocol == kUdp) nat->deleteSession(slot);
    }
  }
  CHECK(used(kUdp) + nat->portUse(1).used[portSpace(kUdp)] == 0);
  CHECK(sum(ranges(kUdp, 0)) + sum(ranges(kUdp, 1)) == 0);  // they rest
  CHECK(used(kTcp) == 1);
}

TEST_CASE("census: blocks given, and at rest") {
  Config c = config();
  c.outside = {{kPublic, 5000, 5099}};
  c.blockSize = 10;
  c.blockHold = kSecond;
  auto nat = make(c);
  CHECK(nat->portUse(0).blocks == 10);
  CHECK(nat->portUse(0).blocksUsed == 0);
  mapped(*nat, kInside);
  mapped(*nat, kNeighbour);
  CHECK(nat->portUse(0).blocksUsed == 2);
  nat->deleteSession(0);
  CHECK(nat->portUse(0).blocksUsed == 2);
  mapped(*nat, kNeighbour, at(kRemote.address, 99), 2 * kSecond);
  nat->deleteSession(1);
  CHECK(nat->portUse(0).blocks == 10);
}
