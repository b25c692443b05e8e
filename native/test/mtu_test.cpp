#include <map>

#include "packet/fragment.h"
#include "test/support.h"

using namespace napt;
using namespace napt::test;

namespace {

constexpr uint32_t kMtu = 296;

uint32_t headerOf(const Bytes& p) { return (p[0] & 15u) * 4; }
uint16_t fragmentOf(const Bytes& p) { return load16be(&p[kIpFragment]); }
uint32_t offsetOf(const Bytes& p) { return (fragmentOf(p) & 0x1fffu) * 8; }
bool hasMore(const Bytes& p) { return (fragmentOf(p) & 0x2000) != 0; }

/// The pseudo-header's sum: what a partial checksum is.
uint16_t pseudoSum(const Bytes& p) {
  uint8_t pseudo[12] = {};
  std::memcpy(pseudo, &p[kIpSource], 8);
  pseudo[9] = p[kIpProtocol];
  store16be(pseudo + 10, static_cast<uint16_t>(p.size() - kIpHeader));
  return slowSum(pseudo, sizeof pseudo);
}

/// Computes the header checksum anew.
Bytes withFragment(Bytes p, uint16_t word) {
  store16be(&p[kIpFragment], word);
  sealHeader(p);
  return p;
}
/// The same packet, free to be fragmented.
Bytes divisible(const Bytes& p) { return withFragment(p, 0); }

struct Taken {
  StoredPacket about;
  Bytes bytes;
};
std::vector<Taken> takeAll(Translator& nat) {
  std::vector<Taken> all;
  nat.take([&](const StoredPacket& p, const uint8_t* bytes) {
    all.push_back({p, Bytes(bytes, bytes + p.length)});
  });
  return all;
}

/// Puts pieces in any order together again (RFC 791, section 3.2), with the first one's header.
Bytes join(const std::vector<Bytes>& pieces) {
  Bytes whole;
  std::vector<bool> seen;
  bool overlap = false;
  for (const Bytes& piece : pieces) {
    const uint32_t at = offsetOf(piece);
    const size_t size = piece.size() - headerOf(piece);
    if (seen.size() < at + size) seen.resize(at + size);
    for (size_t i = 0; i < size; i++) {
      overlap = overlap || seen[at + i];
      seen[at + i] = true;
    }
  }
  REQUIRE_FALSE(overlap);
  REQUIRE(std::find(seen.begin(), seen.end(), false) == seen.end());
  for (const Bytes& piece : pieces) {
    if (offsetOf(piece) == 0) whole.assign(piece.begin(), piece.begin() + headerOf(piece));
  }
  const size_t header = whole.size();
  whole.resize(header + seen.size());
  for (const Bytes& piece : pieces) {
    std::copy(piece.begin() + headerOf(piece), piece.end(),
              whole.begin() + static_cast<long>(header + offsetOf(piece)));
  }
  store16be(&whole[kIpTotal], static_cast<uint16_t>(whole.size()));
  store16be(&whole[kIpFragment], 0);
  sealHeader(whole);
  return whole;
}

std::vector<Bytes> bytesOf(const std::vector<Taken>& taken) {
  std::vector<Bytes> out;
  for (const Taken& t : taken) out.push_back(t.bytes);
  return out;
}

Config withMtu(uint32_t inside, uint32_t outside) {
  Config c = config();
  c.insideMtu = inside;
  c.outsideMtu = outside;
  c.icmpErrors = true;
  return c;
}

uint64_t drops(const Translator& nat) {
  uint64_t sum = 0;
  for (uint32_t i = 0; i < kReasons; i++) sum += nat.stats.drops[i];
  return sum;
}

/// Whether `error` says to `about`'s sender that it is too big.
void checkTooBig(const Bytes& error, const Bytes& about, uint32_t mtu) {
  REQUIRE(error.size() >= 28);
  CHECK(isSound(error));
  CHECK(load<uint32_t>(&error[kIpSource]) == kPublic);
  CHECK(load<uint32_t>(&error[kIpDestination]) == load<uint32_t>(&about[kIpSource]));
  CHECK(error[20] == kUnreachable);
  CHECK(error[21] == 4);
  CHECK(load16be(&error[24]) == 0);
  CHECK(load16be(&error[26]) == mtu);
  CHECK(error.size() == std::min<size_t>(576, 28 + about.size()));
  CHECK(std::equal(error.begin() + 28, error.end(), about.begin()));
}

}  // namespace

TEST_CASE("outbound, DF, too big: dropped without a trace, and its sender told the MTU") {
  Config c = withMtu(0, kMtu);
  c.icmpErrors = false;
  const Bytes original = udp(kInside, kRemote, kMtu - 28 + 1);
  SUBCASE("without ICMP errors") {}
  SUBCASE("with ICMP errors") { c.icmpErrors = true; }
  auto nat = make(c);
  Bytes packet = original;
  const Result result = run(*nat, packet, 5, 77);
  CHECK(result.verdict == Verdict::Dropped);
  CHECK(result.reason == Reason::TooBig);
  CHECK(result.direction == Direction::Outbound);
  CHECK(packet == original);
  CHECK(nat->sessions().size() == 0);
  CHECK(nat->stats.sessionsCreated == 0);
  const auto taken = takeAll(*nat);
  REQUIRE(taken.size() == (c.icmpErrors ? 1 : 0));
  CHECK(nat->stats.originated == taken.size());
  for (const Taken& t : taken) {
    CHECK(t.about.origin == Origin::Icmp);
    CHECK(t.about.toInside);
    CHECK(t.about.tag == 77);
    checkTooBig(t.bytes, original, kMtu);
  }
  CHECK(nat->stats.packetsIn == nat->stats.packetsOut + drops(*nat));
  // What just fits goes.
  Bytes fitting = udp(kInside, kRemote, kMtu - 28);
  CHECK(run(*nat, fitting).verdict == Verdict::Forwarded);
  CHECK(load16be(&fitting[kIpFragment]) == 0x4000);
  CHECK(nat->pending() == 0);
}

TEST_CASE("what is too big keeps no session alive and moves none") {
  auto nat = make(withMtu(kMtu, kMtu));
  SUBCASE("UDP: neither clock nor counters") {
    Bytes packet = udp(kInside, kRemote);
    REQUIRE(run(*nat, packet).verdict == Verdict::Forwarded);
    Bytes big = udp(kInside, kRemote, 300);
    CHECK(run(*nat, big, 299 * kSecond).reason == Reason::TooBig);
    CHECK(nat->sessions()[0].packets[kOut] == 1);
    Bytes answer = udp(kRemote, sourceOf(packet));
    CHECK(run(*nat, answer, 300 * kSecond).reason == Reason::NoMapping);
  }
  SUBCASE("TCP: no state") {
    Bytes syn = tcp(kInside, kRemote, kSyn, 100);
    REQUIRE(run(*nat, syn).verdict == Verdict::Forwarded);
    Bytes back = tcp(kRemote, sourceOf(syn), kSyn | kAck, 500, 101);
    REQUIRE(run(*nat, back).verdict == Verdict::Forwarded);
    Bytes ack = tcp(kInside, kRemote, kAck, 101, 501);
    REQUIRE(run(*nat, ack).verdict == Verdict::Forwarded);
    Bytes fin = tcp(kInside, kRemote, kFin | kAck, 101, 501, 300);
    CHECK(run(*nat, fin).reason == Reason::TooBig);
    Bytes reset = tcp(kRemote, sourceOf(syn), kRst, 501, 0, 300);
    CHECK(run(*nat, reset).reason == Reason::TooBig);
    CHECK(tcpPhase(nat->sessions()[0].state) == TcpPhase::Established);
  }
}

TEST_CASE("inbound: only what would be forwarded is answered") {
  Config c = withMtu(kMtu, 0);
  c.forwards = {{kTcp, kPublic, 80, kInside.address, 8080}};
  auto nat = make(c);
  Bytes ask = udp(kInside, kRemote, 300);  // the outside has no MTU
  REQUIRE(run(*nat, ask).verdict == Verdict::Forwarded);
  const End outside = sourceOf(ask);
  const auto reasonOf = [&](const Bytes& original) {
    Bytes packet = original;
    const Reason reason = run(*nat, packet).reason;
    CHECK(packet == original);
    return reason;
  };
  CHECK(reasonOf(udp(kRemote, {kPublic, 9}, 300)) == Reason::NoMapping);
  CHECK(reasonOf(udp({ip(198, 51, 100, 8), 1}, outside, 300)) == Reason::Filtered);
  CHECK(reasonOf(tcp(kRemote, {kPublic, 80}, kAck, 1, 1, 300)) == Reason::TcpNoSession);
  CHECK(nat->pending() == 0);
  const Bytes big = udp(kRemote, outside, 600);
  CHECK(reasonOf(big) == Reason::TooBig);
  const Bytes syn = tcp(kRemote, {kPublic, 80}, kSyn, 1, 0, 300);
  CHECK(reasonOf(syn) == Reason::TooBig);
  CHECK(nat->stats.sessionsCreated == 1);
  const auto taken = takeAll(*nat);
  REQUIRE(taken.size() == 2);
  for (const Taken& t : taken) CHECK_FALSE(t.about.toInside);
  checkTooBig(taken[0].bytes, big, kMtu);
  checkTooBig(taken[1].bytes, syn, kMtu);
  nat->flush();  // and not a second time, as if the SYN had been unsolicited
  CHECK(nat->pending() == 0);
}

TEST_CASE("hairpin: the MTU of the inside") {
  auto nat = make(withMtu(kMtu, 200));
  Bytes theirs = udp(kNeighbour, kRemote);
  REQUIRE(run(*nat, theirs).verdict == Verdict::Forwarded);
  Bytes ours = udp(kInside, kRemote);
  REQUIRE(run(*nat, ours).verdict == Verdict::Forwarded);
  Bytes open = udp(kNeighbour, sourceOf(ours));
  run(*nat, open);
  Bytes fits = udp(kInside, sourceOf(theirs), kMtu - 28);
  CHECK(run(*nat, fits).verdict == Verdict::Forwarded);
  const Bytes original = udp(kInside, sourceOf(theirs), kMtu - 27);
  Bytes big = original;
  CHECK(run(*nat, big).reason == Reason::TooBig);
  CHECK(big == original);
  const auto taken = takeAll(*nat);
  REQUIRE(taken.size() == 1);
  CHECK(taken[0].about.toInside);
  checkTooBig(taken[0].bytes, original, kMtu);
}

TEST_CASE(
    "no error about an ICMP error or a later fragment, and not too many (RFC 1812, 4.3.2.7)") {
  Config c = withMtu(kMtu, kMtu);
  c.icmpErrorRate = 3;
  auto nat = make(c);
  Bytes ask = udp(kInside, kRemote, 240);
  const Bytes asked = ask;
  REQUIRE(run(*nat, ask).verdict == Verdict::Forwarded);
  SUBCASE("an ICMP error") {
    Bytes error = icmpError(kRemote.address, kPublic, kUnreachable, 3, ask, 268);
    error.resize(kMtu + 4);  // behind the quotation: an extension
    store16be(&error[kIpTotal], static_cast<uint16_t>(error.size()));
    seal(error);
    const Bytes before = error;
    CHECK(run(*nat, error).reason == Reason::TooBig);
    CHECK(error == before);
    CHECK(nat->pending() == 0);
    store16be(&error[kIpFragment], 0);
    seal(error);
    CHECK(run(*nat, error).verdict == Verdict::Held);
    const Bytes whole = join(bytesOf(takeAll(*nat)));
    CHECK(isSound(whole));
    CHECK(load<uint32_t>(&whole[kIpDestination]) == kInside.address);
    CHECK(std::equal(whole.begin() + 28 + 20, whole.begin() + 28 + 268, asked.begin() + 20));
  }
  SUBCASE("a later fragment") {
    const std::vector<Bytes> pieces = split(udp(kInside, kRemote, 700), {200, 400, 200});
    const uint16_t words[] = {0x6000, 0x6000 | 25, 0x4000 | 75};  // they have DF
    std::vector<Result> results;
    for (size_t i = 0; i < 3; i++) {
      Bytes piece = withFragment(pieces[i], words[i]);
      results.push_back(run(*nat, piece));
      if (results[i].verdict == Verdict::Forwarded) CHECK(fragmentOf(piece) == words[i]);
    }
    CHECK(results[0].verdict == Verdict::Forwarded);
    CHECK(results[1].reason == Reason::TooBig);
    CHECK(results[2].verdict == Verdict::Forwarded);
    CHECK(nat->pending() == 0);
  }
  SUBCASE("a first fragment: answered, and the rest refused") {
    const std::vector<Bytes> pieces = split(udp(kInside, kRemote, 500), {400, 108});
    Bytes first = withFragment(pieces[0], 0x6000), second = withFragment(pieces[1], 0x4000 | 50);
    const Bytes original = first;
    CHECK(run(*nat, first).reason == Reason::TooBig);
    CHECK(run(*nat, second).reason == Reason::FragmentRefused);
    const auto taken = takeAll(*nat);
    REQUIRE(taken.size() == 1);
    checkTooBig(taken[0].bytes, original, kMtu);
  }
  SUBCASE("a flood") {
    for (int i = 0; i < 500; i++) {
      Bytes big = udp(kInside, kRemote, 300);
      run(*nat, big, 10);
    }
    CHECK(nat->pending() > 0);
    CHECK(nat->pending() <= 50);
    CHECK(nat->stats.drops[static_cast<int>(Reason::TooBig)] == 500);
  }
}

TEST_CASE("DF clear: translated, cut, and put out in order") {
  Config c = withMtu(0, kMtu);
  auto nat = make(c), whole = make(config());
  const Bytes original = divisible(udp(kInside, kRemote, 700));
  Bytes packet = original, expected = original;
  REQUIRE(run(*whole, expected).verdict == Verdict::Forwarded);
  const Result result = run(*nat, packet, 5, 77);
  CHECK(result.verdict == Verdict::Held);
  CHECK(result.direction == Direction::Outbound);
  CHECK(result.reason == Reason::None);
  CHECK(result.session == 1);
  const auto taken = takeAll(*nat);
  REQUIRE(taken.size() == 3);
  uint32_t at = 0;
  for (const Taken& t : taken) {
    CHECK(t.about.origin == Origin::Fragment);
    CHECK(t.about.tag == 77);
    CHECK(t.about.cause == 77);
    CHECK(t.about.at == 5);
    CHECK(t.about.wire == t.about.length);
    CHECK_FALSE(t.about.toInside);
    CHECK(t.bytes.size() <= kMtu);
    CHECK(load16be(&t.bytes[kIpTotal]) == t.bytes.size());
    CHECK(slowSum(t.bytes.data(), kIpHeader) == 0xffff);
    CHECK(load16be(&t.bytes[kIpId]) == load16be(&expected[kIpId]));
    CHECK(t.bytes[kIpTtl] == 63);
    CHECK(offsetOf(t.bytes) == at);
    CHECK(hasMore(t.bytes) == (&t != &taken.back()));
    at += static_cast<uint32_t>(t.bytes.size()) - kIpHeader;
  }
  CHECK(taken[0].bytes.size() == 20 + 272);  // as many units of 8 as fit
  CHECK(join(bytesOf(taken)) == expected);
  // It counts as one packet, that went out.
  const Stats& s = nat->stats;
  CHECK(s.packetsIn == 1);
  CHECK(s.packetsOut == 1);
  CHECK(s.bytesOut == original.size());
  CHECK(s.packetsHeld == 0);
  CHECK(s.byProtocol[portSpace(kUdp)] == 1);
  CHECK(s.fragmented == 1);
  CHECK(s.pieces == 3);
  CHECK(nat->sessions()[0].packets[kOut] == 1);
  CHECK(nat->sessions()[0].bytes[kOut] == original.size());
  // And back, where there is no MTU.
  Bytes answer = divisible(udp(kRemote, sourceOf(expected), 700));
  CHECK(run(*nat, answer).verdict == Verdict::Forwarded);
}

TEST_CASE("inbound pieces go inside") {
  auto nat = make(withMtu(kMtu, 0));
  Bytes ask = udp(kInside, kRemote);
  REQUIRE(run(*nat, ask).verdict == Verdict::Forwarded);
  Bytes answer = divisible(udp(kRemote, sourceOf(ask), 500));
  CHECK(run(*nat, answer).verdict == Verdict::Held);
  const auto taken = takeAll(*nat);
  REQUIRE(taken.size() == 2);
  for (const Taken& t : taken) CHECK(t.about.toInside);
  const Bytes joined = join(bytesOf(taken));
  CHECK(isSound(joined));
  CHECK(destinationOf(joined) == kInside);
}

TEST_CASE("options: those with the copied flag go into every piece") {
  const Bytes body = udp(kInside, kRemote, 300);
  // Record route (7), no-operation, router alert (148), security (130), the end.
  const Bytes options{7, 7, 4, 9, 9, 9, 9, 1, 148, 4, 0, 0, 130, 5, 1, 2, 3, 0, 0, 0};
  Bytes original(body.begin(), body.begin() + kIpHeader);
  original[0] = static_cast<uint8_t>(0x40 | (kIpHeader + options.size()) / 4);
  original.insert(original.end(), options.begin(), options.end());
  original.insert(original.end(), body.begin() + kIpHeader, body.end());
  store16be(&original[kIpTotal], static_cast<uint16_t>(original.size()));
  original = divisible(original);
  auto nat = make(withMtu(0, 100));
  Bytes packet = original;
  REQUIRE(run(*nat, packet).verdict == Verdict::Held);
  const std::vector<Bytes> pieces = bytesOf(takeAll(*nat));
  REQUIRE(pieces.size() == 5);
  const Bytes copied{148, 4, 0, 0, 130, 5, 1, 2, 3, 0, 0, 0};
  for (const Bytes& piece : pieces) {
    CHECK(slowSum(piece.data(), headerOf(piece)) == 0xffff);
    const Bytes& expected = &piece == &pieces[0] ? options : copied;
    CHECK(headerOf(piece) == kIpHeader + expected.size());
    CHECK(std::equal(expected.begin(), expected.end(), piece.begin() + kIpHeader));
    CHECK(piece.size() <= 100);
  }
  CHECK(join(pieces) == packet);
}

TEST_CASE("a partial checksum is made whole before the cut") {
  for (const uint8_t protocol : {kUdp, kTcp}) {
    Bytes packet =
        protocol == kUdp ? udp(kInside, kRemote, 501) : tcp(kInside, kRemote, kSyn, 1, 0, 501);
    packet = divisible(packet);
    store16be(&packet[kIpHeader + checksumOffset(protocol)], pseudoSum(packet));
    auto nat = make(withMtu(0, kMtu));
    const auto size = static_cast<uint32_t>(packet.size());
    Bytes small = packet;
    const Result result = nat->translate({packet.data(), size, size, true}, 1, 0);
    REQUIRE(result.verdict == Verdict::Held);
    CHECK(isSound(join(bytesOf(takeAll(*nat)))));
    // A fragment alone can't be summed: its field changes with the addresses only.
    Bytes first = withFragment(small, 0x2000), rewritten = first;
    const auto fieldOf = [&](const Bytes& p) {
      return load16be(&p[kIpHeader + checksumOffset(protocol)]);
    };
    nat = make(config());
    REQUIRE(nat->translate({rewritten.data(), size, size, true}, 1, 0).verdict ==
            Verdict::Forwarded);
    nat = make(withMtu(0, kMtu));
    REQUIRE(nat->translate({first.data(), size, size, true}, 1, 0).verdict == Verdict::Held);
    CHECK(fieldOf(takeAll(*nat)[0].bytes) == fieldOf(rewritten));
    // In one piece it stays partial.
    nat = make(config());
    REQUIRE(nat->translate({small.data(), size, size, true}, 1, 0).verdict == Verdict::Forwarded);
    CHECK_FALSE(isSound(small));
  }
}

TEST_CASE("partial checksums of UDP-Lite and DCCP are made whole over what they cover") {
  struct Case {
    uint8_t protocol;
    uint16_t field;  // UDP-Lite: the coverage; DCCP: CsCov
    size_t covered;  // 0: all
  };
  for (const Case& each :
       {Case{kUdpLite, 0, 0}, Case{kUdpLite, 8, 8}, Case{kUdpLite, 101, 101}, Case{kUdpLite, 7, 0},
        Case{kUdpLite, 60'000, 0}, Case{kDccp, 0, 0}, Case{kDccp, 1, 16}, Case{kDccp, 4, 28}}) {
    Bytes body(509);
    for (size_t i = 0; i < body.size(); i++) body[i] = static_cast<uint8_t>(i * 7);
    store16be(&body[0], kInside.port);
    store16be(&body[2], kRemote.port);
    if (each.protocol == kUdpLite) {
      store16be(&body[4], each.field);
    } else {
      body[4] = 4;  // words of header
      body[5] = static_cast<uint8_t>(0xa0 | each.field);
      body[8] = 1;  // a Request
    }
    Bytes packet = divisible(ipv4(each.protocol, kInside.address, kRemote.address, body));
    store16be(&packet[kIpHeader + 6], pseudoSum(packet));
    Config c = withMtu(0, kMtu);
    c.protocols.add(each.protocol);
    auto nat = make(c);
    const auto size = static_cast<uint32_t>(packet.size());
    REQUIRE(nat->translate({packet.data(), size, size, true}, 1, 0).verdict == Verdict::Held);
    const Bytes whole = join(bytesOf(takeAll(*nat)));
    const size_t covered = each.covered == 0 ? body.size() : each.covered;
    CHECK(slowSum(&whole[kIpHeader], covered, pseudoSum(whole)) == 0xffff);
  }
}

TEST_CASE("a whole UDP checksum of 0 is sent as 0xffff") {
  Bytes packet = udp(kInside, kRemote, 40);
  const auto size = static_cast<uint32_t>(packet.size());
  const PacketView view{packet.data(), size, size, true};
  const Parsed parsed = parse(view, true, Protocols::traditional());
  uint32_t ones = 0;
  for (uint32_t word = 0; word < 65536; word++) {
    store16be(&packet[40], static_cast<uint16_t>(word));
    store16be(&packet[kIpHeader + kUdpChecksum], pseudoSum(packet));
    completeChecksum(view, parsed);
    REQUIRE(isSound(packet));
    REQUIRE(load16be(&packet[kIpHeader + kUdpChecksum]) != 0);
    ones += load16be(&packet[kIpHeader + kUdpChecksum]) == 0xffff;
  }
  CHECK(ones > 0);
}

TEST_CASE("fragments that are too big are cut once more, in every order") {
  const Bytes original = divisible(udp(kInside, kRemote, 1000));
  const std::vector<Bytes> pieces = split(original, {400, 400, 208});
  auto reference = make(config());
  Bytes expected = original;
  REQUIRE(run(*reference, expected).verdict == Verdict::Forwarded);
  std::vector<size_t> order{0, 1, 2};
  do {
    auto nat = make(withMtu(0, kMtu));
    std::vector<Bytes> out;
    for (const size_t i : order) {
      Bytes piece = pieces[i];
      const auto tag = static_cast<uint32_t>(i + 1);
      const Result result = run(*nat, piece, 0, tag);
      CHECK(result.verdict == (i == 2 && !out.empty() ? Verdict::Forwarded : Verdict::Held));
      if (result.verdict == Verdict::Forwarded) out.push_back(piece);
      uint32_t at = 0;
      for (const Taken& t : takeAll(*nat)) {
        CHECK(t.about.origin == Origin::Fragment);
        CHECK(t.about.cause == tag);
        CHECK(t.about.tag == offsetOf(t.bytes) / 400 + 1);
        if (t.about.tag == tag) CHECK((offsetOf(t.bytes) % 400 == 0 || offsetOf(t.bytes) > at));
        at = offsetOf(t.bytes);
        out.push_back(t.bytes);
      }
    }
    CHECK(out.size() == 5);
    for (const Bytes& piece : out) {
      CHECK(piece.size() <= kMtu);
      CHECK(hasMore(piece) == (offsetOf(piece) != 800));
    }
    CHECK(join(out) == expected);
    const Stats& s = nat->stats;
    CHECK(s.packetsHeld == 0);
    CHECK(s.packetsOut == 3);
    CHECK(s.bytesOut == pieces[0].size() + pieces[1].size() + pieces[2].size());
    CHECK(s.fragmented == 2);
    CHECK(s.pieces == 4);
  } while (std::next_permutation(order.begin(), order.end()));
}

TEST_CASE("a held fragment with DF that turns out too big dies as such") {
  auto nat = make(withMtu(0, kMtu));
  const std::vector<Bytes> pieces = split(udp(kInside, kRemote, 700), {200, 400, 200});
  Bytes first = withFragment(pieces[0], 0x6000), second = withFragment(pieces[1], 0x6000 | 25),
        third = withFragment(pieces[2], 0x4000 | 75);
  CHECK(run(*nat, second, 0, 2).verdict == Verdict::Held);
  CHECK(run(*nat, third, 0, 3).verdict == Verdict::Held);
  CHECK(run(*nat, first, 0, 1).verdict == Verdict::Forwarded);
  const auto taken = takeAll(*nat);
  REQUIRE(taken.size() == 2);
  CHECK(taken[0].about.origin == Origin::Discarded);
  CHECK(taken[0].about.tag == 2);
  CHECK(taken[1].about.origin == Origin::Fragment);
  CHECK(fragmentOf(taken[1].bytes) == (0x4000 | 75));
  CHECK(nat->stats.drops[static_cast<int>(Reason::TooBig)] == 1);
  CHECK(nat->stats.packetsIn == nat->stats.packetsOut + drops(*nat));
  CHECK(nat->stats.packetsHeld == 0);
}

TEST_CASE("two hosts, one identification: the pieces can't be mixed (RFC 6864, 5.3.1)") {
  auto nat = make(withMtu(0, kMtu));
  std::map<uint16_t, std::vector<Bytes>> datagrams;
  for (const End from : {kInside, kNeighbour}) {
    Bytes packet = divisible(udp(from, kRemote, 700));
    REQUIRE(run(*nat, packet).verdict == Verdict::Held);
  }
  for (const Taken& t : takeAll(*nat)) datagrams[load16be(&t.bytes[kIpId])].push_back(t.bytes);
  REQUIRE(datagrams.size() == 2);
  for (const auto& [id, pieces] : datagrams) {
    CHECK(pieces.size() == 3);
    CHECK(isSound(join(pieces)));
  }
}

TEST_CASE("what has no length of its own, or not all its bytes, goes on in one piece") {
  auto nat = make(withMtu(0, kMtu));
  SUBCASE("segmentation offload: a total length of 0") {
    for (const uint16_t word : {uint16_t{0x4000}, uint16_t{0}}) {
      Bytes packet = tcp(kInside, kRemote, kSyn, 1, 0, 3000);
      store16be(&packet[kIpTotal], 0);
      packet = withFragment(packet, word);
      CHECK(run(*nat, packet).verdict == Verdict::Forwarded);
    }
  }
  SUBCASE("cut by a capture") {
    Bytes packet = udp(kInside, kRemote, 700);
    CHECK(nat->translate({packet.data(), 96, 728, false}, 1, 0).reason == Reason::TooBig);
    packet = divisible(packet);
    CHECK(nat->translate({packet.data(), 96, 728, false}, 1, 0).verdict == Verdict::Forwarded);
    CHECK(sourceOf(packet).address == kPublic);
  }
  CHECK(nat->stats.pieces == 0);
}

TEST_CASE("passed packets are left alone, whatever their size") {
  Config c = withMtu(kMtu, kMtu);
  c.exemptions = {{0xc6336400, 0xffffff00, 0, 0, 65535}};
  auto nat = make(c);
  Bytes inside = udp(kInside, kNeighbour, 500), exempt = udp(kInside, kRemote, 500);
  const Bytes before = exempt;
  CHECK(run(*nat, inside).verdict == Verdict::Passed);
  CHECK(run(*nat, exempt).verdict == Verdict::Passed);
  CHECK(exempt == before);
  // Held until the ports are known, and then passed too.
  c.exemptions = {{0xc6336400, 0xffffff00, kUdp, kRemote.port, kRemote.port}};
  nat = make(c);
  const std::vector<Bytes> pieces = split(divisible(udp(kInside, kRemote, 1000)), {400, 608});
  for (const uint16_t df : {uint16_t{0}, uint16_t{0x4000}}) {
    Bytes first = withFragment(pieces[0], 0x2000 | df), second = withFragment(pieces[1], 50 | df);
    CHECK(run(*nat, second).verdict == Verdict::Held);
    const Bytes held = second;
    nat->take([](const StoredPacket&, const uint8_t*) {});
    CHECK(run(*nat, first).verdict == Verdict::Passed);
    const auto taken = takeAll(*nat);
    REQUIRE(taken.size() == 1);
    CHECK(taken[0].bytes == held);
    nat = make(c);
  }
}

TEST_CASE("held fragments that were cut give their room back") {
  auto nat = make(withMtu(0, kMtu));
  const std::vector<Bytes> pieces = split(divisible(udp(kInside, kRemote, 600)), {200, 408});
  for (int i = 0; i < 20'000; i++) {
    Bytes first = pieces[0], second = pieces[1];
    store16be(&first[kIpId], static_cast<uint16_t>(i));
    store16be(&second[kIpId], static_cast<uint16_t>(i));
    sealHeader(first);
    sealHeader(second);
    const uint64_t now = static_cast<uint64_t>(i) * kSecond;
    REQUIRE(run(*nat, second, now).verdict == Verdict::Held);
    REQUIRE(run(*nat, first, now).verdict == Verdict::Forwarded);
    REQUIRE(takeAll(*nat).size() == 2);
  }
}

TEST_CASE("no room for all pieces: dropped whole, and without a trace") {
  auto nat = make(withMtu(0, 68));
  uint32_t sent = 0, refused = 0;
  for (uint16_t i = 0; i < 400; i++) {
    const Bytes original = divisible(udp({kInside.address, i}, kRemote, 4792));  // 100 pieces
    Bytes packet = original;
    const Result result = run(*nat, packet);
    sent += result.verdict == Verdict::Held;
    if (result.verdict == Verdict::Held) continue;
    CHECK(result.reason == Reason::FragmentLimit);
    CHECK(packet == original);
    refused++;
  }
  CHECK(refused > 0);
  CHECK(nat->pending() == sent * 100);
  CHECK(nat->sessions().size() == sent);
  takeAll(*nat);
  // What was taken makes room.
  Bytes packet = divisible(udp(kInside, kRemote, 4792));
  CHECK(run(*nat, packet).verdict == Verdict::Held);
  CHECK(nat->pending() == 100);
}

TEST_CASE("no MTU is less than what every link carries") {
  auto nat = make(withMtu(0, 1));
  Bytes fits = udp(kInside, kRemote, 40);
  CHECK(run(*nat, fits).verdict == Verdict::Forwarded);
  const Bytes original = udp(kInside, kRemote, 41);
  Bytes big = original;
  CHECK(run(*nat, big).reason == Reason::TooBig);
  const auto taken = takeAll(*nat);
  REQUIRE(taken.size() == 1);
  checkTooBig(taken[0].bytes, original, 68);
}

TEST_CASE("the batch cuts as single packets do") {
  const Config c = withMtu(kMtu, kMtu - 8);
  auto single = make(c), batched = make(c);
  Random random({21, 22});
  std::vector<Bytes> packets;
  constexpr uint32_t kSlot = 1024, kCount = 500;
  for (uint32_t i = 0; i < kCount; i++) {
    const End inside{ip(192, 168, 226, static_cast<uint8_t>(random.below(4))), 5};
    const Bytes packet = udp(inside, kRemote, 200 + random.below(700));
    packets.push_back(random.below(2) == 0 ? packet : divisible(packet));
  }
  std::vector<uint8_t> memory(kSlot * kCount);
  std::vector<Descriptor> descriptors(kCount);
  for (uint32_t i = 0; i < kCount; i++) {
    std::copy(packets[i].begin(), packets[i].end(), memory.begin() + i * kSlot);
    descriptors[i] = {i * kSlot, static_cast<uint32_t>(packets[i].size()), 0, 0, 0, 0, i + 1, 0};
  }
  batched->translateBatch(descriptors.data(), kCount, memory.data(), memory.size(), 0);
  for (uint32_t i = 0; i < kCount; i++) {
    const Result result = run(*single, packets[i], 0, i + 1);
    REQUIRE(result.packed() == descriptors[i].verdict);
    REQUIRE(result.session == descriptors[i].session);
    REQUIRE(std::equal(packets[i].begin(), packets[i].end(), memory.begin() + i * kSlot));
  }
  const auto one = takeAll(*single), other = takeAll(*batched);
  REQUIRE(one.size() == other.size());
  for (size_t i = 0; i < one.size(); i++) {
    REQUIRE(one[i].bytes == other[i].bytes);
    REQUIRE(one[i].about.tag == other[i].about.tag);
  }
  CHECK(single->stats.pieces > 100);
  CHECK(std::memcmp(&single->stats.packetsIn, &batched->stats.packetsIn,
                    offsetof(Stats, sessionsCreated)) == 0);
}

namespace {
/// A packet of any kind between a few hosts, with options now and then; DF clear.
Bytes anyPacket(Random& random) {
  const End inside{ip(192, 168, 226, static_cast<uint8_t>(1 + random.below(3))),
                   static_cast<uint16_t>(1 + random.below(4))};
  const End remote{ip(198, 51, 100, static_cast<uint8_t>(1 + random.below(2))), 9};
  const End outside{kPublic, static_cast<uint16_t>(5000 + random.below(16))};
  const bool inbound = random.below(2) == 0;
  const size_t size = random.below(random.below(8) == 0 ? 60000 : 1500);
  const End from = inbound ? remote : inside, to = inbound ? outside : remote;
  Bytes packet = random.below(2) == 0 ? udp(from, to, size) : tcp(from, to, kSyn, 5, 0, size);
  store16be(&packet[kIpId], static_cast<uint16_t>(random.below(50)));
  const size_t options = random.below(3) == 0 ? 4 * (1 + random.below(10)) : 0;
  if (options > 0) {
    Bytes bytes(options);
    for (uint8_t& byte : bytes) byte = static_cast<uint8_t>(random.next());
    if (random.below(2) == 0) bytes[0] = random.below(2) == 0 ? 0x94 : 7;
    if (random.below(2) == 0) bytes[1] = static_cast<uint8_t>(options);
    packet.insert(packet.begin() + kIpHeader, bytes.begin(), bytes.end());
    packet[0] = static_cast<uint8_t>(0x45 + options / 4);
    store16be(&packet[kIpTotal], static_cast<uint16_t>(packet.size()));
  }
  return divisible(packet);
}
}  // namespace

TEST_CASE("whatever is cut: put together again it is what would have gone out whole") {
  Random random({31, 32});
  uint64_t pieces = 0;
  for (int round = 0; round < 25; round++) {
    Config c = withMtu(68 + random.below(1300), 68 + random.below(1300));
    c.outside = {{kPublic, 5000, 5015}};
    c.fragmentLimit = 1000;
    c.policies[0].inboundRefresh = random.below(2) == 0;
    auto cutting = make(c);
    Config unlimited = c;
    unlimited.insideMtu = unlimited.outsideMtu = 0;
    auto whole = make(unlimited);
    uint64_t now = 0;
    for (int step = 0; step < 100; step++) {
      now += random.below(10) * kSecond;
      const Bytes original = anyPacket(random);
      std::vector<Bytes> parts{original};
      // Some come in fragments, in any order.
      if (headerOf(original) == kIpHeader && original.size() > 200 && random.below(3) == 0) {
        parts = split(original, {64 + 8 * random.below(16), 8 * (1 + random.below(100)), 65536});
        std::swap(parts[0], parts[random.below(static_cast<uint32_t>(parts.size()))]);
      }
      std::vector<Bytes> expected, got;
      for (const Bytes& part : parts) {
        Bytes a = part, b = part;
        const Result forWhole = run(*whole, a, now), forCut = run(*cutting, b, now);
        REQUIRE(forWhole.reason == forCut.reason);
        REQUIRE(forWhole.session == forCut.session);
        if (forWhole.verdict == Verdict::Forwarded) expected.push_back(a);
        if (forCut.verdict == Verdict::Forwarded) got.push_back(b);
        if (forCut.verdict == Verdict::Dropped) REQUIRE(b == part);
        for (const Taken& t : takeAll(*whole)) {
          if (t.about.origin == Origin::Fragment) expected.push_back(t.bytes);
        }
        for (const Taken& t : takeAll(*cutting)) {
          if (t.about.origin == Origin::Fragment) got.push_back(t.bytes);
        }
      }
      if (expected.size() < parts.size()) {
        REQUIRE(got.empty() == expected.empty());
        continue;  // refused
      }
      const bool inbound = load<uint32_t>(&original[kIpDestination]) == kPublic;
      const uint32_t mtu = inbound ? c.insideMtu : c.outsideMtu;
      pieces += got.size() - expected.size();
      REQUIRE(join(got) == join(expected));
      for (const Bytes& piece : got) {
        REQUIRE(slowSum(piece.data(), headerOf(piece)) == 0xffff);
        REQUIRE(load16be(&piece[kIpTotal]) == piece.size());
        REQUIRE(piece.size() <= mtu);
      }
    }
    const Stats& s = cutting->stats;
    REQUIRE(s.packetsIn == s.packetsOut + drops(*cutting) + s.packetsHeld);
    REQUIRE(s.packetsOut == whole->stats.packetsOut);
    REQUIRE(s.bytesOut == whole->stats.bytesOut);
    REQUIRE(std::memcmp(s.byProtocol, whole->stats.byProtocol, sizeof s.byProtocol) == 0);
  }
  CHECK(pieces > 1000);
}

TEST_CASE("Fragmenter: count and sizes at every length") {
  for (uint32_t header = 20; header <= 60; header += 4) {
    for (uint32_t mtu : {68u, 69u, 75u, 76u, 100u}) {
      for (uint32_t length = mtu - header + 1; length < 200; length++) {
        Bytes packet(header + length);
        packet[0] = static_cast<uint8_t>(0x40 | header / 4);
        // A copied option over half of the room, then one that is not.
        const uint32_t room = header - kIpHeader;
        if (room >= 8) {
          packet[20] = 0x88;
          packet[21] = static_cast<uint8_t>(room / 2);
          packet[20 + room / 2] = 7;
          packet[21 + room / 2] = static_cast<uint8_t>(room - room / 2);
        }
        for (uint32_t i = header; i < packet.size(); i++) packet[i] = static_cast<uint8_t>(i);
        store16be(&packet[kIpTotal], static_cast<uint16_t>(packet.size()));
        sealHeader(packet);
        const auto size = static_cast<uint32_t>(packet.size());
        Fragmenter fragmenter({packet.data(), size, size, false}, mtu);
        const uint32_t count = fragmenter.count();
        std::vector<Bytes> pieces;
        Bytes piece(mtu);
        for (uint32_t n; (n = fragmenter.next(piece.data())) != 0;) {
          REQUIRE(n <= mtu);
          pieces.emplace_back(piece.begin(), piece.begin() + n);
        }
        REQUIRE(count == pieces.size());
        REQUIRE(join(pieces) == packet);
        for (uint32_t i = 1; i < count; i++) {
          REQUIRE(headerOf(pieces[i]) == kIpHeader + (room >= 8 ? (room / 2 + 3) / 4 * 4 : 0));
        }
        for (uint32_t i = 0; i + 1 < count; i++) {
          REQUIRE(pieces[i].size() + 8 > mtu);  // none smaller than need be
          REQUIRE((pieces[i].size() - headerOf(pieces[i])) % 8 == 0);
        }
      }
    }
  }
}

TEST_CASE("Fragmenter: a wrong header checksum is as wrong in every piece; flags stay") {
  Bytes packet = divisible(udp(kInside, kRemote, 500));
  const uint16_t right = load16be(&packet[kIpChecksum]);
  store16be(&packet[kIpFragment], 0x8000 | 0x2000 | 3);
  sealHeader(packet);
  store16be(&packet[kIpChecksum], static_cast<uint16_t>(load16be(&packet[kIpChecksum]) ^ 0x0100));
  CHECK(load16be(&packet[kIpChecksum]) != right);
  const uint16_t sum = slowSum(packet.data(), kIpHeader);
  const auto size = static_cast<uint32_t>(packet.size());
  Fragmenter fragmenter({packet.data(), size, size, false}, 200);
  Bytes piece(200);
  uint32_t at = 24;
  for (uint32_t n; (n = fragmenter.next(piece.data())) != 0; at += n - kIpHeader) {
    CHECK(slowSum(piece.data(), kIpHeader) == sum);
    CHECK(load16be(&piece[kIpFragment]) == (0x8000 | 0x2000 | at / 8));
  }
}
