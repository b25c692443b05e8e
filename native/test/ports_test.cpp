// Which public endpoint a new binding gets: order, class, parity, rest, sharing, pooling, blocks.
#include <map>
#include <set>

#include "test/support.h"

using namespace napt;
using namespace napt::test;

namespace {

constexpr uint32_t kPublic2 = ip(203, 0, 113, 2);
constexpr End kOther{ip(198, 51, 100, 8), 53};

/// Inside host number `n`.
End host(int n, int port) {
  return {ip(192, 168, 226, static_cast<uint8_t>(n)), static_cast<uint16_t>(port)};
}

Config sequential(uint16_t low, uint16_t high) {
  Config c = config();
  c.outside = {{kPublic, low, high}};
  c.policies[0].randomPorts = false;
  return c;
}

uint16_t portOf(Translator& nat, End from, End to = kRemote, uint64_t now = 0) {
  return mapped(nat, from, to, now).port;
}

/// Ends all sessions of an inside endpoint.
void close(Translator& nat, End from) {
  for (uint32_t slot = 0; slot < nat.sessions().used(); slot++) {
    const Session& s = nat.sessions()[slot];
    if (s.protocol != 0 && s.inside == from.address && s.insidePort == swap16(from.port)) {
      nat.deleteSession(slot);
    }
  }
}

}  // namespace

TEST_CASE("ports: one after the other, and around") {
  Config c = sequential(5000, 5007);
  c.policies[0].parity = false;
  auto nat = make(c);
  for (uint16_t i = 0; i < 8; i++) CHECK(portOf(*nat, host(1, 4000 + 2 * i)) == 5000 + i);
  CHECK(portOf(*nat, host(1, 4100)) == 0);
  close(*nat, host(1, 4002));  // 5001
  close(*nat, host(1, 4012));  // 5006
  CHECK(portOf(*nat, host(1, 4100)) == 5001);
  CHECK(portOf(*nat, host(1, 4100), kOther) == 5001);
  CHECK(portOf(*nat, host(1, 4102)) == 5006);
}

TEST_CASE("ports: parity, in sequence and around") {
  auto nat = make(sequential(5000, 5007));
  CHECK(portOf(*nat, host(1, 4000)) == 5000);
  CHECK(portOf(*nat, host(1, 4002)) == 5002);
  CHECK(portOf(*nat, host(1, 4001)) == 5003);
  CHECK(portOf(*nat, host(1, 4004)) == 5004);
  CHECK(portOf(*nat, host(1, 4006)) == 5006);
  close(*nat, host(1, 4002));
  CHECK(portOf(*nat, host(1, 4008)) == 5002);  // even ones are below the cursor only
  CHECK(portOf(*nat, host(1, 4010)) == 5005);  // none is left: the other parity, near the cursor
}

TEST_CASE("ports: class first, then parity (RFC 4787, REQ-3 and REQ-4)") {
  for (const bool random : {false, true}) {
    Config c = sequential(1000, 1047);
    c.policies[0].randomPorts = random;
    auto nat = make(c);
    const auto low = [&](int i) { return portOf(*nat, host(1, 1 + 2 * i)); };
    for (uint16_t i = 0; i < 12; i++) {
      const uint16_t port = low(i);
      CHECK(port < 1024);
      CHECK(port % 2 == 1);
    }
    for (uint16_t i = 12; i < 24; i++) {
      const uint16_t port = low(i);
      CHECK(port < 1024);
      CHECK(port % 2 == 0);
    }
    const uint16_t beyond = low(24);
    CHECK(beyond >= 1024);
    CHECK(beyond % 2 == 1);
    const uint16_t high = portOf(*nat, host(2, 5000));
    CHECK(high >= 1024);
    CHECK(high % 2 == 0);
  }
}

TEST_CASE("ports: identifiers of queries have neither class nor parity") {
  auto nat = make(sequential(1000, 1047));
  for (uint16_t i = 0; i < 4; i++) {
    Bytes packet = echo(kInside.address, kRemote.address, static_cast<uint16_t>(5000 + 2 * i));
    REQUIRE(run(*nat, packet).verdict == Verdict::Forwarded);
    CHECK(load16be(&packet[24]) == 1000 + i);
  }
}

TEST_CASE("ports: preserved where that is wanted and free") {
  Config c = sequential(5000, 5063);
  SUBCASE("not wanted") {
    auto nat = make(c);
    CHECK(portOf(*nat, host(1, 5010)) == 5000);
  }
  SUBCASE("wanted") {
    c.policies[0].preservePorts = true;
    auto nat = make(c);
    CHECK(portOf(*nat, host(1, 5010)) == 5010);
    CHECK(portOf(*nat, host(1, 80)) == 5000);  // not in the range
    CHECK(portOf(*nat, host(2, 5010)) == 5002);
    // TCP has ports of its own.
    Bytes syn = tcp(host(2, 5010), kRemote, kSyn);
    REQUIRE(run(*nat, syn).verdict == Verdict::Forwarded);
    CHECK(sourceOf(syn).port == 5010);
  }
  SUBCASE("what is due makes room first") {
    c.policies[0].preservePorts = true;
    auto nat = make(c);
    CHECK(portOf(*nat, host(1, 5010)) == 5010);
    CHECK(portOf(*nat, host(2, 5010), kRemote, 300 * kSecond) == 5010);
  }
}

TEST_CASE("ports: random ones are not in sequence, and differ by seed (RFC 6056)") {
  Config c = config();
  auto nat = make(c);
  auto other = Translator::create(c, {43, 0});
  uint32_t near = 0, same = 0;
  uint16_t last = 0;
  for (uint16_t i = 0; i < 64; i++) {
    const uint16_t port = portOf(*nat, host(1, 4000 + 2 * i));
    near += port > last && port - last < 16;
    same += port == portOf(*other, host(1, 4000 + 2 * i));
    last = port;
  }
  CHECK(near < 8);
  CHECK(same < 8);
}

TEST_CASE("ports: forwards' are not handed out") {
  Config c = sequential(5000, 5003);
  c.policies[0].parity = false;
  c.forwards = {{kUdp, kPublic, 5001, kNeighbour.address, 80}};
  auto nat = make(c);
  std::set<uint16_t> ports;
  for (uint16_t i = 0; i < 4; i++) ports.insert(portOf(*nat, host(1, 4000 + i)));
  CHECK(ports == std::set<uint16_t>{5000, 5002, 5003, 0});
  // TCP's 5001 is no forward.
  for (uint16_t i = 0; i < 4; i++) {
    CHECK(send(*nat, tcp(host(1, 4000 + i), kRemote, kSyn)).verdict == Verdict::Forwarded);
  }
}

// Hold-down (RFC 6888, REQ-8).

TEST_CASE("hold-down: a port rests, but TCP's") {
  Config c = config();
  c.outside = {{kPublic, 2000, 3999}};
  c.holdDown = 120 * kSecond;
  c.holdDownPorts = 8192;
  const PublicAddresses addresses(c);
  uint64_t now = 7 * kSecond;
  PortPool pool(addresses, c, now);
  REQUIRE(pool.reserve());
  const auto cycle = [&](uint32_t space, int port) {
    const PublicEndpoint e{0, static_cast<uint16_t>(port)};
    pool.take(space, e);
    pool.give(space, e);
  };
  SUBCASE("as long as it should") {
    cycle(1, 2500);
    CHECK_FALSE(pool.isFree(1, {0, 2500}));
    now += 120 * kSecond - 1;
    CHECK_FALSE(pool.isFree(1, {0, 2500}));
    now += kMs;
    CHECK(pool.isFree(1, {0, 2500}));
  }
  SUBCASE("TCP's not (8a)") {
    cycle(0, 2500);
    CHECK(pool.isFree(0, {0, 2500}));
  }
  SUBCASE("no more than an eighth of the range") {
    for (uint16_t i = 0; i < 250; i++) cycle(1, 2000 + i);
    CHECK_FALSE(pool.isFree(1, {0, 2000}));
    CHECK(pool.free(1, 0) == 1750);
    cycle(1, 3000);
    CHECK(pool.isFree(1, {0, 2000}));  // the longest at rest
    CHECK_FALSE(pool.isFree(1, {0, 2001}));
    CHECK_FALSE(pool.isFree(1, {0, 3000}));
  }
  SUBCASE("no more than the config says") {
    c.holdDownPorts = 3;
    for (uint16_t i = 0; i < 4; i++) cycle(1, 2000 + i);
    CHECK(pool.isFree(1, {0, 2000}));
    CHECK_FALSE(pool.isFree(1, {0, 2001}));
  }
  SUBCASE("of a small range nothing") {
    c.outside[0].high = 3022;  // 1,023 ports
    const PublicAddresses few(c);
    PortPool small(few, c, now);
    REQUIRE(small.reserve());
    small.take(1, {0, 2500});
    small.give(1, {0, 2500});
    CHECK(small.isFree(1, {0, 2500}));
  }
}

TEST_CASE("hold-down: goes on under a new config") {
  Config c = config();
  c.policies[0].preservePorts = true;
  c.holdDown = 120 * kSecond;
  c.holdDownPorts = 8192;
  auto nat = make(c);
  CHECK(portOf(*nat, host(1, 5000)) == 5000);
  close(*nat, host(1, 5000));
  CHECK(portOf(*nat, host(2, 5000), kRemote, 60 * kSecond) != 5000);
  c.outside.insert(c.outside.begin(), {kPublic2, 6000, 6000});
  auto next = make(c);
  next->adopt(*nat);
  // Three hosts, so that each address is some host's.
  for (int n = 3; n < 6; n++) {
    CHECK(portOf(*next, host(n, 5000), kRemote, 119 * kSecond) != 5000);
  }
  std::set<uint16_t> ports;
  for (int n = 6; n < 9; n++) ports.insert(portOf(*next, host(n, 5000), kRemote, 121 * kSecond));
  CHECK(ports.count(5000) == 1);
}

// Overloading (RFC 7857, section 3).

TEST_CASE("overloading: ports are shared towards different remotes, when there are no others") {
  Config c = sequential(5000, 5001);
  c.policies[0].overloading = true;
  setAll(c.policies[0].mapping, Behaviour::AddressAndPortDependent);
  auto nat = make(c);
  CHECK(portOf(*nat, host(1, 4000)) == 5000);
  CHECK(portOf(*nat, host(2, 4000), kOther) == 5001);  // free, though 5000 could be shared
  CHECK(portOf(*nat, host(3, 4000), kOther) == 5000);
  CHECK(portOf(*nat, host(4, 4000), kOther) == 0);  // both have somebody for this remote
  CHECK(portOf(*nat, host(5, 4001), kRemote) == 5001);
  // The remote tells whose a packet is.
  CHECK(delivered(*nat, kRemote, {kPublic, 5000}) == host(1, 4000));
  CHECK(delivered(*nat, kOther, {kPublic, 5000}) == host(3, 4000));
  CHECK(delivered(*nat, kOther, {kPublic, 5001}) == host(2, 4000));
  CHECK(delivered(*nat, {kOther.address, 54}, {kPublic, 5000}).port == 0);
  // The port is free with its last binding.
  close(*nat, host(1, 4000));
  CHECK(delivered(*nat, kRemote, {kPublic, 5000}).port == 0);
  CHECK(delivered(*nat, kOther, {kPublic, 5000}) == host(3, 4000));
  CHECK(portOf(*nat, host(6, 4000), kOther) == 0);
  close(*nat, host(3, 4000));
  CHECK(portOf(*nat, host(6, 4000), kOther) == 5000);
}

TEST_CASE("overloading: a shared port has the parity that is wanted, if one has") {
  Config c = sequential(5000, 5003);
  c.policies[0].overloading = true;
  setAll(c.policies[0].mapping, Behaviour::AddressAndPortDependent);
  auto nat = make(c);
  for (uint16_t i = 0; i < 4; i++) REQUIRE(portOf(*nat, host(1, 4000 + i)) != 0);
  CHECK(portOf(*nat, host(2, 4001), kOther) % 2 == 1);
  CHECK(portOf(*nat, host(3, 4003), kOther) % 2 == 1);
  CHECK(portOf(*nat, host(4, 4005), kOther) % 2 == 0);
}

TEST_CASE("overloading: free ports first, unless the inside port is to be preserved") {
  for (const bool preserve : {false, true}) {
    Config c = sequential(5000, 5007);
    c.policies[0].overloading = true;
    c.policies[0].preservePorts = preserve;
    setAll(c.policies[0].mapping, Behaviour::AddressAndPortDependent);
    auto nat = make(c);
    CHECK(portOf(*nat, host(1, 5000)) == 5000);
    CHECK(portOf(*nat, host(2, 5000), kOther) == (preserve ? 5000 : 5002));
  }
}

TEST_CASE("overloading: address-dependent bindings share by remote address") {
  Config c = sequential(5000, 5000);
  c.policies[0].overloading = true;
  setAll(c.policies[0].mapping, Behaviour::AddressDependent);
  setAll(c.policies[0].filtering, Behaviour::AddressDependent);
  auto nat = make(c);
  const End otherPort{kRemote.address, 54};
  CHECK(portOf(*nat, host(1, 4000)) == 5000);
  CHECK(portOf(*nat, host(1, 4000), otherPort) == 5000);  // the same binding
  CHECK(portOf(*nat, host(2, 4000), otherPort) == 0);
  CHECK(portOf(*nat, host(2, 4000), kOther) == 5000);
  CHECK(delivered(*nat, otherPort, {kPublic, 5000}) == host(1, 4000));
  CHECK(delivered(*nat, {kRemote.address, 55}, {kPublic, 5000}) == host(1, 4000));
  CHECK(delivered(*nat, {kOther.address, 55}, {kPublic, 5000}) == host(2, 4000));
  // It outlives the session that it began with.
  nat->deleteSession(0);
  CHECK(delivered(*nat, otherPort, {kPublic, 5000}) == host(1, 4000));
  CHECK(portOf(*nat, host(1, 4000)) == 5000);
}

TEST_CASE("overloading: a flow to port 0 does not stand for all ports") {
  Config c = sequential(5000, 5000);
  c.policies[0].overloading = true;
  setAll(c.policies[0].mapping, Behaviour::AddressAndPortDependent);
  setAll(c.policies[0].filtering, Behaviour::EndpointIndependent);
  auto nat = make(c);
  CHECK(portOf(*nat, host(1, 4000), {kRemote.address, 0}) == 5000);
  CHECK(delivered(*nat, {kRemote.address, 0}, {kPublic, 5000}) == host(1, 4000));
  CHECK(delivered(*nat, kRemote, {kPublic, 5000}).port == 0);
}

TEST_CASE("overloading: not with endpoint-independent mapping, nor between the two kinds") {
  Config c = sequential(5000, 5000);
  c.policies[0].overloading = true;
  SUBCASE("endpoint-independent") {
    auto nat = make(c);
    CHECK(portOf(*nat, host(1, 4000)) == 5000);
    CHECK(portOf(*nat, host(2, 4000), kOther) == 0);
    CHECK(portOf(*nat, host(1, 4000), kOther) == 5000);
  }
  SUBCASE("two policies") {
    setAll(c.policies[0].mapping, Behaviour::AddressAndPortDependent);
    c.policies.push_back(c.policies[0]);
    setAll(c.policies[1].mapping, Behaviour::AddressDependent);
    c.profiles.push_back(c.profiles[0]);
    c.profiles[1].policy = 1;
    c.inside = {{0xc0a8e202, 0xffffffff, 1}, {0xc0a8e200, 0xffffff00, 0}};
    auto nat = make(c);
    CHECK(portOf(*nat, host(1, 4000)) == 5000);
    CHECK(portOf(*nat, host(2, 4000), kOther) == 0);
    CHECK(portOf(*nat, host(3, 4000), kOther) == 5000);
  }
}

// Contiguity (RFC 4787, section 4.2.3).

TEST_CASE("contiguity: the port beside the sibling's") {
  Config c = config();
  c.policies[0].contiguity = true;
  c.outside = {{kPublic, 5000, 5063}};
  auto nat = make(c);
  // Half of the odd ports are taken.
  for (uint16_t i = 0; i < 16; i++) REQUIRE(portOf(*nat, host(9, 7001 + 4 * i)) % 2 == 1);
  for (int n = 1; n <= 7; n++) {
    const uint16_t even = portOf(*nat, host(n, 6000));
    REQUIRE(even % 2 == 0);
    CHECK(portOf(*nat, host(n, 6001)) == even + 1);
  }
  const uint16_t odd = portOf(*nat, host(10, 6001));
  CHECK(portOf(*nat, host(10, 6000)) == odd - 1);
}

TEST_CASE("contiguity: within the range and the address") {
  Config c = sequential(5001, 5004);
  c.policies[0].contiguity = true;
  auto nat = make(c);
  CHECK(portOf(*nat, host(1, 6002)) == 5002);
  CHECK(portOf(*nat, host(1, 6003)) == 5003);
  CHECK(portOf(*nat, host(1, 6005)) == 5001);  // 5000 is not ours
  CHECK(portOf(*nat, host(1, 6004)) == 5004);
}

TEST_CASE("contiguity: within the host's blocks") {
  Config c = sequential(5000, 5011);
  c.policies[0].contiguity = true;
  c.blockSize = 3;
  auto nat = make(c);
  CHECK(portOf(*nat, host(1, 6000)) == 5000);
  CHECK(portOf(*nat, host(1, 6001)) == 5001);
  CHECK(portOf(*nat, host(1, 6002)) == 5002);
  CHECK(portOf(*nat, host(2, 6003)) == 5003);
  CHECK(portOf(*nat, host(1, 6003)) == 5007);  // the port beside is of another's block
  CHECK(portOf(*nat, host(2, 6002)) == 5004);  // so is this one's
}

// Pooling (RFC 4787, REQ-2).

TEST_CASE("pooling: hosts spread over the addresses") {
  Config c = config();
  for (const uint8_t count : {uint8_t{4}, uint8_t{32}}) {
    c.outside.clear();
    for (uint8_t i = 0; i < count; i++) {
      c.outside.push_back({ip(203, 0, 113, static_cast<uint8_t>(i + 1)), 1024, 65535});
    }
    auto nat = make(c);
    std::map<uint32_t, uint32_t> hosts;
    for (int n = 1; n <= 240; n++) hosts[mapped(*nat, host(n, 4000)).address]++;
    CHECK(hosts.size() == count);
    uint32_t most = 0;
    for (const auto& [address, load] : hosts) most = std::max(most, load);
    CHECK(most <= 240u / count + 4);
  }
}

TEST_CASE("pooling: paired, soft-paired, arbitrary") {
  Config c = sequential(5000, 5001);
  c.outside.push_back({kPublic2, 5000, 5001});
  const auto leave = [](Translator& nat, int n, int port) { return mapped(nat, host(n, port)); };
  SUBCASE("paired: refused when its address is full") {
    auto nat = make(c);
    const uint32_t own = leave(*nat, 1, 4000).address;
    CHECK(leave(*nat, 1, 4002).address == own);
    CHECK(leave(*nat, 1, 4004).port == 0);
    CHECK(leave(*nat, 2, 4000).address != own);
  }
  SUBCASE("soft: its own address to the last port, whatever its parity, then another") {
    c.policies[0].pooling = Pooling::SoftPaired;
    auto nat = make(c);
    const uint32_t own = leave(*nat, 1, 4000).address;
    CHECK(leave(*nat, 1, 4002) == End{own, 5001});
    const End third = leave(*nat, 1, 4004);
    CHECK(third.port == 5000);
    CHECK(third.address != own);
    close(*nat, host(1, 4002));
    CHECK(leave(*nat, 1, 4006).address == own);
  }
  SUBCASE("arbitrary: any") {
    c.outside = {{kPublic, 1024, 65535}, {kPublic2, 1024, 65535}};
    c.policies[0].pooling = Pooling::Arbitrary;
    auto nat = make(c);
    std::set<uint32_t> addresses;
    for (uint16_t i = 0; i < 32; i++) addresses.insert(leave(*nat, 1, 4000 + i).address);
    CHECK(addresses.size() == 2);
  }
}

// Port blocks (RFC 6888, REQ-14).

namespace {
struct BlockLine {
  uint32_t inside;
  uint32_t low, high;
  bool given;

  bool operator==(const BlockLine&) const = default;
};
std::vector<BlockLine> events(Translator& nat) {
  std::vector<BlockLine> out;
  nat.events().take(~0u, [&](const Event& e) {
    out.push_back({e.inside, e.numbers[0], e.numbers[1], e.type == EventType::BlockAllocated});
  });
  return out;
}
constexpr uint32_t kBlockEvents = 1u << static_cast<uint32_t>(EventType::BlockAllocated) |
                                  1u << static_cast<uint32_t>(EventType::BlockReleased);
}  // namespace

TEST_CASE("blocks: each host has its own, up to its limit, and a log of them") {
  Config c = sequential(5000, 5015);
  c.blockSize = 4;
  c.blocksPerHost = 2;
  auto nat = make(c);
  nat->record(kBlockEvents);
  for (uint16_t i = 0; i < 4; i++) CHECK(portOf(*nat, host(1, 4000 + i)) / 4 == 5000 / 4);
  CHECK(portOf(*nat, host(2, 4000)) == 5004);
  for (uint16_t i = 4; i < 8; i++) CHECK(portOf(*nat, host(1, 4000 + i)) / 4 == 5008 / 4);
  CHECK(portOf(*nat, host(1, 4100)) == 0);
  // Another protocol uses the same blocks.
  Bytes syn = tcp(host(1, 4200), kRemote, kSyn);
  REQUIRE(run(*nat, syn).verdict == Verdict::Forwarded);
  CHECK(sourceOf(syn).port / 4 != 5004 / 4);
  const uint32_t one = host(1, 0).address, two = host(2, 0).address;
  CHECK(events(*nat) == std::vector<BlockLine>{{one, 5000, 5003, true},
                                               {two, 5004, 5007, true},
                                               {one, 5008, 5011, true}});
  CHECK(events(*nat).empty());
  // A block goes with its last binding, though the host stays.
  for (uint16_t i = 0; i < 8; i++) close(*nat, host(1, 4000 + i));
  const uint16_t low = sourceOf(syn).port < 5004 ? 5008 : 5000;
  const auto high = static_cast<uint16_t>(low + 3);
  CHECK(events(*nat) == std::vector<BlockLine>{{one, low, high, false}});
  CHECK(portOf(*nat, host(3, 4000)) / 4 == low / 4);
}

TEST_CASE("blocks: one rests before another host gets it") {
  Config c = sequential(5000, 5003);
  c.blockSize = 4;
  c.blockHold = 60 * kSecond;
  auto nat = make(c);
  CHECK(portOf(*nat, host(1, 4000)) == 5000);
  close(*nat, host(1, 4000));
  CHECK(portOf(*nat, host(2, 4000), kRemote, 60 * kSecond - 1) == 0);
  CHECK(portOf(*nat, host(2, 4000), kRemote, 60 * kSecond) == 5002);
}

TEST_CASE("blocks: one whose ports are all forwards' is no use") {
  Config c = sequential(5000, 5007);
  c.blockSize = 4;
  for (uint16_t i = 0; i < 4; i++) {
    c.forwards.push_back({kUdp, kPublic, static_cast<uint16_t>(5000 + i), kNeighbour.address,
                          static_cast<uint16_t>(80 + i)});
  }
  auto nat = make(c);
  CHECK(portOf(*nat, host(1, 4000)) == 5004);
}

TEST_CASE("blocks: stay with their hosts under a new config") {
  Config c = sequential(5000, 5015);
  c.blockSize = 4;
  auto nat = make(c);
  CHECK(portOf(*nat, host(1, 4000)) == 5000);
  CHECK(portOf(*nat, host(2, 4000)) == 5004);
  c.blockSize = 8;  // both are in the first now
  auto next = make(c);
  next->adopt(*nat);
  CHECK(next->stats.sessionsActive == 1);
  CHECK(portOf(*next, host(1, 4000)) == 5000);
  CHECK(portOf(*next, host(2, 4000)) == 5008);
  CHECK(portOf(*next, host(1, 4002)) / 8 == 5000 / 8);
}

// Deterministic NAT (RFC 7422).

TEST_CASE("deterministic: a host's address and ports follow from its number") {
  Config c = sequential(1024, 65535);
  c.inside = {{0xc6336400, 0xfffffff0}};  // 198.51.100.0/28: RFC 7422's example
  c.deterministic = {4032, 14, {{0xc6336401, 14}}};
  c.blockSize = 4032;
  auto nat = make(c);
  nat->record(kBlockEvents);
  const auto first = [&](uint8_t n) {
    return portOf(*nat, {ip(198, 51, 100, n), 4000}, {ip(192, 0, 2, 1), 53});
  };
  CHECK(first(1) == 1024);
  CHECK(first(2) == 5056);
  CHECK(first(14) == 1024 + 13 * 4032);
  CHECK(events(*nat).empty());
}

TEST_CASE("deterministic: several prefixes and addresses, a dynamic pool") {
  Config c = sequential(5000, 5011);
  c.outside.push_back({kPublic2, 5000, 5011});
  c.policies[0].parity = false;
  c.inside = {{0xc0a8e200, 0xffffff00}, {0x0a000000, 0xffffff00}};
  c.deterministic = {4, 2, {{0xc0a8e201, 2}, {0x0a000001, 2}}};
  c.blockSize = 2;
  c.blocksPerHost = 1;
  auto nat = make(c);
  nat->record(kBlockEvents);
  const auto ports = [&](uint32_t inside) {
    std::vector<End> out;
    for (uint16_t i = 0; i < 7; i++) {
      out.push_back(mapped(*nat, {inside, static_cast<uint16_t>(4000 + i)}));
    }
    return out;
  };
  const auto check = [&](uint32_t inside, uint32_t address, uint16_t low, uint16_t dynamic) {
    const std::vector<End> got = ports(inside);
    for (uint16_t i = 0; i < 4; i++) CHECK(got[i] == End{address, static_cast<uint16_t>(low + i)});
    CHECK(got[4] == End{address, dynamic});
    CHECK(got[5] == End{address, static_cast<uint16_t>(dynamic + 1)});
    CHECK(got[6].port == 0);
  };
  check(ip(192, 168, 226, 1), kPublic, 5000, 5008);
  check(ip(192, 168, 226, 2), kPublic, 5004, 5010);
  check(ip(10, 0, 0, 1), kPublic2, 5000, 5008);
  check(ip(10, 0, 0, 2), kPublic2, 5004, 5010);
  // Only what is given shows in the log.
  CHECK(events(*nat).size() == 4);
}

TEST_CASE("deterministic: a host keeps its ports whatever ends") {
  Config c = sequential(5000, 5007);
  c.deterministic = {4, 2, {{0xc0a8e201, 2}}};
  c.forwards = {{kTcp, kPublic, 80, host(1, 0).address, 80}};
  auto nat = make(c);
  // A session by a forward keeps the host.
  REQUIRE(send(*nat, tcp(kRemote, {kPublic, 80}, kSyn)).verdict == Verdict::Forwarded);
  for (int i = 0; i < 3; i++) {
    CHECK(portOf(*nat, host(1, 4000)) / 4 == 5000 / 4);
    close(*nat, host(1, 4000));
    CHECK(portOf(*nat, host(2, 4000)) / 4 == 5004 / 4);
  }
  CHECK(portOf(*nat, host(3, 4000)) == 0);  // not in the plan
}
