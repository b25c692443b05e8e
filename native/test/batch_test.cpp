// The fast path only does sooner what the slow path would do: each flow that it knows, with each
// thing that makes a packet unusual, in a batch and singly.
#include "nat/dccp.h"
#include "test/support.h"

using namespace napt;
using namespace napt::test;

namespace {

constexpr uint32_t kOneToOne = ip(203, 0, 113, 9), kMapped = ip(192, 168, 226, 200);
constexpr End kOther{ip(198, 51, 100, 8), 53};
constexpr uint32_t kSlot = 256;

/// Two translators, one for batches.
class Pair {
 public:
  explicit Pair(const Config& c) : single_(make(c)), batched_(make(c)), memory_(64 * kSlot) {
    for (const auto& nat : {single_.get(), batched_.get()}) nat->record(~0u);
  }

  /// Translates packets both ways and compares all there is to compare. Returns what became of the
  /// first.
  Result run(std::vector<Bytes> packets, uint64_t now, uint32_t flags = 0, uint32_t wire = 0,
             uint32_t delay = 0) {
    std::vector<Descriptor> descriptors;
    for (uint32_t i = 0; i < packets.size(); i++) {
      std::copy(packets[i].begin(), packets[i].end(), memory_.begin() + i * kSlot);
      descriptors.push_back({i * kSlot, static_cast<uint32_t>(packets[i].size()), wire, flags, 0, 0,
                             i + 1, i * delay});
    }
    batched_->translateBatch(descriptors.data(), static_cast<uint32_t>(packets.size()),
                             memory_.data(), memory_.size(), now);
    Result first;
    for (uint32_t i = 0; i < packets.size(); i++) {
      const auto size = static_cast<uint32_t>(packets[i].size());
      const Result result =
          single_->translateSlowly({packets[i].data(), size, std::max(size, wire),
                                    (flags & kPartialChecksum) != 0, (flags & kFromOutside) != 0},
                                   i + 1, now + i * delay);
      if (i == 0) first = result;
      REQUIRE(descriptors[i].verdict == result.packed());
      REQUIRE(descriptors[i].session == result.session);
      REQUIRE(std::equal(packets[i].begin(), packets[i].end(), memory_.begin() + i * kSlot));
    }
    std::vector<Bytes> out[2];
    for (int i = 0; i < 2; i++) {
      (i == 0 ? single_ : batched_)->take([&](const StoredPacket& p, const uint8_t* bytes) {
        out[i].emplace_back(bytes, bytes + p.length);
      });
    }
    REQUIRE(out[0] == out[1]);
    std::vector<Event> events[2];
    for (int i = 0; i < 2; i++) {
      (i == 0 ? single_ : batched_)->events().take(~0u, [&](const Event& e) {
        events[i].push_back(e);
      });
    }
    REQUIRE(events[0] == events[1]);
    REQUIRE(std::memcmp(&single_->stats, &batched_->stats, sizeof(Stats)) == 0);
    for (uint32_t slot = 0; slot < single_->sessions().used(); slot++) {
      REQUIRE(std::memcmp(&single_->sessions()[slot], &batched_->sessions()[slot],
                          sizeof(Session)) == 0);
    }
    return first;
  }
  Result run(const Bytes& packet, uint64_t now) { return run(std::vector<Bytes>{packet}, now); }
  Translator& single() { return *single_; }

 private:
  std::unique_ptr<Translator> single_, batched_;
  Bytes memory_;
};

Config rich() {
  Config c = config();
  c.protocols.add(kUdpLite);
  c.forwards = {{kTcp, kPublic, 80, kInside.address, 8080},
                {kUdp, kPublic, 90, kInside.address, 90}};
  c.statics = {{kOneToOne, kMapped}};
  return c;
}

/// What is established on both translators, a packet of each flow and direction.
std::vector<Bytes> establish(Pair& pair, const Config& c) {
  // The seed is the same for all, so another translator tells the ports.
  auto probe = make(c);
  const End udpOut = mapped(*probe, kInside);
  Bytes syn = tcp(kInside, kRemote, kSyn, 100), query = echo(kInside.address, kRemote.address, 77);
  const Bytes synSent = syn, querySent = query;
  REQUIRE(run(*probe, syn).verdict == Verdict::Forwarded);
  REQUIRE(run(*probe, query).verdict == Verdict::Forwarded);
  const End tcpOut = sourceOf(syn);
  const uint16_t id = load16be(&query[24]);
  const End fromForward{kPublic, 80};
  const std::vector<Bytes> first{
      udp(kInside, kRemote),
      synSent,
      querySent,
      tcp(kRemote, tcpOut, kSyn | kAck, 500, 101),
      tcp(kInside, kRemote, kAck, 101, 501),
      tcp(kOther, fromForward, kSyn, 500),
      tcp({kInside.address, 8080}, kOther, kSyn | kAck, 100, 501),
      tcp(kOther, fromForward, kAck, 501, 101),
      udp(kOther, {kPublic, 90}),
      udp({kMapped, 5}, kRemote),
      echo(kRemote.address, kOneToOne, 9),
      udp(kInside, kOther),
  };
  for (const Bytes& packet : first) REQUIRE(pair.run(packet, 0).verdict == Verdict::Forwarded);
  return {udp(kInside, kRemote),
          udp(kRemote, udpOut),
          udp(kOther, udpOut),
          tcp(kInside, kRemote, kAck, 101, 501, 20),
          tcp(kRemote, tcpOut, kAck, 501, 101, 20),
          echo(kInside.address, kRemote.address, 77),
          echo(kRemote.address, kPublic, id, true),
          tcp(kOther, fromForward, kAck, 501, 101, 4),
          tcp({kInside.address, 8080}, kOther, kAck, 101, 501),
          udp({kMapped, 5}, kRemote),
          udp(kRemote, {kOneToOne, 5}),
          echo(kRemote.address, kOneToOne, 9),
          echo(kMapped, kRemote.address, 9, true),
          udp(kOther, {kPublic, 90})};
}

/// Things that make a packet one for the slow path, or wrong.
const std::vector<std::pair<const char*, void (*)(Bytes&)>> kOddities{
    {"nothing", [](Bytes&) {}},
    {"TTL 1",
     [](Bytes& p) {
       p[kIpTtl] = 1;
       sealHeader(p);
     }},
    {"TTL 0",
     [](Bytes& p) {
       p[kIpTtl] = 0;
       sealHeader(p);
     }},
    {"TTL 2",
     [](Bytes& p) {
       p[kIpTtl] = 2;
       sealHeader(p);
     }},
    {"a first fragment",
     [](Bytes& p) {
       store16be(&p[kIpFragment], 0x2000);
       sealHeader(p);
     }},
    {"a later fragment",
     [](Bytes& p) {
       store16be(&p[kIpFragment], 3);
       sealHeader(p);
     }},
    {"options",
     [](Bytes& p) {
       p.insert(p.begin() + kIpHeader, 4, 1);
       p[0] = 0x46;
       store16be(&p[kIpTotal], static_cast<uint16_t>(p.size()));
       sealHeader(p);
     }},
    {"version 6",
     [](Bytes& p) {
       p[0] = 0x65;
       sealHeader(p);
     }},
    {"a wrong header checksum", [](Bytes& p) { p[kIpChecksum] ^= 0x40; }},
    {"a wrong transport checksum", [](Bytes& p) { p[p.size() - 1] ^= 0x40; }},
    {"padding", [](Bytes& p) { p.resize(p.size() + 6, 0xee); }},
    {"a total longer than the frame",
     [](Bytes& p) {
       store16be(&p[kIpTotal], static_cast<uint16_t>(p.size() + 4));
       sealHeader(p);
     }},
    {"a total of 0",
     [](Bytes& p) {
       store16be(&p[kIpTotal], 0);
       sealHeader(p);
     }},
    {"half a transport header",
     [](Bytes& p) {
       store16be(&p[kIpTotal], 26);
       sealHeader(p);
     }},
    {"UDP's header at most",
     [](Bytes& p) {
       store16be(&p[kIpTotal], 30);
       sealHeader(p);
     }},
    {"cut in its transport header", [](Bytes& p) { p.resize(26); }},
    {"cut in its addresses", [](Bytes& p) { p.resize(18); }},
    {"DF clear",
     [](Bytes& p) {
       store16be(&p[kIpFragment], 0);
       sealHeader(p);
     }},
    {"the evil bit",
     [](Bytes& p) {
       store16be(&p[kIpFragment], 0x8000);
       sealHeader(p);
     }},
    {"UDP without a checksum",
     [](Bytes& p) {
       if (p[kIpProtocol] == kUdp) store16be(&p[26], 0);
     }},
    {"another protocol",
     [](Bytes& p) {
       p[kIpProtocol] = kUdpLite;
       sealHeader(p);
     }},
    {"a protocol that is not carried",
     [](Bytes& p) {
       p[kIpProtocol] = kDccp;
       sealHeader(p);
     }},
    {"TCP's data offset too small",
     [](Bytes& p) {
       if (p[9] == kTcp) p[32] = 0x40;
     }},
    {"TCP's data offset too large",
     [](Bytes& p) {
       if (p[9] == kTcp) p[32] = 0xf0;
     }},
    {"a SYN with options",
     [](Bytes& p) {
       if (p[9] == kTcp) {
         p.insert(p.begin() + 40, {1, 2, 4, 0x05, 0xb4, 0, 0, 0});
         p[32] = 0x70;
         p[33] = static_cast<uint8_t>(p[33] & kAck) | kSyn;
         store16be(&p[kIpTotal], static_cast<uint16_t>(p.size()));
         seal(p);
       }
     }},
    {"a FIN",
     [](Bytes& p) {
       if (p[9] == kTcp) {
         p[33] |= kFin;
         seal(p);
       }
     }},
    {"a SYN",
     [](Bytes& p) {
       if (p[9] == kTcp) {
         p[33] = kSyn;
         seal(p);
       }
     }},
    {"a RST",
     [](Bytes& p) {
       if (p[9] == kTcp) {
         p[33] |= kRst;
         seal(p);
       }
     }},
    {"no ACK",
     [](Bytes& p) {
       if (p[9] == kTcp) {
         p[33] = 0;
         seal(p);
       }
     }},
    {"a far sequence number",
     [](Bytes& p) {
       if (p[9] == kTcp) {
         p[24] ^= 0x20;
         seal(p);
       }
     }},
    {"a reply for a query",
     [](Bytes& p) {
       if (p[9] == kIcmp) {
         p[20] ^= 8;
         seal(p);
       }
     }},
    {"an ICMP error",
     [](Bytes& p) {
       if (p[9] == kIcmp) {
         p[20] = kUnreachable;
         seal(p);
       }
     }},
    {"a redirect",
     [](Bytes& p) {
       if (p[9] == kIcmp) {
         p[20] = 5;
         seal(p);
       }
     }},
    {"another port",
     [](Bytes& p) {
       p[21] ^= 1;
       seal(p);
     }},
    {"another remote port",
     [](Bytes& p) {
       p[23] ^= 1;
       seal(p);
     }},
    {"an own source",
     [](Bytes& p) {
       store(&p[kIpSource], kPublic);
       seal(p);
     }},
    {"another source",
     [](Bytes& p) {
       p[15] ^= 1;
       seal(p);
     }},
    {"another destination",
     [](Bytes& p) {
       p[19] ^= 1;
       seal(p);
     }},
    {"a public destination of another kind",
     [](Bytes& p) {
       store(&p[kIpDestination], kOneToOne);
       seal(p);
     }},
};

}  // namespace

TEST_CASE("batch: every flow with every oddity, as single packets") {
  for (const bool refresh : {false, true}) {
    Config c = rich();
    c.policies[0].inboundRefresh = refresh;
    c.icmpErrors = refresh;
    c.decrementTtl = !refresh;
    c.verifyHeaderChecksum = !refresh;
    c.outsideMtu = refresh ? 1000 : 0;
    c.clampMss = refresh;
    for (const auto& oddity : kOddities) {
      CAPTURE(std::string(oddity.first));
      Pair pair(c);
      for (Bytes packet : establish(pair, c)) {
        oddity.second(packet);
        pair.run({packet, packet}, kSecond);
      }
    }
  }
}

TEST_CASE("batch: sessions end to the nanosecond, however they are refreshed") {
  for (const bool refresh : {false, true}) {
    Config c = rich();
    c.policies[0].inboundRefresh = refresh;
    const uint64_t times[] = {59 * kSecond,      60 * kSecond,  119 * kSecond,
                              120 * kSecond - 1, 299 * kSecond, 300 * kSecond - 1,
                              300 * kSecond,     599 * kSecond, 7440 * kSecond - 1,
                              7440 * kSecond,    8000 * kSecond};
    Pair probe(c);
    const size_t flows = establish(probe, c).size();
    for (size_t flow = 0; flow < flows; flow++) {
      for (const uint64_t time : times) {
        Pair pair(c);
        const Bytes packet = establish(pair, c)[flow];
        pair.run(packet, time);
        pair.run(packet, time + 60 * kSecond);
        pair.run(packet, time + 300 * kSecond);
      }
    }
  }
}

TEST_CASE("batch: each packet has its own time") {
  Config c = rich();
  Pair pair(c);
  const std::vector<Bytes> flows = establish(pair, c);
  // The session is due between the first packet and the second.
  pair.run({flows[1], flows[1], flows[1]}, 300 * kSecond - 1, 0, 0, 1);
  CHECK(pair.single().stats.drops[static_cast<int>(Reason::NoMapping)] == 2);
}

TEST_CASE("batch: a binding's first session that comes due on the way ends all the same") {
  Config c = rich();
  Pair pair(c);
  const std::vector<Bytes> flows = establish(pair, c);
  pair.run(udp(kInside, kOther), 200 * kSecond);  // the other one goes on
  const Bytes& packet = flows[2];
  pair.run({packet, packet, packet}, 300 * kSecond - 1, 0, 0, 1);
  CHECK(pair.single().stats.sessionsExpired == 1);
  CHECK(pair.single().stats.drops[static_cast<int>(Reason::NoMapping)] == 0);
}

TEST_CASE("batch: partial checksums, cut captures") {
  Config c = rich();
  for (const uint32_t flags : {0u, static_cast<uint32_t>(kPartialChecksum)}) {
    for (const uint32_t wire : {0u, 200u}) {
      Pair pair(c);
      for (const Bytes& packet : establish(pair, c)) {
        pair.run({packet, packet}, kSecond, flags, wire);
        Bytes cut(packet.begin(), packet.begin() + 27);
        pair.run({cut}, kSecond, flags, wire);
      }
    }
  }
}

TEST_CASE("batch: UDP checksums that become 0, and those that are none") {
  Config c = rich();
  Pair pair(c);
  std::vector<Bytes> flows = establish(pair, c);
  for (const size_t flow : {size_t{0}, size_t{1}}) {
    // All checksums: among them the one that becomes 0.
    std::vector<Bytes> some;
    for (uint32_t sum = 0; sum < 65536; sum++) {
      some.push_back(flows[flow]);
      store16be(&some.back()[26], static_cast<uint16_t>(sum));
      if (some.size() == 64) {
        pair.run(some, kSecond);
        some.clear();
      }
    }
  }
}

TEST_CASE("batch: identifications of two hosts") {
  Config c = rich();
  Pair pair(c);
  establish(pair, c);
  REQUIRE(pair.run(udp(kNeighbour, kRemote), 0).verdict == Verdict::Forwarded);
  for (uint16_t id = 1; id < 20; id++) {
    pair.run({fragmentable(udp(kInside, kRemote), id), fragmentable(udp(kNeighbour, kRemote), id)},
             kSecond);
  }
}

TEST_CASE("batch: a remote of ours is believed only from inside") {
  Config c = rich();
  setAll(c.policies[0].filtering, Behaviour::EndpointIndependent);
  auto probe = make(c);
  const End theirs = mapped(*probe, kNeighbour);
  Bytes there = udp(kInside, theirs);
  REQUIRE(run(*probe, there).verdict == Verdict::Forwarded);
  Pair pair(c);
  REQUIRE(pair.run(udp(kNeighbour, kRemote), 0).verdict == Verdict::Forwarded);
  REQUIRE(pair.run(udp(kInside, theirs), 0).direction == Direction::Hairpin);
  REQUIRE(pair.run(udp(kNeighbour, sourceOf(there)), 0).direction == Direction::Hairpin);
  // What only looks like it, from outside.
  CHECK(pair.run(udp(theirs, sourceOf(there)), 0).reason == Reason::InvalidSource);
  CHECK(pair.run(udp(sourceOf(there), theirs), 0).reason == Reason::InvalidSource);
}

TEST_CASE("batch: an inside source that came in on the outside is spoofed") {
  Pair pair(rich());
  REQUIRE(pair.run(udp(kInside, kRemote), 0).verdict == Verdict::Forwarded);
  CHECK(pair.run({udp(kInside, kRemote)}, 0, kFromOutside).reason == Reason::InvalidSource);
}

TEST_CASE("batch: transports that the fast path does not know") {
  Config c = rich();
  c.protocols.add(kDccp);
  Pair pair(c);
  for (const uint8_t protocol : {kUdpLite, kDccp}) {
    Bytes body(24);
    store16be(&body[0], kInside.port);
    store16be(&body[2], kRemote.port);
    body[4] = protocol == kDccp ? 4 : 0;  // words of header; UDP-Lite covers all
    const Bytes packet = ipv4(protocol, kInside.address, kRemote.address, body);
    for (int i = 0; i < 3; i++) REQUIRE(pair.run(packet, 0).verdict == Verdict::Forwarded);
  }
  CHECK(pair.single().stats.byProtocol[3] == 6);
}

TEST_CASE("batch: options are not taken for ports") {
  Pair pair(rich());
  REQUIRE(pair.run(udp(kInside, kRemote), 0).verdict == Verdict::Forwarded);
  // Options that read like the ports of that flow; its own come behind them.
  Bytes packet = udp({kInside.address, 5000}, kRemote);
  const Bytes ports = udp(kInside, kRemote);
  packet.insert(packet.begin() + kIpHeader, ports.begin() + kIpHeader,
                ports.begin() + kIpHeader + 4);
  packet[0] = 0x46;
  store16be(&packet[kIpTotal], static_cast<uint16_t>(packet.size()));
  sealHeader(packet);
  pair.run(packet, 0);
  CHECK(pair.single().stats.sessionsActive == 2);
}

TEST_CASE("batch: the smaller MTU is the first to be asked, whichever side's it is") {
  for (const bool inside : {false, true}) {
    Config c = rich();
    c.insideMtu = inside ? 100 : 1500;
    c.outsideMtu = inside ? 1500 : 100;
    auto probe = make(c);
    const End outside = mapped(*probe, kInside);
    Pair pair(c);
    REQUIRE(pair.run(udp(kInside, kRemote), 0).verdict == Verdict::Forwarded);
    REQUIRE(pair.run(udp(kRemote, outside), 0).verdict == Verdict::Forwarded);
    const auto reason = [&](const Bytes& packet) { return pair.run(packet, 0).reason; };
    CHECK((reason(udp(kInside, kRemote, 100)) == Reason::TooBig) == !inside);
    CHECK((reason(udp(kRemote, outside, 100)) == Reason::TooBig) == inside);
  }
}

TEST_CASE("batch: a session answers at its own public endpoint only") {
  Config c = rich();
  c.forwards = {{kUdp, kPublic, 90, kInside.address, 90}, {kUdp, kPublic, 91, kInside.address, 90}};
  Pair pair(c);
  CHECK(pair.run(udp(kOther, {kPublic, 90}), 0).session != 0);
  CHECK(pair.run(udp(kOther, {kPublic, 90}), 0).session != 0);
  CHECK(pair.run(udp(kOther, {kPublic, 91}), 0).session == 0);
}

TEST_CASE("batch: descriptors that point outside, or change on the way, harm nobody") {
  auto nat = make(config());
  Bytes memory(128);
  const Bytes packet = udp(kInside, kRemote);
  std::copy(packet.begin(), packet.end(), memory.begin());
  const auto size = static_cast<uint32_t>(packet.size());
  Descriptor descriptors[] = {
      {0, size, 0, 0, 0, 0, 0, 0},      {128, 0, 0, 0, 0, 0, 0, 0},
      {129, 0, 0, 0, 0, 0, 0, 0},       {100, 29, 0, 0, 0, 0, 0, 0},
      {0, 129, 0, 0, 0, 0, 0, 0},       {0xffffff00, 0x200, 0, 0, 0, 0, 0, 0},
      {0, 0xffffffff, 0, 0, 0, 0, 0, 0}};
  nat->translateBatch(descriptors, 7, memory.data(), memory.size(), 0);
  CHECK((descriptors[0].verdict & 0xff) == static_cast<uint32_t>(Verdict::Forwarded));
  for (int i = 1; i < 7; i++) {
    CHECK((descriptors[i].verdict & 0xff) == static_cast<uint32_t>(Verdict::Dropped));
    CHECK((descriptors[i].verdict >> 16) == static_cast<uint32_t>(Reason::Malformed));
  }
}

TEST_CASE("batch: pays for the sweep as single packets do") {
  Config c = rich();
  Pair pair(c);
  for (int i = 0; i < 200; i++) {
    const End from{ip(192, 168, 226, 1), static_cast<uint16_t>(2000 + i)};
    REQUIRE(pair.run(udp(from, kRemote), 0).verdict == Verdict::Forwarded);
  }
  const std::vector<Bytes> again(40, udp({ip(192, 168, 226, 2), 2000}, kRemote));
  // Each is looked at twice: where it was filed, and when it is due; 64 at a time.
  for (uint16_t port = 2002; port <= 2016; port += 2) {
    pair.run(again, 400 * kSecond);
    pair.run(udp({ip(192, 168, 226, 2), port}, kRemote), 400 * kSecond);
  }
  CHECK(pair.single().stats.sessionsExpired == 200);
}
