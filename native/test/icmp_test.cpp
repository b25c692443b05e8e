// ICMP errors that come by, and those that the NAT sends itself (RFC 5508; RFC 5382, REQ-4).
#include "test/support.h"

using namespace napt;
using namespace napt::test;

namespace {

constexpr uint32_t kRouter = ip(192, 0, 2, 1), kOneToOne = ip(203, 0, 113, 9),
                   kMapped = ip(192, 168, 226, 200);
constexpr End kOther{ip(198, 51, 100, 8), 53};

struct Sent {
  Bytes bytes;
  bool toInside;
  uint64_t at;
};
std::vector<Sent> taken(Translator& nat) {
  std::vector<Sent> out;
  nat.take([&](const StoredPacket& p, const uint8_t* bytes) {
    out.push_back({Bytes(bytes, bytes + p.length), p.toInside, p.at});
  });
  return out;
}

Bytes withTtl(Bytes packet, uint8_t ttl) {
  packet[kIpTtl] = ttl;
  sealHeader(packet);
  return packet;
}

Config answering() {
  Config c = config();
  c.icmpErrors = true;
  return c;
}

}  // namespace

TEST_CASE("ICMP: every type of error passes, and nothing else does") {
  auto nat = make(config());
  Bytes packet = udp(kInside, kRemote, 40);
  REQUIRE(run(*nat, packet).verdict == Verdict::Forwarded);
  for (uint32_t type = 0; type < 256; type++) {
    const bool error = type == kUnreachable || type == kSourceQuench || type == kTimeExceeded ||
                       type == kParameterProblem;
    const bool query =
        type == 0 || type == 8 || type == 13 || type == 14 || type == 17 || type == 18;
    const Result result =
        send(*nat, icmpError(kRouter, kPublic, static_cast<uint8_t>(type), 3, packet, 60));
    CHECK((result.verdict == Verdict::Forwarded) == error);
    if (!error) {
      CHECK(result.reason == (query ? Reason::NoMapping : Reason::UnsupportedProtocol));
    }
  }
}

TEST_CASE("ICMP: each kind of query is mapped, and answered by its own") {
  auto nat = make(config());
  for (const uint8_t type : {kEcho, kTimestamp, kAddressMask}) {
    Bytes query = echo(kInside.address, kRemote.address, 700);
    query[20] = type;
    seal(query);
    REQUIRE(run(*nat, query).verdict == Verdict::Forwarded);
    Bytes reply = echo(kRemote.address, kPublic, load16be(&query[24]), true);
    reply[20] = static_cast<uint8_t>(type == kEcho ? 0 : type + 1);
    seal(reply);
    REQUIRE(run(*nat, reply).verdict == Verdict::Forwarded);
    CHECK(load16be(&reply[24]) == 700);
    CHECK(isSound(reply));
    // A query is no answer, nor a reply a question.
    Bytes asked = echo(kRemote.address, kPublic, load16be(&query[24]));
    CHECK(run(*nat, asked).reason == Reason::NoMapping);
    Bytes told = echo(kInside.address, kRemote.address, 700, true);
    CHECK(run(*nat, told).reason == Reason::NoMapping);
  }
}

TEST_CASE("ICMP: what an error must quote") {
  auto nat = make(config());
  Bytes sent = udp(kInside, kRemote, 40);
  REQUIRE(run(*nat, sent).verdict == Verdict::Forwarded);
  const auto error = [&](const Bytes& about, size_t octets = 28) {
    return send(*nat, icmpError(kRouter, kPublic, kUnreachable, 3, about, octets));
  };
  CHECK(error(sent, 24).verdict == Verdict::Forwarded);
  CHECK(error(sent, 23).reason == Reason::IcmpEmbedded);
  CHECK(error(sent, 19).reason == Reason::IcmpEmbedded);
  Bytes later = sent;
  store16be(&later[kIpFragment], 2);
  sealHeader(later);
  CHECK(error(later).reason == Reason::IcmpEmbedded);
  Bytes wrong = sent;
  wrong[kIpChecksum] ^= 1;
  CHECK(error(wrong).reason == Reason::IcmpChecksum);
  Bytes other = sent;
  other[kIpProtocol] = 99;
  sealHeader(other);
  CHECK(error(other).reason == Reason::IcmpEmbedded);
  // To a remote that was never spoken to.
  Bytes stranger = sent;
  store(&stranger[kIpDestination], kOther.address);
  seal(stranger);
  CHECK(error(stranger).reason == Reason::IcmpNoSession);
  // A wrong checksum of the error's own, anywhere in it.
  Bytes flipped = icmpError(kRouter, kPublic, kUnreachable, 3, sent, 60);
  flipped.back() ^= 1;
  CHECK(run(*nat, flipped).reason == Reason::IcmpChecksum);
}

TEST_CASE("ICMP: what lies behind the quoted packet is not touched (RFC 4884)") {
  auto nat = make(config());
  Bytes sent = udp(kInside, kRemote, 0);
  REQUIRE(run(*nat, sent).verdict == Verdict::Forwarded);
  // The quoted packet ends after its ports, by its own length: zeros and an extension follow.
  Bytes quoted = sent;
  store16be(&quoted[kIpTotal], 24);
  sealHeader(quoted);
  quoted.resize(24);
  quoted.resize(140, 0xab);
  Bytes error = icmpError(kRouter, kPublic, kTimeExceeded, 0, quoted, 140);
  const Bytes before = error;
  REQUIRE(run(*nat, error).verdict == Verdict::Forwarded);
  CHECK(std::equal(error.begin() + 52, error.end(), before.begin() + 52));
  CHECK(isSound(error));
}

TEST_CASE("ICMP: about queries, both ways, and between inside hosts") {
  Config c = config();
  setAll(c.policies[0].filtering, Behaviour::EndpointIndependent);
  c.statics = {{kOneToOne, kMapped}};
  auto nat = make(c);
  const auto quotedId = [](const Bytes& error) { return load16be(&error[52]); };
  SUBCASE("inbound") {
    Bytes query = echo(kInside.address, kRemote.address, 700);
    REQUIRE(run(*nat, query).verdict == Verdict::Forwarded);
    Bytes error = icmpError(kRouter, kPublic, kTimeExceeded, 0, query, 36);
    REQUIRE(run(*nat, error).verdict == Verdict::Forwarded);
    CHECK(quotedId(error) == 700);
    CHECK(load<uint32_t>(&error[28 + kIpSource]) == kInside.address);
    CHECK(isSound(error));
    const Bytes inner(error.begin() + 28, error.end());
    CHECK(isSound(inner));
  }
  SUBCASE("outbound, about a reply") {
    Bytes query = echo(kInside.address, kRemote.address, 700);
    REQUIRE(run(*nat, query).verdict == Verdict::Forwarded);
    const uint16_t id = load16be(&query[24]);
    Bytes reply = echo(kRemote.address, kPublic, id, true);
    REQUIRE(run(*nat, reply).verdict == Verdict::Forwarded);
    Bytes error = icmpError(kInside.address, kRemote.address, kUnreachable, 2, reply, 36);
    REQUIRE(run(*nat, error).verdict == Verdict::Forwarded);
    CHECK(quotedId(error) == id);
    CHECK(load<uint32_t>(&error[28 + kIpDestination]) == kPublic);
    CHECK(isSound(error));
  }
  SUBCASE("hairpinned, to a 1:1 address") {
    Bytes query = echo(kInside.address, kOneToOne, 700);
    const Result result = run(*nat, query);
    REQUIRE(result.direction == Direction::Hairpin);
    REQUIRE(result.verdict == Verdict::Forwarded);
    CHECK(load<uint32_t>(&query[kIpDestination]) == kMapped);
    Bytes error = icmpError(kMapped, kPublic, kUnreachable, 1, query, 36);
    REQUIRE(run(*nat, error).verdict == Verdict::Forwarded);
    CHECK(load<uint32_t>(&error[kIpDestination]) == kInside.address);
    CHECK(load<uint32_t>(&error[kIpSource]) == kOneToOne);
    CHECK(load<uint32_t>(&error[28 + kIpSource]) == kInside.address);
    CHECK(load<uint32_t>(&error[28 + kIpDestination]) == kOneToOne);
    CHECK(quotedId(error) == 700);
    CHECK(isSound(error));
  }
}

TEST_CASE("ICMP: an outbound error leaves from the sender's 1:1 address, or the NAT's (REQ-5c)") {
  Config c = config();
  c.statics = {{kOneToOne, kMapped}};
  auto nat = make(c);
  const End outside = mapped(*nat, kInside);
  const Bytes got = udp(kRemote, kInside);
  REQUIRE(delivered(*nat, kRemote, outside) == kInside);
  for (const auto& [sender, leaves] :
       {std::pair(kInside.address, kPublic), std::pair(kNeighbour.address, kPublic),
        std::pair(kMapped, kOneToOne)}) {
    Bytes error = icmpError(sender, kRemote.address, kUnreachable, 3, got, 28);
    REQUIRE(run(*nat, error).verdict == Verdict::Forwarded);
    CHECK(load<uint32_t>(&error[kIpSource]) == leaves);
  }
  // Its identification is nobody else's, as of any datagram (RFC 6864).
  const Bytes plain = fragmentable(icmpError(kInside.address, kRemote.address, 3, 3, got), 9);
  Bytes one = plain, two = plain;
  store(&two[kIpSource], kNeighbour.address);
  sealHeader(two);
  REQUIRE(run(*nat, one).verdict == Verdict::Forwarded);
  REQUIRE(run(*nat, two).verdict == Verdict::Forwarded);
  CHECK(load16be(&one[kIpId]) == 9);
  CHECK(load16be(&two[kIpId]) != 9);
}

TEST_CASE("ICMP: an error to another endpoint than the session's is not the session's") {
  Config c = config();
  c.forwards = {{kTcp, kPublic, 90, kInside.address, 90}, {kTcp, kPublic, 91, kInside.address, 90}};
  auto nat = make(c);
  REQUIRE(send(*nat, tcp(kOther, {kPublic, 90}, kSyn, 500)).verdict == Verdict::Forwarded);
  REQUIRE(send(*nat, tcp({kInside.address, 90}, kOther, kSyn | kAck, 100, 501)).verdict ==
          Verdict::Forwarded);
  const auto reason = [&](uint16_t port, uint32_t sequence) {
    const Bytes sent = tcp({kPublic, port}, kOther, kAck, sequence);
    return send(*nat, icmpError(kRouter, kPublic, kUnreachable, 1, sent)).reason;
  };
  CHECK(reason(90, 100) == Reason::None);
  CHECK(reason(90, 5'000'000) == Reason::IcmpOutOfWindow);
  CHECK(reason(91, 5'000'000) == Reason::None);  // no session of its own to compare with
}

// Errors of the NAT's own.

TEST_CASE("originated: time exceeded, to either side, about the packet as it came") {
  auto nat = make(answering());
  const End outside = mapped(*nat, kInside);
  for (const bool inbound : {false, true}) {
    Bytes packet = inbound ? udp(kRemote, outside, 600) : udp(kInside, kRemote, 600);
    packet[kIpTos] = 0xb9;
    packet = withTtl(packet, 1);
    const Bytes before = packet;
    CHECK(run(*nat, packet).reason == Reason::TtlExpired);
    CHECK(packet == before);
    const std::vector<Sent> out = taken(*nat);
    REQUIRE(out.size() == 1);
    const Bytes& error = out[0].bytes;
    CHECK(out[0].toInside == !inbound);
    CHECK(error.size() == 576);
    CHECK(isSound(error));
    CHECK(error[20] == kTimeExceeded);
    CHECK(error[21] == 0);
    CHECK(error[kIpTos] == 0xb8);  // its class, not its congestion bits
    CHECK(load<uint32_t>(&error[kIpSource]) == kPublic);
    CHECK(load<uint32_t>(&error[kIpDestination]) == load<uint32_t>(&before[kIpSource]));
    CHECK(std::equal(error.begin() + 28, error.end(), before.begin()));
  }
  CHECK(nat->stats.originated == 2);
}

TEST_CASE("originated: to inside from the NAT's own address there, to outside from a public one") {
  Config c = config();
  c.icmpErrors = true;
  c.insideAddress = ip(192, 168, 226, 2);
  auto nat = make(c);
  const End out = mapped(*nat, kInside);
  send(*nat, withTtl(udp(kInside, kRemote), 1));
  send(*nat, withTtl(udp(kRemote, out), 1));
  std::vector<uint32_t> sources;
  nat->take([&](const StoredPacket&, const uint8_t* p) {
    sources.push_back(load<uint32_t>(p + kIpSource));
  });
  CHECK(sources == std::vector<uint32_t>{c.insideAddress, kPublic});
}

TEST_CASE("originated: a TTL of 1 or 0 is dropped, 2 goes on; kept ones go on with 1") {
  for (const bool decrement : {true, false}) {
    Config c = answering();
    c.decrementTtl = decrement;
    auto nat = make(c);
    CHECK(send(*nat, withTtl(udp(kInside, kRemote), 0)).reason == Reason::TtlExpired);
    CHECK((send(*nat, withTtl(udp(kInside, kRemote), 1)).reason == Reason::TtlExpired) ==
          decrement);
    CHECK(send(*nat, withTtl(udp(kInside, kRemote), 2)).verdict == Verdict::Forwarded);
  }
}

TEST_CASE("originated: what is never answered (RFC 1812, 4.3.2.7)") {
  auto nat = make(answering());
  const End outside = mapped(*nat, kInside);
  const Bytes got = udp(kRemote, kInside);
  CHECK(send(*nat, withTtl(icmpError(kInside.address, kRemote.address, 3, 3, got), 1)).reason ==
        Reason::TtlExpired);
  Bytes later = udp(kInside, kRemote);
  store16be(&later[kIpFragment], 2);
  CHECK(send(*nat, withTtl(later, 1)).reason == Reason::TtlExpired);
  CHECK(send(*nat, withTtl(udp({ip(127, 0, 0, 1), 1}, outside), 1)).reason ==
        Reason::InvalidSource);
  CHECK(taken(*nat).empty());
  // A first fragment is.
  Bytes first = udp(kInside, kRemote, 16);
  store16be(&first[kIpFragment], 0x2000);
  CHECK(send(*nat, withTtl(first, 1)).reason == Reason::TtlExpired);
  CHECK(taken(*nat).size() == 1);
  // Nor is anything where the config wants none.
  auto silent = make(config());
  CHECK(send(*silent, withTtl(udp(kInside, kRemote), 1)).reason == Reason::TtlExpired);
  CHECK(taken(*silent).empty());
}

TEST_CASE("originated: a loopback source inside is not answered") {
  Config c = answering();
  c.inside.push_back({0x7f000000, 0xff000000});
  auto nat = make(c);
  CHECK(send(*nat, withTtl(udp({ip(127, 0, 0, 1), 1}, kRemote), 1)).reason == Reason::TtlExpired);
  CHECK(taken(*nat).empty());
}

TEST_CASE("originated: where there is no pool, from the 1:1 address that is meant") {
  constexpr uint32_t kFirst = ip(203, 0, 113, 8);
  Config c = answering();
  c.outside.clear();
  c.statics = {{kFirst, kNeighbour.address}, {kOneToOne, kMapped}};
  auto nat = make(c);
  const auto answer = [&](const Bytes& packet, Reason reason) {
    CHECK(send(*nat, packet).reason == reason);
    nat->flush();
    const std::vector<Sent> out = taken(*nat);
    REQUIRE(out.size() == 1);
    CHECK(isSound(out[0].bytes));
    CHECK(load<uint32_t>(&out[0].bytes[kIpDestination]) == load<uint32_t>(&packet[kIpSource]));
    return load<uint32_t>(&out[0].bytes[kIpSource]);
  };
  CHECK(answer(withTtl(udp({kMapped, 1}, kRemote), 1), Reason::TtlExpired) == kOneToOne);
  CHECK(answer(withTtl(udp(kNeighbour, kRemote), 1), Reason::TtlExpired) == kFirst);
  CHECK(answer(withTtl(udp(kRemote, {kOneToOne, 1}), 1), Reason::TtlExpired) == kOneToOne);
  // Who has none is refused by one of them.
  CHECK(answer(udp(kInside, kRemote), Reason::PortsExhausted) == kFirst);
}

TEST_CASE("originated: so many a second to each side, fifty at once (REQ-10f)") {
  Config c = answering();
  c.icmpErrorRate = 100;
  auto nat = make(c);
  const End outside = mapped(*nat, kInside);
  const auto answered = [&](bool inbound, uint64_t now, int tries) {
    for (int i = 0; i < tries; i++) {
      send(*nat, withTtl(inbound ? udp(kRemote, outside) : udp(kInside, kRemote), 1), now);
    }
    return taken(*nat).size();
  };
  CHECK(answered(false, kSecond, 80) == 50);
  CHECK(answered(true, kSecond, 80) == 50);
  CHECK(answered(false, kSecond + 9 * kMs, 5) == 0);
  CHECK(answered(false, kSecond + 10 * kMs, 5) == 1);
  CHECK(answered(false, 60 * kSecond, 80) == 50);
}

TEST_CASE("originated: administratively prohibited to inside hosts that are refused (REQ-8)") {
  Config c = answering();
  c.sessionLimit = 1;
  c.forwards = {{kUdp, kPublic, 90, kInside.address, 90}};
  auto nat = make(c);
  REQUIRE(mapped(*nat, kInside).port != 0);
  CHECK(send(*nat, udp(kNeighbour, kRemote)).reason == Reason::SessionLimit);
  const std::vector<Sent> out = taken(*nat);
  REQUIRE(out.size() == 1);
  CHECK(out[0].toInside);
  CHECK(out[0].bytes[20] == kUnreachable);
  CHECK(out[0].bytes[21] == 13);
  // Outsiders are told nothing of it.
  CHECK(send(*nat, udp(kOther, {kPublic, 90})).reason == Reason::SessionLimit);
  CHECK(taken(*nat).empty());
}

TEST_CASE("originated: an unsolicited SYN is answered after six seconds (RFC 5382, REQ-4)") {
  Config c = answering();
  c.policies[0].preservePorts = true;
  auto nat = make(c);
  REQUIRE(send(*nat, tcp(kInside, kOther, kSyn), 0).verdict == Verdict::Forwarded);
  const End outside{kPublic, kInside.port};
  const Bytes syn = tcp(kRemote, outside, kSyn, 500);
  SUBCASE("to a port that is somebody's, and one that is nobody's") {
    for (const End to : {outside, End{kPublic, 4444}}) {
      REQUIRE(send(*nat, tcp(kRemote, to, kSyn, 500), 10 * kSecond).verdict == Verdict::Dropped);
    }
    nat->advance(16 * kSecond - 1, 10);
    CHECK(taken(*nat).empty());
    nat->advance(16 * kSecond, 10);
    const std::vector<Sent> out = taken(*nat);
    REQUIRE(out.size() == 2);
    CHECK(out[0].bytes[20] == kUnreachable);
    CHECK(out[0].bytes[21] == 3);
    CHECK_FALSE(out[0].toInside);
    CHECK(out[0].at == 16 * kSecond);
    CHECK(std::equal(syn.begin(), syn.end(), out[0].bytes.begin() + 28));
  }
  SUBCASE("what can't be half of a simultaneous open is not") {
    for (const int flags : {kSyn | kAck, kAck + 0, kRst | kSyn, kRst + 0}) {
      send(*nat, tcp(kRemote, outside, static_cast<uint8_t>(flags), 500));
    }
    nat->flush();
    CHECK(taken(*nat).empty());
  }
  SUBCASE("not if the inside host opens that connection meanwhile") {
    send(*nat, syn, kSecond);
    send(*nat, tcp({kRemote.address, 54}, outside, kSyn, 500), kSecond);
    REQUIRE(send(*nat, tcp(kInside, kRemote, kSyn, 100), 3 * kSecond).verdict ==
            Verdict::Forwarded);
    nat->advance(20 * kSecond, 10);
    const std::vector<Sent> out = taken(*nat);
    REQUIRE(out.size() == 1);
    CHECK(load16be(&out[0].bytes[28 + 20]) == 54);
  }
  SUBCASE("but a connection that is picked up is no answer") {
    send(*nat, syn, kSecond);
    REQUIRE(send(*nat, tcp(kInside, kRemote, kAck, 100, 1), 3 * kSecond).verdict ==
            Verdict::Forwarded);
    nat->advance(20 * kSecond, 10);
    CHECK(taken(*nat).size() == 1);
  }
  SUBCASE("nor is one from another port") {
    send(*nat, syn, kSecond);
    REQUIRE(send(*nat, tcp({kInside.address, 4002}, kRemote, kSyn, 100), 3 * kSecond).verdict ==
            Verdict::Forwarded);
    nat->advance(20 * kSecond, 10);
    CHECK(taken(*nat).size() == 1);
  }
  SUBCASE("no more than 64 wait") {
    for (uint16_t port = 1; port <= 100; port++) {
      send(*nat, tcp({kRemote.address, port}, outside, kSyn), kSecond);
    }
    nat->flush();
    CHECK(taken(*nat).size() == 64);
  }
}

TEST_CASE("ICMP: an error about what a 1:1 host sent, with a session and without") {
  Config c = config();
  c.statics = {{kOneToOne, kMapped}};
  auto nat = make(c);
  const End host{kMapped, 4000}, outside{kOneToOne, 4000};
  const Bytes sent = udp(host, kRemote);
  for (const bool session : {true, false}) {
    if (!session) nat = make(c);
    Bytes out = udp(outside, kRemote);
    if (session) {
      out = sent;
      REQUIRE(run(*nat, out).verdict == Verdict::Forwarded);
    }
    Bytes error = icmpError(kRouter, kOneToOne, kUnreachable, 3, out);
    REQUIRE(run(*nat, error).verdict == Verdict::Forwarded);
    CHECK(isSound(error));
    CHECK(load<uint32_t>(&error[kIpDestination]) == kMapped);
    const Bytes quoted(error.begin() + 28, error.end());
    CHECK(sourceOf(quoted) == host);
    CHECK(destinationOf(quoted) == kRemote);
  }
}
