// Two translators that own halves of one public address, and what goes between them.
#include "test/support.h"

using namespace napt;
using namespace napt::test;

namespace {

constexpr uint16_t kFirst = 32768;  // of the second one's ports
constexpr uint32_t kStatic = ip(203, 0, 113, 65);
constexpr End kServer{ip(192, 168, 226, 136), 80};

Config half(uint32_t number) {
  Config c = config();
  setAll(c.policies[0].filtering, Behaviour::EndpointIndependent);
  c.shard = number;
  c.shards = 2;
  if (number == 0) {
    c.outside = {{kPublic, 1024, kFirst - 1}};
    c.siblings = {{0, kPublic, kFirst, 65535}};
  } else {
    c.outside = {{kPublic, kFirst, 65535}};
    c.siblings = {{0, kPublic, 0, kFirst - 1}};
  }
  return c;
}

Result handOn(Translator& nat, Bytes& packet, uint64_t now = 0) {
  const auto size = static_cast<uint32_t>(packet.size());
  return nat.translate({packet.data(), size, size, false, false, true}, 1, now);
}

/// Through both halves; what the second one says.
Result across(Translator& from, Translator& to, Bytes& packet) {
  const Result first = run(from, packet);
  REQUIRE(first.verdict == Verdict::Punted);
  REQUIRE(first.direction == Direction::Hairpin);
  return handOn(to, packet);
}

uint64_t dropped(const Stats& stats) {
  uint64_t sum = 0;
  for (const uint64_t n : stats.drops) sum += n;
  return sum;
}

struct Pair {
  std::unique_ptr<Translator> a, b;
  explicit Pair(const Config& first = half(0), const Config& second = half(1))
      : a(make(first)), b(make(second)) {}
  ~Pair() {
    const Stats &s = a->stats, &t = b->stats;
    CHECK(s.packetsIn + t.packetsIn ==
          s.packetsOut + t.packetsOut + dropped(s) + dropped(t) + s.packetsHeld + t.packetsHeld);
  }
};

}  // namespace

TEST_CASE("a packet to a sibling's endpoint is done in two halves") {
  Pair nats;
  const End source = mapped(*nats.a, kInside), target = mapped(*nats.b, kNeighbour);
  CHECK(source.port < kFirst);
  CHECK(target.port >= kFirst);
  Bytes packet = udp(kInside, target);
  Result result = run(*nats.a, packet);
  CHECK(result.verdict == Verdict::Punted);
  CHECK(result.direction == Direction::Hairpin);
  CHECK(result.session != 0);
  CHECK(sourceOf(packet) == source);
  CHECK(destinationOf(packet) == target);
  CHECK(packet[kIpTtl] == 63);
  CHECK(isSound(packet));

  SUBCASE("only the flag lets an own address be a source") {
    const Bytes before = packet;
    result = run(*nats.b, packet);
    CHECK(result.reason == Reason::InvalidSource);
    CHECK(packet == before);
  }
  result = handOn(*nats.b, packet);
  CHECK(result.verdict == Verdict::Forwarded);
  CHECK(result.direction == Direction::Hairpin);
  CHECK(sourceOf(packet) == source);
  CHECK(destinationOf(packet) == kNeighbour);
  CHECK(packet[kIpTtl] == 63);
  CHECK(isSound(packet));

  Bytes reply = udp(kNeighbour, source);
  CHECK(across(*nats.b, *nats.a, reply).verdict == Verdict::Forwarded);
  CHECK(sourceOf(reply) == target);
  CHECK(destinationOf(reply) == kInside);
  CHECK(nats.a->stats.byDirection[3] == 1);
  CHECK(nats.b->stats.byDirection[3] == 1);
}

TEST_CASE("a handed-on packet has to come from an own address, and to go to one") {
  Pair nats;
  const End target = mapped(*nats.b, kNeighbour);
  for (const auto& [from, to] :
       {std::pair(kRemote, target), std::pair(kInside, target),
        std::pair(End{kPublic, 5000}, kNeighbour), std::pair(End{kPublic, 5000}, kRemote)}) {
    Bytes packet = udp(from, to);
    const Bytes before = packet;
    const Result result = handOn(*nats.b, packet);
    CHECK(result.reason == Reason::InvalidSource);
    CHECK(packet == before);
    nats.b->stats.packetsIn++;  // nobody has counted it
  }
}

TEST_CASE("what lies in one's own part is hairpinned at once") {
  Pair nats;
  const End target = mapped(*nats.a, kNeighbour);
  Bytes packet = udp(kInside, target);
  CHECK(run(*nats.a, packet).verdict == Verdict::Forwarded);
  CHECK(destinationOf(packet) == kNeighbour);
}

TEST_CASE("the sibling filters as if from outside") {
  Config second = half(1);
  setAll(second.policies[0].filtering, Behaviour::AddressAndPortDependent);
  Pair nats(half(0), second);
  const End source = mapped(*nats.a, kInside), target = mapped(*nats.b, kNeighbour);
  Bytes packet = udp(kInside, target);
  const Result refused = across(*nats.a, *nats.b, packet);
  CHECK(refused.reason == Reason::Filtered);
  CHECK(refused.direction == Direction::Hairpin);
  Bytes opening = udp(kNeighbour, source);
  CHECK(across(*nats.b, *nats.a, opening).verdict == Verdict::Forwarded);
  packet = udp(kInside, target);
  CHECK(across(*nats.a, *nats.b, packet).verdict == Verdict::Forwarded);
}

TEST_CASE("hairpinning that is off is off towards siblings") {
  Config first = half(0);
  first.policies[0].hairpinning = false;
  Pair nats(first);
  Bytes packet = udp(kInside, mapped(*nats.b, kNeighbour));
  CHECK(run(*nats.a, packet).reason == Reason::HairpinningOff);
}

TEST_CASE("forwards are their owner's, whoever has the ports around them") {
  Config first = half(0), second = half(1);
  const uint16_t here = 2000, there = 40'000;
  second.forwards = {{kTcp, kPublic, here, kServer.address, kServer.port}};
  first.siblings.push_back({kTcp, kPublic, here, here});
  first.forwards = {{kTcp, kPublic, there, ip(192, 168, 226, 140), 80}};
  second.siblings.push_back({kTcp, kPublic, there, there});
  Pair nats(first, second);
  Bytes packet = tcp(kInside, {kPublic, here}, kSyn);
  CHECK(across(*nats.a, *nats.b, packet).verdict == Verdict::Forwarded);
  CHECK(destinationOf(packet) == kServer);
  packet = tcp(kInside, {kPublic, there}, kSyn);
  CHECK(run(*nats.a, packet).verdict == Verdict::Forwarded);
  packet = tcp(kNeighbour, {kPublic, there}, kSyn);
  CHECK(across(*nats.b, *nats.a, packet).verdict == Verdict::Forwarded);
  packet = udp(kInside, {kPublic, here});  // only TCP's
  CHECK(run(*nats.a, packet).reason == Reason::NoMapping);
}

TEST_CASE("a sibling's forward is never given out") {
  Config first = half(0);
  first.outside = {{kPublic, 2000, 2003}};
  first.siblings = {
      {0, kPublic, 2004, 65535}, {kUdp, kPublic, 2000, 2000}, {kTcp, kPublic, 2001, 2001}};
  const auto nat = make(first);
  std::vector<uint16_t> ports;
  for (uint16_t port = 1; port < 6; port++) {
    const End e = mapped(*nat, {kInside.address, port});
    if (e.port != 0) ports.push_back(e.port);
  }
  std::sort(ports.begin(), ports.end());
  CHECK(ports == std::vector<uint16_t>{2001, 2002, 2003});
}

TEST_CASE("an address of a sibling's host is that sibling's for every protocol") {
  Config first = half(0), second = half(1);
  second.statics = {{kStatic, kServer.address}};
  first.siblings.push_back({0, kStatic, 0, 65535});
  first.protocols.add(kGre);
  second.protocols.add(kGre);
  Pair nats(first, second);
  Bytes ask = echo(kInside.address, kStatic, 9);
  CHECK(across(*nats.a, *nats.b, ask).verdict == Verdict::Forwarded);
  CHECK(load<uint32_t>(&ask[kIpDestination]) == kServer.address);
  Bytes answer = echo(kServer.address, kPublic, load16be(&ask[24]), true);
  CHECK(across(*nats.b, *nats.a, answer).verdict == Verdict::Forwarded);
  CHECK(load16be(&answer[24]) == 9);
  CHECK(load<uint32_t>(&answer[kIpDestination]) == kInside.address);
  Bytes gre = ipv4(kGre, kInside.address, kStatic, Bytes(12, 0));
  CHECK(across(*nats.a, *nats.b, gre).verdict == Verdict::Forwarded);
  // Of the pool's addresses both halves are one translator's.
  gre = ipv4(kGre, kInside.address, kPublic, Bytes(12, 0));
  CHECK(run(*nats.a, gre).verdict != Verdict::Punted);
}

TEST_CASE("an ICMP error goes back the way that its packet came") {
  Pair nats;
  mapped(*nats.a, kInside);
  const End target = mapped(*nats.b, kNeighbour);
  const Bytes original = fragmentable(udp(kInside, target), 7);
  Bytes packet = original;
  CHECK(across(*nats.a, *nats.b, packet).verdict == Verdict::Forwarded);
  Bytes error = icmpError(kNeighbour.address, kPublic, kUnreachable, 3, packet);
  CHECK(across(*nats.b, *nats.a, error).verdict == Verdict::Forwarded);
  CHECK(isSound(error));
  CHECK(error[kIpTtl] == 63);
  CHECK(load<uint32_t>(&error[kIpDestination]) == kInside.address);
  const Bytes quoted(error.begin() + 28, error.end());
  CHECK(sourceOf(quoted) == kInside);
  CHECK(destinationOf(quoted) == target);
  CHECK(load16be(&quoted[kIpId]) == 7);
}

TEST_CASE("fragments go on to the sibling after their first one") {
  Pair nats;
  const End source = mapped(*nats.a, kInside), target = mapped(*nats.b, kNeighbour);
  const auto pieces = split(fragmentable(udp(kInside, target, 56), 9), {16, 24, 24});
  Bytes third = pieces[2], first = pieces[0], second = pieces[1];
  CHECK(run(*nats.a, third, 0, 3).verdict == Verdict::Held);
  CHECK(run(*nats.a, first, 0, 1).verdict == Verdict::Punted);
  CHECK(run(*nats.a, second, 0, 2).verdict == Verdict::Punted);
  CHECK(nats.a->stats.packetsOut == 1);  // that of `mapped`
  std::vector<Bytes> released;
  nats.a->take([&](const StoredPacket& stored, const uint8_t* bytes) {
    CHECK(stored.toSibling);
    CHECK(stored.tag == 3);
    released.emplace_back(bytes, bytes + stored.length);
  });
  REQUIRE(released.size() == 1);
  CHECK(handOn(*nats.b, second).verdict == Verdict::Held);  // out of order in between
  CHECK(handOn(*nats.b, first).verdict == Verdict::Forwarded);
  CHECK(handOn(*nats.b, released[0]).verdict == Verdict::Forwarded);
  nats.b->take([&](const StoredPacket& stored, const uint8_t* bytes) {
    CHECK(stored.toInside);
    CHECK(!stored.toSibling);
    second.assign(bytes, bytes + stored.length);
  });
  for (const Bytes& piece : {first, second, released[0]}) {
    CHECK(load<uint32_t>(&piece[kIpSource]) == source.address);
    CHECK(load<uint32_t>(&piece[kIpDestination]) == kNeighbour.address);
    CHECK(load16be(&piece[kIpId]) == load16be(&first[kIpId]));
    CHECK(piece[kIpTtl] == 63);
    CHECK(slowSum(piece.data(), kIpHeader) == 0xffff);
  }
}

TEST_CASE("in a batch, too, the flag decides") {
  Pair nats;
  const End source = mapped(*nats.a, kInside), target = mapped(*nats.b, kNeighbour);
  // b has a session with a's endpoint, so that the fast path could know it.
  Bytes opening = udp(kNeighbour, source);
  CHECK(across(*nats.b, *nats.a, opening).verdict == Verdict::Forwarded);
  const Bytes flagged = udp(source, target);
  std::vector<uint8_t> bytes;
  Descriptor descriptors[3] = {};
  for (uint32_t i = 0; i < 3; i++) {
    descriptors[i].offset = static_cast<uint32_t>(bytes.size());
    descriptors[i].length = static_cast<uint32_t>(flagged.size());
    const Bytes packet = i == 2 ? udp(kRemote, target) : flagged;
    bytes.insert(bytes.end(), packet.begin(), packet.end());
  }
  descriptors[0].flags = descriptors[2].flags = kHairpinnedPacket;
  const uint64_t in = nats.b->stats.packetsIn;
  nats.b->translateBatch(descriptors, 3, bytes.data(), bytes.size(), 0);
  CHECK((descriptors[0].verdict & 0xff) == static_cast<uint32_t>(Verdict::Forwarded));
  CHECK((descriptors[0].verdict >> 8 & 0xff) == static_cast<uint32_t>(Direction::Hairpin));
  CHECK(bytes[kIpTtl] == 64);
  CHECK((descriptors[1].verdict >> 16) == static_cast<uint32_t>(Reason::InvalidSource));
  // A known remote's packet is not to be taken for one that was handed on.
  CHECK((descriptors[2].verdict >> 16) == static_cast<uint32_t>(Reason::InvalidSource));
  CHECK(nats.b->stats.packetsIn == in + 1);
  nats.b->stats.packetsIn += 2;  // nobody has counted the others
}

TEST_CASE("shards give different identifications to datagrams that may be fragmented") {
  Pair nats;
  for (uint16_t id = 1; id < 50; id++) {
    Bytes one = fragmentable(udp(kInside, kRemote), id);
    Bytes two = fragmentable(udp(kNeighbour, kRemote), id);
    CHECK(run(*nats.a, one).verdict == Verdict::Forwarded);
    CHECK(run(*nats.b, two).verdict == Verdict::Forwarded);
    CHECK(load16be(&one[kIpId]) % 2 == 0);
    CHECK(load16be(&two[kIpId]) % 2 == 1);
    if (id % 2 == 0) CHECK(load16be(&one[kIpId]) == id);
    CHECK(isSound(one));
  }
}
