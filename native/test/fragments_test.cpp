// Fragments on their way through (RFC 4787, REQ-14; RFC 1858).
#include "test/support.h"

using namespace napt;
using namespace napt::test;

namespace {

constexpr End kOther{ip(198, 51, 100, 8), 53};

std::vector<Bytes> pieces(End from, End to, uint16_t id, std::vector<size_t> sizes = {40, 40}) {
  return split(fragmentable(udp(from, to, 64), id), std::move(sizes));
}

struct Released {
  Bytes bytes;
  bool toInside;
  Origin origin;
  uint32_t tag;
};
std::vector<Released> taken(Translator& nat) {
  std::vector<Released> out;
  nat.take([&](const StoredPacket& p, const uint8_t* bytes) {
    out.push_back({Bytes(bytes, bytes + p.length), p.toInside, p.origin, p.tag});
  });
  return out;
}

uint64_t dropped(const Translator& nat, Reason reason) {
  return nat.stats.drops[static_cast<int>(reason)];
}

}  // namespace

TEST_CASE("fragments: released ones are translated and go where their first one went") {
  auto nat = make(config());
  const End outside = mapped(*nat, kInside);
  for (const bool inbound : {false, true}) {
    std::vector<Bytes> p = inbound ? pieces(kRemote, outside, 5) : pieces(kInside, kRemote, 6);
    REQUIRE(run(*nat, p[1], 0, 77).verdict == Verdict::Held);
    REQUIRE(run(*nat, p[0]).verdict == Verdict::Forwarded);
    const std::vector<Released> out = taken(*nat);
    REQUIRE(out.size() == 1);
    CHECK(out[0].toInside == inbound);
    CHECK(out[0].tag == 77);
    CHECK(out[0].origin == Origin::Fragment);
    CHECK(out[0].bytes[kIpTtl] == 63);
    CHECK(slowSum(out[0].bytes.data(), kIpHeader) == 0xffff);
    CHECK(load<uint32_t>(&out[0].bytes[kIpSource]) == (inbound ? kRemote.address : kPublic));
    CHECK(load<uint32_t>(&out[0].bytes[kIpDestination]) ==
          (inbound ? kInside.address : kRemote.address));
    CHECK(load16be(&out[0].bytes[kIpId]) == load16be(&p[0][kIpId]));
  }
  // Each counts as what it is: the first packet of all, and two pieces each way.
  CHECK(nat->stats.byProtocol[1] == 5);
}

TEST_CASE("fragments: belong together by identification and protocol, both ends") {
  auto nat = make(config());
  REQUIRE(send(*nat, pieces(kInside, kRemote, 5)[0]).verdict == Verdict::Forwarded);
  Bytes tcpLike = pieces(kInside, kRemote, 5)[1];
  tcpLike[kIpProtocol] = kTcp;
  sealHeader(tcpLike);
  CHECK(send(*nat, tcpLike).verdict == Verdict::Held);
  CHECK(send(*nat, pieces(kInside, kRemote, 6)[1]).verdict == Verdict::Held);
  CHECK(send(*nat, pieces(kInside, kOther, 5)[1]).verdict == Verdict::Held);
  CHECK(send(*nat, pieces(kNeighbour, kRemote, 5)[1]).verdict == Verdict::Held);
  CHECK(send(*nat, pieces(kInside, kRemote, 5)[1]).verdict == Verdict::Forwarded);
}

TEST_CASE("fragments: a datagram is forgotten at its time") {
  auto nat = make(config());
  const std::vector<Bytes> p = pieces(kInside, kRemote, 5);
  REQUIRE(send(*nat, p[0], kSecond).verdict == Verdict::Forwarded);
  CHECK(send(*nat, p[1], 31 * kSecond - 1).verdict == Verdict::Forwarded);
  CHECK(send(*nat, p[1], 31 * kSecond).verdict == Verdict::Held);
  nat->advance(61 * kSecond - 1, 10);
  CHECK(taken(*nat).empty());
  nat->advance(61 * kSecond, 10);
  const std::vector<Released> out = taken(*nat);
  REQUIRE(out.size() == 1);
  CHECK(out[0].origin == Origin::Discarded);
  CHECK(out[0].bytes.empty());
  CHECK(dropped(*nat, Reason::FragmentTimeout) == 1);
}

TEST_CASE("fragments: what waits dies with a refused first one, what follows too") {
  auto nat = make(config());
  const End outside = mapped(*nat, kInside);
  const std::vector<Bytes> p = pieces(kOther, outside, 5, {24, 24, 24});
  CHECK(send(*nat, p[1]).verdict == Verdict::Held);
  CHECK(send(*nat, p[0]).reason == Reason::Filtered);
  CHECK(send(*nat, p[2]).reason == Reason::FragmentRefused);
  CHECK(dropped(*nat, Reason::FragmentRefused) == 2);
  CHECK(taken(*nat).size() == 1);
  CHECK(nat->stats.packetsHeld == 0);
}

TEST_CASE("fragments: two first ones for two hosts: nobody gets the rest") {
  auto nat = make(config());
  const End one = mapped(*nat, kInside), two = mapped(*nat, kNeighbour);
  const std::vector<Bytes> p = pieces(kRemote, one, 5, {24, 24, 24}), q = pieces(kRemote, two, 5);
  CHECK(send(*nat, p[0]).verdict == Verdict::Forwarded);
  CHECK(send(*nat, p[1]).verdict == Verdict::Forwarded);
  CHECK(send(*nat, q[0]).verdict == Verdict::Forwarded);
  CHECK(send(*nat, p[2]).reason == Reason::FragmentRefused);
  CHECK(send(*nat, p[0]).verdict == Verdict::Forwarded);  // that settles nothing
  CHECK(send(*nat, p[2]).reason == Reason::FragmentRefused);
  CHECK(taken(*nat).empty());
}

TEST_CASE("fragments: a flood of datagrams makes the oldest give way, and nothing else") {
  Config c = config();
  auto nat = make(c);
  const auto first = [](uint32_t i) {
    return pieces({ip(192, 168, 226, static_cast<uint8_t>(i >> 16)), 4000}, kRemote,
                  static_cast<uint16_t>(i))[0];
  };
  const auto second = [](uint32_t i) {
    return pieces({ip(192, 168, 226, static_cast<uint8_t>(i >> 16)), 4000}, kRemote,
                  static_cast<uint16_t>(i))[1];
  };
  for (uint32_t i = 1; i <= Fragments::kDatagrams + 10; i++) {
    REQUIRE(send(*nat, first(i)).verdict == Verdict::Forwarded);
  }
  CHECK(send(*nat, second(11)).verdict == Verdict::Forwarded);
  CHECK(send(*nat, second(Fragments::kDatagrams + 10)).verdict == Verdict::Forwarded);
  CHECK(send(*nat, second(10)).verdict == Verdict::Held);  // forgotten
  nat->advance(40 * kSecond, 10);
  CHECK(send(*nat, second(12), 40 * kSecond).verdict == Verdict::Held);
}

TEST_CASE("fragments: of those that wait, the longest gives way") {
  Config c = config();
  c.fragmentLimit = 3;
  auto nat = make(c);
  for (uint16_t id = 1; id <= 3; id++) {
    CHECK(send(*nat, pieces(kInside, kRemote, id)[1]).verdict == Verdict::Held);
  }
  CHECK(send(*nat, pieces(kInside, kRemote, 4)[1]).verdict == Verdict::Held);
  CHECK(dropped(*nat, Reason::FragmentLimit) == 1);
  CHECK(nat->stats.packetsHeld == 3);
  taken(*nat);
  // The first is gone, the others still have theirs.
  for (uint16_t id = 1; id <= 4; id++) {
    CHECK(send(*nat, pieces(kInside, kRemote, id)[0]).verdict == Verdict::Forwarded);
    CHECK(taken(*nat).size() == (id == 1 ? 0 : 1));
  }
  // A datagram is never at its own expense.
  const std::vector<Bytes> many = pieces(kInside, kRemote, 9, {16, 16, 16, 16, 16});
  for (size_t i = 1; i <= 3; i++) CHECK(send(*nat, many[i]).verdict == Verdict::Held);
  CHECK(send(*nat, many[4]).reason == Reason::FragmentLimit);
}

TEST_CASE("fragments: tiny ones, wrong ones, strange ones") {
  auto nat = make(config());
  const auto reason = [&](Bytes packet, uint16_t fragment) {
    store16be(&packet[kIpFragment], fragment);
    sealHeader(packet);
    return send(*nat, packet).reason;
  };
  constexpr uint16_t kMore = 0x2000;
  Bytes tiny = tcp(kInside, kRemote, kSyn);
  tiny.resize(36);
  store16be(&tiny[kIpTotal], 36);
  CHECK(reason(tiny, kMore) == Reason::FragmentTiny);  // has no flags
  CHECK(reason(tiny, 0) == Reason::Malformed);         // the same, alone
  CHECK(reason(tcp(kInside, kRemote, kSyn), 1) == Reason::FragmentTiny);
  CHECK(reason(tcp(kInside, kRemote, kSyn), 2) == Reason::FragmentTiny);
  CHECK(reason(tcp(kInside, kRemote, kSyn), 3) == Reason::None);
  CHECK(reason(udp(kInside, kRemote), 1) == Reason::None);
  CHECK(reason(udp(kInside, kRemote, 8), 8187) == Reason::None);
  CHECK(reason(udp(kInside, kRemote, 8), 8188) == Reason::Malformed);  // ends beyond 65,535
  Bytes sent = udp(kInside, kRemote);
  REQUIRE(run(*nat, sent).verdict == Verdict::Forwarded);
  const Bytes error = icmpError(ip(192, 0, 2, 1), kPublic, kUnreachable, 3, sent);
  CHECK(reason(error, kMore) == Reason::Malformed);
  CHECK(reason(error, 0) == Reason::None);
}
