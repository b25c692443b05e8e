#include "fuzz/scene.h"

#include "packet/ipv4.h"

namespace napt::fuzz {

namespace {

constexpr uint32_t ip(uint32_t a, uint32_t b, uint32_t c, uint32_t d) {
  return a | b << 8 | c << 16 | d << 24;
}

constexpr uint32_t kInside[] = {ip(192, 168, 226, 1), ip(192, 168, 226, 2), ip(192, 168, 226, 3),
                                ip(192, 168, 226, 4), ip(192, 168, 226, 7), ip(10, 1, 0, 1),
                                ip(10, 1, 255, 254),  ip(192, 168, 226, 0)};
constexpr uint32_t kRemote[] = {ip(198, 51, 100, 7), ip(198, 51, 100, 8), ip(192, 0, 2, 1),
                                ip(10, 2, 0, 1)};
constexpr uint32_t kPublic[] = {ip(203, 0, 113, 1),  ip(203, 0, 113, 2),  ip(203, 0, 113, 3),
                                ip(203, 0, 113, 60), ip(203, 0, 113, 65), ip(203, 0, 113, 66)};
constexpr uint32_t kOdd[] = {0,
                             ip(127, 0, 0, 1),
                             ip(224, 0, 0, 5),
                             ip(255, 255, 255, 255),
                             ip(240, 0, 0, 1),
                             ip(203, 0, 113, 200),
                             ip(192, 168, 226, 255),
                             ip(0, 0, 0, 1)};
constexpr uint16_t kPorts[] = {4000, 4001, 53, 80,   443,   21, 1723, 1023,
                               1024, 0,    69, 5000, 65535, 68, 4002, 40000};

template <class T, size_t N>
constexpr T pick(const T (&table)[N], uint8_t byte) {
  return table[byte % N];
}

constexpr uint64_t kIdle[] = {
    300 * kSecond,  1 * kSecond, 60 * kSecond,           240 * kSecond, 10 * kMs,
    7440 * kSecond, 1,           1'000'000'000 * kSecond};

bool bit(uint8_t byte, int number) { return (byte >> number & 1) != 0; }

/// One behaviour for all protocols, and perhaps another for one of them.
void choose(Behaviour (&to)[kPortSpaces], uint8_t common, uint8_t other) {
  for (Behaviour& b : to) b = static_cast<Behaviour>(common % 3);
  if (other != 0) to[other / 3 % (kPortSpaces - 1)] = static_cast<Behaviour>(other % 3);
}

/// The policy whose bytes begin at `b`. A small byte is an ordinary policy.
Policy policyOf(const uint8_t* b) {
  Policy p;
  choose(p.mapping, b[0], b[2]);
  choose(p.filtering, b[1], b[3]);
  p.randomPorts = !bit(b[4], 0);
  p.preservePorts = bit(b[4], 1);
  p.parity = !bit(b[4], 2);
  p.overloading = bit(b[4], 3);
  p.contiguity = bit(b[4], 4);
  p.tcpLiberal = bit(b[4], 5);
  p.pooling = pick<Pooling>({Pooling::Paired, Pooling::Arbitrary, Pooling::SoftPaired}, b[5]);
  p.hairpinning = !bit(b[6], 0);
  p.inboundRefresh = bit(b[6], 3);
  p.tcpPickup = !bit(b[6], 4);
  p.sessionLimit = pick<uint32_t>({0, 0, 2, 5, 1}, b[7]);
  p.sessionRate = pick<uint32_t>({0, 0, 0, 1, 20}, b[8]);
  const uint32_t ports = pick<uint32_t>({0, 0, 0, 1, 3}, b[9]);
  p.portLimits[b[9] / 5 % 4] = ports;
  return p;
}

void timeoutsOf(Profile& profile, const uint8_t* b) {
  for (uint32_t i = 0; i < kTimeouts; i++) profile.timeouts[i] = pick(kIdle, b[i]);
}

}  // namespace

// The header's bytes: 0 how the input is run (world.cpp), 1 the seed and the time it starts at,
// 2-11 the first policy, 12-25 its idle times, 26-35 the second policy, 36-63 the rest.
Config configOf(const Header& h) {
  Config c;
  c.policies = {policyOf(&h.byte[2])};
  c.profiles = {Profile{}};
  timeoutsOf(c.profiles[0], &h.byte[12]);
  const uint8_t shape = h[36];
  if (bit(shape, 0)) {
    c.policies.push_back(policyOf(&h.byte[26]));
    c.profiles.push_back(c.profiles[0]);
    c.profiles[1].policy = 1;
    std::reverse(c.profiles[1].timeouts, c.profiles[1].timeouts + kTimeouts);
  }
  const auto rule = [&](uint8_t policy, uint8_t protocol, Timeout timeout, uint16_t low,
                        uint16_t high) {
    if (policy >= c.policies.size()) return;
    Profile profile = c.profiles[policy];
    profile.timeouts[static_cast<uint32_t>(timeout)] = pick(kIdle, h[37]);
    c.portTimeouts.push_back(
        {policy, protocol, low, high, static_cast<uint8_t>(c.profiles.size())});
    c.profiles.push_back(profile);
  };
  if (bit(shape, 1)) rule(0, kUdp, Timeout::Udp, 53, 53);
  if (bit(shape, 2)) rule(0, kTcp, Timeout::TcpEstablished, 1, 1023);
  if (bit(shape, 3)) rule(1, kUdp, Timeout::Udp, 0, 65535);

  c.decrementTtl = !bit(h[38], 0);
  c.icmpErrors = bit(h[38], 1);
  c.verifyHeaderChecksum = !bit(h[38], 2);
  c.passUnmatched = bit(h[38], 3);
  c.evict = bit(h[38], 4);
  c.ftp = bit(h[38], 5);
  c.pptp = bit(h[38], 6);
  constexpr uint8_t kTransports[] = {kUdpLite, kDccp, kSctp, kGre, kEsp};
  for (int i = 0; i < 5; i++) {
    if (bit(h[39], i)) c.protocols.add(kTransports[i]);
  }
  for (int i = 0; i < 256 && bit(h[39], 5); i++) {
    const auto protocol = static_cast<uint8_t>(i);  // as config_reader.cpp takes "other"
    const bool named = hasPorts(protocol) || protocol == kGre || protocol == kEsp;
    if (!named && protocol != kIgmp && protocol != kAh) c.protocols.add(protocol);
  }
  c.fragmentTimeout = pick(kIdle, h[40]);
  c.fragmentLimit = pick<uint32_t>({16, 1, 4}, h[41]);
  c.sessionLimit = pick<uint32_t>({200, 3, 8, 32, 1}, h[42]);
  c.sessionRate = pick<uint32_t>({0, 0, 0, 2, 1000}, h[43]);
  c.icmpErrorRate = pick<uint32_t>({1000, 0, 1}, h[44]);
  c.insideMtu = pick<uint32_t>({0, 0, 68, 100, 69, 576}, h[45]);
  c.outsideMtu = pick<uint32_t>({0, 0, 68, 100, 69, 576}, h[46]);
  c.clampMss = bit(h[38], 7);
  c.holdDown = pick<uint64_t>({0, 120 * kSecond, kSecond}, h[47]);
  c.holdDownPorts = pick<uint32_t>({8192, 3, 0}, h[47] / 3);
  c.blocksPerHost = pick<uint32_t>({0, 0, 1, 2}, h[48]);
  c.blockHold = pick<uint64_t>({0, 0, 60 * kSecond, 1}, h[49]);

  const uint16_t low = pick<uint16_t>({5000, 1016, 65500, 1, 4000, 5001}, h[50]);
  // Ports rest only where there are a thousand or more.
  const uint32_t width = h[51] >= 240 ? 1040 + h[51] % 8 : h[51] % 40;
  const auto high = static_cast<uint16_t>(std::min(65535u, low + width));
  const uint32_t addresses = 1 + h[52] % 3;
  for (uint32_t i = 0; i < addresses; i++) c.outside.push_back({kPublic[i], low, high});
  // The range of one address may differ.
  if ((h[52] & 128) != 0) c.outside.back().high = low;
  const uint32_t least = c.outside.back().high - low + 1u;
  c.blockSize = std::min(least, pick<uint32_t>({0, 0, 4, 1, 8, 3}, h[53]));

  // Forwards at an own address, at addresses of the pool, and within its range.
  const Forward forwards[] = {
      {kTcp, kPublic[3], 80, kInside[0], 80},     {kUdp, kPublic[0], low, kInside[1], 4000},
      {kTcp, kPublic[0], high, kInside[0], 4001}, {kUdp, kPublic[3], 53, kInside[4], 53},
      {kTcp, kPublic[1], 443, kInside[0], 80},    {kUdp, kPublic[0], 0xffff, kInside[1], 4000},
      {kTcp, kPublic[3], 21, kInside[2], 21},     {kSctp, kPublic[0], 80, kInside[2], 80}};
  for (int i = 0; i < 8; i++) {
    if (bit(h[54], i) && c.protocols.has(forwards[i].protocol)) c.forwards.push_back(forwards[i]);
  }
  if (bit(h[55], 0)) c.statics.push_back({kPublic[4], kInside[4]});
  if (bit(h[55], 1)) c.statics.push_back({kPublic[5], kInside[0]});
  const auto exempt = [&](uint32_t address, uint8_t protocol, uint16_t from, uint16_t to) {
    c.exemptions.push_back({swap32(address), 0xffffffff, protocol, from, to});
  };
  if (bit(h[56], 0)) exempt(kRemote[0], 0, 0, 65535);
  if (bit(h[56], 1)) exempt(kRemote[1], kUdp, 1, 1023);
  if (bit(h[56], 2)) exempt(kRemote[2], kIcmp, 0, 65535);

  // The second policy's hosts come first. Deterministic NAT counts hosts: of few ports, few.
  const bool deterministic = h[57] % 4 == 3 && low >= 1024 && width >= 8 && (h[52] & 128) == 0;
  const uint32_t mask = deterministic ? 0xfffffff8 : 0xffffff00;
  if (c.policies.size() > 1) c.inside.push_back({0xc0a8e202, 0xfffffffe, 1});
  c.inside.push_back({0xc0a8e200, mask, 0});
  if (bit(h[58], 0) && !deterministic) c.inside.push_back({0x0a010000, 0xffff0000, 0});
  if (bit(h[58], 1) && !deterministic) c.inside.push_back({0xc0a80000, 0xffff0000, 0});
  if (bit(h[58], 2)) c.expiringBefore = 60 * kSecond;
  if (deterministic) {
    const uint32_t dynamic = h[57] / 4 % 3;
    c.deterministic.hostsPerAddress = (6 + addresses - 1) / addresses;
    c.deterministic.portsPerHost = least / (c.deterministic.hostsPerAddress + dynamic);
    c.deterministic.hosts = {{0xc0a8e201, 6}};
    const uint32_t fixed = c.deterministic.portsPerHost * c.deterministic.hostsPerAddress;
    if (dynamic != 0) c.blockSize = std::min(c.blockSize, least - fixed);
    std::erase_if(c.forwards, [](const Forward& f) { return f.outside == kPublic[0]; });
  }
  for (Policy& p : c.policies) {
    if (c.blockSize != 0 || deterministic) p.overloading = false;
    if (deterministic) p.pooling = Pooling::Paired;
  }
  return c;
}

uint32_t addressOf(uint8_t byte, Group group) {
  switch (byte >> 5) {
    case 5:
      group = static_cast<Group>((static_cast<uint8_t>(group) + 1) % 3);
      break;
    case 6:
      group = static_cast<Group>((static_cast<uint8_t>(group) + 2) % 3);
      break;
    case 7:
      return pick(kOdd, byte);
    default:
      break;
  }
  return group == Group::Inside   ? pick(kInside, byte)
         : group == Group::Remote ? pick(kRemote, byte)
                                  : pick(kPublic, byte);
}

uint16_t portOf(uint8_t byte) {
  return byte < 224 ? pick(kPorts, byte) : static_cast<uint16_t>(5000 + byte % 32);
}

bool isInside(const Config& config, uint32_t address) {
  for (const Prefix& p : config.inside) {
    if ((swap32(address) & p.mask) == p.network) return true;
  }
  return false;
}

bool isOwn(const Config& config, uint32_t address) {
  for (const PoolAddress& a : config.outside) {
    if (a.address == address) return true;
  }
  for (const Forward& f : config.forwards) {
    if (f.outside == address) return true;
  }
  for (const StaticMapping& s : config.statics) {
    if (s.outside == address) return true;
  }
  return false;
}

}  // namespace napt::fuzz
