// Transports beside TCP, UDP and ICMP: DCCP, SCTP, UDP-Lite, GRE, ESP and any other.
#include "nat/dccp.h"
#include "nat/sctp.h"
#include "test/support.h"

using namespace napt;
using namespace napt::test;

namespace {

constexpr End kOther{ip(198, 51, 100, 8), 53};

Config carrying(std::vector<uint8_t> protocols) {
  Config c = config();
  for (const uint8_t protocol : protocols) c.protocols.add(protocol);
  return c;
}

Bytes withPorts(size_t length, End from, End to) {
  Bytes body(length);
  store16be(&body[0], from.port);
  store16be(&body[2], to.port);
  return body;
}

uint16_t pseudoHeader(const Bytes& packet) {
  return static_cast<uint16_t>(slowSum(&packet[kIpSource], 8, packet[kIpProtocol]) + 0u);
}
/// The checksum over pseudo-header and transport, 0 where it verifies.
uint16_t transportSum(const Bytes& packet) {
  const size_t length = packet.size() - kIpHeader;
  return static_cast<uint16_t>(
      ~slowSum(&packet[kIpHeader], length, pseudoHeader(packet) + static_cast<uint32_t>(length)));
}

Bytes dccp(End from, End to, uint8_t type) {
  Bytes body = withPorts(16, from, to);
  body[4] = 4;  // data offset
  body[8] = static_cast<uint8_t>(type << 1 | 1);
  body[15] = 9;
  Bytes packet = ipv4(kDccp, from.address, to.address, body);
  store16be(&packet[26], transportSum(packet));
  return packet;
}

Bytes sctp(End from, End to, uint32_t tag, uint8_t chunk, uint32_t initTag = 0, uint8_t flags = 0) {
  Bytes body = withPorts(32, from, to);
  store(&body[4], swap32(tag));
  store(&body[8], 0xdeadbeefu);  // CRC32c: covers no addresses
  body[12] = chunk;
  body[13] = flags;
  store16be(&body[14], 20);
  store(&body[16], swap32(initTag));
  return ipv4(kSctp, from.address, to.address, body);
}

Bytes udpLite(End from, End to, uint16_t coverage) {
  Bytes body = withPorts(20, from, to);
  store16be(&body[4], coverage);
  for (size_t i = 8; i < body.size(); i++) body[i] = static_cast<uint8_t>(i * 5);
  Bytes packet = ipv4(kUdpLite, from.address, to.address, body);
  const size_t covered = coverage == 0 ? body.size() : coverage;
  const uint16_t sum = slowSum(&packet[kIpHeader], covered,
                               pseudoHeader(packet) + static_cast<uint32_t>(body.size()));
  store16be(&packet[26], static_cast<uint16_t>(~sum));
  return packet;
}

constexpr uint8_t kData = 0;

}  // namespace

TEST_CASE("transports that are off are unsupported") {
  auto nat = make(config());
  for (const uint8_t protocol : {kUdpLite, kDccp, kSctp, kGre, kEsp, kIgmp}) {
    Bytes packet = ipv4(protocol, kInside.address, kRemote.address, Bytes(32));
    const Bytes before = packet;
    CHECK(run(*nat, packet).reason == Reason::UnsupportedProtocol);
    CHECK(packet == before);
    store16be(&packet[kIpFragment], 4);  // a later fragment
    sealHeader(packet);
    CHECK(run(*nat, packet).reason == Reason::UnsupportedProtocol);
  }
}

TEST_CASE("UDP-Lite: like UDP, with ports of its own, and a checksum always (RFC 3828)") {
  Config c = carrying({kUdpLite});
  c.policies[0].preservePorts = true;
  c.profiles[0].timeouts[static_cast<int>(Timeout::Udp)] = 300 * kSecond;
  auto nat = make(c);
  REQUIRE(mapped(*nat, kInside).port == 4000);
  for (const uint16_t coverage : {uint16_t{8}, uint16_t{12}, uint16_t{0}}) {
    Bytes packet = udpLite(kNeighbour, kRemote, coverage);
    REQUIRE(run(*nat, packet).verdict == Verdict::Forwarded);
    CHECK(sourceOf(packet) == End{kPublic, 4000});
    const size_t covered = coverage == 0 ? packet.size() - kIpHeader : coverage;
    CHECK(slowSum(&packet[kIpHeader], covered,
                  pseudoHeader(packet) + static_cast<uint32_t>(packet.size() - kIpHeader)) ==
          0xffff);
    Bytes answer = udpLite(kRemote, {kPublic, 4000}, coverage);
    REQUIRE(run(*nat, answer).verdict == Verdict::Forwarded);
    CHECK(destinationOf(answer) == kNeighbour);
  }
  Bytes strange = udpLite(kOther, {kPublic, 4000}, 8);
  CHECK(run(*nat, strange).reason == Reason::Filtered);
  Bytes late = udpLite(kRemote, {kPublic, 4000}, 8);
  CHECK(run(*nat, late, 300 * kSecond).reason == Reason::NoMapping);
}

TEST_CASE("UDP-Lite: a computed checksum of 0 is sent as 0xffff") {
  auto nat = make(carrying({kUdpLite}));
  Bytes packet = udpLite(kInside, kRemote, 8);
  REQUIRE(run(*nat, packet).verdict == Verdict::Forwarded);
  // The same packet, its checksum moved by what makes the outcome 0.
  Bytes zero = udpLite(kInside, kRemote, 8);
  const uint16_t before = load16be(&zero[26]), after = load16be(&packet[26]);
  const uint32_t moved = before + (0xffffu - after);  // one's complement: less `after`
  store16be(&zero[26], static_cast<uint16_t>((moved & 0xffff) + (moved >> 16)));
  REQUIRE(run(*nat, zero).verdict == Verdict::Forwarded);
  CHECK(load16be(&zero[26]) == 0xffff);
}

TEST_CASE("DCCP: ports are mapped, the checksum follows") {
  auto nat = make(carrying({kDccp}));
  Bytes packet = dccp(kInside, kRemote, kDccpRequest);
  REQUIRE(run(*nat, packet).verdict == Verdict::Forwarded);
  CHECK(sourceOf(packet).address == kPublic);
  CHECK(transportSum(packet) == 0);
  Bytes answer = dccp(kRemote, sourceOf(packet), kDccpResponse);
  REQUIRE(run(*nat, answer).verdict == Verdict::Forwarded);
  CHECK(destinationOf(answer) == kInside);
  CHECK(transportSum(answer) == 0);
  Bytes cut = dccp(kInside, kRemote, kDccpRequest);
  cut.resize(kIpHeader + 11);
  store16be(&cut[kIpTotal], static_cast<uint16_t>(cut.size()));
  sealHeader(cut);
  CHECK(run(*nat, cut).reason == Reason::Malformed);
}

TEST_CASE("DCCP: only a Request opens from outside, where filtering allows it") {
  Config c = carrying({kDccp});
  setAll(c.policies[0].filtering, Behaviour::EndpointIndependent);
  auto nat = make(c);
  Bytes packet = dccp(kInside, kRemote, kDccpRequest);
  REQUIRE(run(*nat, packet).verdict == Verdict::Forwarded);
  const End outside = sourceOf(packet);
  CHECK(send(*nat, dccp(kOther, outside, 2)).reason == Reason::TcpNoSession);
  CHECK(send(*nat, dccp(kOther, outside, kDccpRequest)).verdict == Verdict::Forwarded);
  CHECK(send(*nat, dccp(kOther, outside, 2)).verdict == Verdict::Forwarded);
}

TEST_CASE("DCCP: opening, established, closing (RFC 5597)") {
  Config c = carrying({kDccp});
  c.profiles[0].timeouts[static_cast<int>(Timeout::DccpEstablished)] = 7440 * kSecond;
  c.profiles[0].timeouts[static_cast<int>(Timeout::DccpTransitory)] = 240 * kSecond;
  auto nat = make(c);
  constexpr uint8_t kAckType = 3;
  Bytes first = dccp(kInside, kRemote, kDccpRequest);
  REQUIRE(run(*nat, first).verdict == Verdict::Forwarded);
  const End outside = sourceOf(first);
  const auto out = [&](uint8_t type, uint64_t now) {
    REQUIRE(send(*nat, dccp(kInside, kRemote, type), now).verdict == Verdict::Forwarded);
  };
  const auto in = [&](uint8_t type, uint64_t now) {
    REQUIRE(send(*nat, dccp(kRemote, outside, type), now).verdict == Verdict::Forwarded);
  };
  const auto endsAt = [&](uint64_t seconds) {
    const bool before = nat->advance(seconds * kSecond - kMs, 1000) == 0;
    return before && nat->sweep(seconds * kSecond, 1000) == 1;
  };
  SUBCASE("the first answer alone leaves it opening") {
    in(kDccpResponse, 10 * kSecond);
    CHECK(endsAt(250));
  }
  SUBCASE("both spoke: established, refreshed from either side") {
    in(kDccpResponse, 0);
    out(kAckType, 0);
    in(kAckType, 100 * kSecond);
    CHECK(endsAt(7540));
  }
  SUBCASE("a stray Request or Listen changes nothing") {
    in(kDccpResponse, 0);
    out(kAckType, 0);
    out(kDccpRequest, 50 * kSecond);
    in(kDccpListen, 60 * kSecond);
    CHECK(endsAt(7440));
  }
  SUBCASE("a Close or a Reset: transitory from then, and no Reset lengthens that") {
    in(kDccpResponse, 0);
    out(kAckType, 0);
    SUBCASE("Close") { in(kDccpClose, 100 * kSecond); }
    SUBCASE("Reset") { out(kDccpReset, 100 * kSecond); }
    in(kDccpReset, 200 * kSecond);
    CHECK(endsAt(340));
  }
  SUBCASE("a Close repeated lengthens it") {
    in(kDccpResponse, 0);
    out(kAckType, 0);
    in(kDccpClose, 100 * kSecond);
    out(kDccpClose, 200 * kSecond);
    CHECK(endsAt(440));
  }
  SUBCASE("what follows a Reset takes it back") {
    in(kDccpResponse, 0);
    out(kAckType, 0);
    in(kDccpReset, 100 * kSecond);
    out(kAckType, 200 * kSecond);
    CHECK(endsAt(7640));
  }
  SUBCASE("a Request after the end begins afresh") {
    in(kDccpResponse, 0);
    out(kAckType, 0);
    in(kDccpReset, 100 * kSecond);
    out(kDccpRequest, 200 * kSecond);
    out(kAckType, 200 * kSecond);
    CHECK(endsAt(440));  // the other side has not spoken since
  }
}

TEST_CASE("SCTP: the address alone is translated, checksum and ports stay") {
  auto nat = make(carrying({kSctp}));
  const Bytes sent = sctp(kInside, kRemote, 0, kSctpInit, 0x11111111);
  Bytes packet = sent;
  REQUIRE(run(*nat, packet).verdict == Verdict::Forwarded);
  CHECK(sourceOf(packet) == End{kPublic, kInside.port});
  CHECK(std::equal(packet.begin() + kIpHeader, packet.end(), sent.begin() + kIpHeader));
  CHECK(slowSum(packet.data(), kIpHeader) == 0xffff);
  Bytes answer = sctp(kRemote, {kPublic, kInside.port}, 0x11111111, kSctpInitAck, 0x22222222);
  const Bytes before = answer;
  REQUIRE(run(*nat, answer).verdict == Verdict::Forwarded);
  CHECK(destinationOf(answer) == kInside);
  CHECK(std::equal(answer.begin() + kIpHeader, answer.end(), before.begin() + kIpHeader));
  CHECK(send(*nat, sctp(kOther, {kPublic, kInside.port}, 0x11111111, kData)).reason ==
        Reason::NoMapping);
}

TEST_CASE("SCTP: hosts with one port to one remote are told apart by their tags") {
  auto nat = make(carrying({kSctp}));
  const auto init = [&](End from, uint32_t tag) {
    return send(*nat, sctp(from, kRemote, 0, kSctpInit, tag));
  };
  REQUIRE(init(kInside, 0x11111111).verdict == Verdict::Forwarded);
  REQUIRE(init(kNeighbour, 0x22222222).verdict == Verdict::Forwarded);
  // The same tag can't be told apart: refused, not mixed up.
  CHECK(init({ip(192, 168, 226, 137), 4000}, 0x11111111).reason == Reason::PortsExhausted);
  const End outside{kPublic, 4000};
  const auto arrives = [&](uint32_t tag, uint8_t chunk, uint32_t initTag) {
    Bytes packet = sctp(kRemote, outside, tag, chunk, initTag);
    return run(*nat, packet).verdict == Verdict::Forwarded ? destinationOf(packet) : End{0, 0};
  };
  CHECK(arrives(0x11111111, kSctpInitAck, 0xaaaaaaaa) == kInside);
  CHECK(arrives(0x22222222, kSctpInitAck, 0xbbbbbbbb) == kNeighbour);
  CHECK(arrives(0x11111111, kData, 0) == kInside);
  CHECK(arrives(0x22222222, kData, 0) == kNeighbour);
  CHECK(arrives(0x33333333, kData, 0).port == 0);
  // With the T bit a packet carries the tag that its receiver sends with.
  Bytes abort = sctp(kRemote, outside, 0xbbbbbbbb, kSctpAbort, 0, 1);
  REQUIRE(run(*nat, abort).verdict == Verdict::Forwarded);
  CHECK(destinationOf(abort) == kNeighbour);
}

TEST_CASE("SCTP: opening, established, closing; a wrong tag changes nothing") {
  Config c = carrying({kSctp});
  c.profiles[0].timeouts[static_cast<int>(Timeout::SctpEstablished)] = 7440 * kSecond;
  c.profiles[0].timeouts[static_cast<int>(Timeout::SctpTransitory)] = 240 * kSecond;
  auto nat = make(c);
  constexpr uint32_t kOurs = 0x11111111, kTheirs = 0x22222222;
  constexpr uint8_t kCookieEcho = 10, kCookieAck = 11;
  const End outside{kPublic, kInside.port};
  const auto out = [&](uint32_t tag, uint8_t chunk, uint64_t now, uint32_t initTag = 0) {
    REQUIRE(send(*nat, sctp(kInside, kRemote, tag, chunk, initTag), now).verdict ==
            Verdict::Forwarded);
  };
  const auto in = [&](uint32_t tag, uint8_t chunk, uint64_t now, uint32_t initTag = 0,
                      uint8_t flags = 0) {
    REQUIRE(send(*nat, sctp(kRemote, outside, tag, chunk, initTag, flags), now).verdict ==
            Verdict::Forwarded);
  };
  const auto endsAt = [&](uint64_t seconds) {
    const bool before = nat->advance(seconds * kSecond - kMs, 1000) == 0;
    return before && nat->sweep(seconds * kSecond, 1000) == 1;
  };
  out(0, kSctpInit, 0, kOurs);
  in(kOurs, kSctpInitAck, 0, kTheirs);
  SUBCASE("not answered with the tag: opening") {
    out(kTheirs, kCookieEcho, 10 * kSecond);
    CHECK(endsAt(250));
  }
  SUBCASE("an ACK with a wrong tag refreshes nothing") {
    out(0x99999999, kCookieEcho, 10 * kSecond);
    CHECK(endsAt(240));
  }
  SUBCASE("established") {
    out(kTheirs, kCookieEcho, 0);
    in(kOurs, kCookieAck, 0);
    SUBCASE("refreshed from either side") {
      in(kOurs, kData, 100 * kSecond);
      CHECK(endsAt(7540));
    }
    SUBCASE("an ABORT shortens it, a chunk takes it back") {
      in(kOurs, kSctpAbort, 100 * kSecond);
      SUBCASE("nothing follows") { CHECK(endsAt(340)); }
      SUBCASE("data follow") {
        out(kTheirs, kData, 200 * kSecond);
        CHECK(endsAt(7640));
      }
    }
    SUBCASE("an ABORT with the reflected tag counts as well") {
      in(kTheirs, kSctpAbort, 100 * kSecond, 0, 1);
      CHECK(endsAt(340));
    }
    SUBCASE("an ABORT from inside with a wrong tag does not count") {
      out(0x99999999, kSctpAbort, 100 * kSecond);
      CHECK(endsAt(7440));
    }
    SUBCASE("SHUTDOWN COMPLETE") {
      out(kTheirs, kSctpShutdownComplete, 100 * kSecond);
      CHECK(endsAt(340));
    }
    SUBCASE("an INIT of its own accord changes nothing") {
      out(0, kSctpInit, 100 * kSecond, 0x33333333);
      CHECK(endsAt(7440));
      CHECK(nat->stats.sessionsCreated == 1);
    }
  }
}

TEST_CASE("SCTP: picked up in mid-stream, the first answer tells the tag") {
  auto nat = make(carrying({kSctp}));
  REQUIRE(send(*nat, sctp(kInside, kRemote, 0x22222222, kData)).verdict == Verdict::Forwarded);
  const End outside{kPublic, kInside.port};
  Bytes answer = sctp(kRemote, outside, 0x11111111, kData);
  REQUIRE(run(*nat, answer).verdict == Verdict::Forwarded);
  CHECK(destinationOf(answer) == kInside);
  CHECK(send(*nat, sctp(kRemote, outside, 0x11111111, kData)).verdict == Verdict::Forwarded);
}

TEST_CASE("SCTP: an ICMP error finds the association by the quoted tag") {
  auto nat = make(carrying({kSctp}));
  Bytes one = sctp(kInside, kRemote, 0, kSctpInit, 0x11111111);
  Bytes two = sctp(kNeighbour, kRemote, 0, kSctpInit, 0x22222222);
  REQUIRE(run(*nat, one).verdict == Verdict::Forwarded);
  REQUIRE(run(*nat, two).verdict == Verdict::Forwarded);
  const End outside{kPublic, 4000};
  REQUIRE(send(*nat, sctp(kRemote, outside, 0x11111111, kSctpInitAck, 0xaaaaaaaa)).verdict ==
          Verdict::Forwarded);
  REQUIRE(send(*nat, sctp(kRemote, outside, 0x22222222, kSctpInitAck, 0xbbbbbbbb)).verdict ==
          Verdict::Forwarded);
  Bytes sent = sctp(kNeighbour, kRemote, 0xbbbbbbbb, kData);
  REQUIRE(run(*nat, sent).verdict == Verdict::Forwarded);
  Bytes error = icmpError(ip(192, 0, 2, 1), kPublic, kUnreachable, 3, sent, 28);
  REQUIRE(run(*nat, error).verdict == Verdict::Forwarded);
  CHECK(load<uint32_t>(&error[kIpDestination]) == kNeighbour.address);
  CHECK(isSound(error));
  CHECK(load<uint32_t>(&error[28 + kIpSource]) == kNeighbour.address);
}

TEST_CASE("GRE and ESP: one inside host for each remote") {
  for (const uint8_t protocol : std::initializer_list<uint8_t>{kGre, kEsp, 99}) {
    Config c = carrying({protocol});
    const Timeout idle = protocol == kGre   ? Timeout::Gre
                         : protocol == kEsp ? Timeout::Esp
                                            : Timeout::Other;
    c.profiles[0].timeouts[static_cast<int>(idle)] = 300 * kSecond;
    auto nat = make(c);
    const auto packet = [&](uint32_t from, uint32_t to) {
      return ipv4(protocol, from, to, Bytes(24, 0));
    };
    Bytes out = packet(kInside.address, kRemote.address);
    REQUIRE(run(*nat, out).verdict == Verdict::Forwarded);
    CHECK(load<uint32_t>(&out[kIpSource]) == kPublic);
    CHECK(slowSum(out.data(), kIpHeader) == 0xffff);
    CHECK(Bytes(out.begin() + kIpHeader, out.end()) == Bytes(24, 0));
    CHECK(send(*nat, packet(kNeighbour.address, kRemote.address)).reason == Reason::PortsExhausted);
    CHECK(send(*nat, packet(kNeighbour.address, kOther.address)).verdict == Verdict::Forwarded);
    for (const auto& [remote, inside] :
         {std::pair(kRemote, kInside), std::pair(kOther, kNeighbour)}) {
      Bytes in = packet(remote.address, kPublic);
      REQUIRE(run(*nat, in).verdict == Verdict::Forwarded);
      CHECK(load<uint32_t>(&in[kIpDestination]) == inside.address);
    }
    CHECK(send(*nat, packet(ip(198, 51, 100, 9), kPublic)).reason == Reason::NoMapping);
    // After its time another host may have the remote.
    CHECK(send(*nat, packet(kNeighbour.address, kRemote.address), 300 * kSecond - 1).reason ==
          Reason::PortsExhausted);
    CHECK(send(*nat, packet(kNeighbour.address, kRemote.address), 300 * kSecond).verdict ==
          Verdict::Forwarded);
  }
}

TEST_CASE("protocol 0 is not carried, even where all others are") {
  Config c = config();
  for (int protocol = 0; protocol < 256; protocol++)
    c.protocols.add(static_cast<uint8_t>(protocol));
  auto nat = make(c);
  for (const uint8_t protocol : {uint8_t{1}, uint8_t{2}, uint8_t{255}})
    CHECK(c.protocols.has(protocol));
  const Bytes out = ipv4(kHopByHop, kInside.address, kRemote.address, Bytes(24, 0));
  for (int i = 0; i < 2; i++) CHECK(send(*nat, out).reason == Reason::UnsupportedProtocol);
  CHECK(nat->stats.sessionsCreated == 0);
  CHECK(nat->sessions().used() == 0);
  const Bytes in = ipv4(kHopByHop, kRemote.address, kPublic, Bytes(24, 0));
  CHECK(send(*nat, in).reason == Reason::UnsupportedProtocol);
}

TEST_CASE("SCTP: the endpoint of a forward is nobody else's") {
  Config c = carrying({kSctp});
  c.forwards = {{kSctp, kPublic, 80, kNeighbour.address, 80}};
  const End outside{kPublic, 80}, host{kInside.address, 80}, server{kNeighbour.address, 80};
  auto nat = make(c);
  // Its port can't be changed, and what came back would go to the forward's host.
  CHECK(send(*nat, sctp(host, kRemote, 0, kSctpInit, 0x11111111)).reason == Reason::PortsExhausted);
  CHECK(send(*nat, sctp({host.address, 81}, kRemote, 0, kSctpInit, 1)).verdict ==
        Verdict::Forwarded);
  Bytes own = sctp(server, kRemote, 0, kSctpInit, 0x22222222);
  REQUIRE(run(*nat, own).verdict == Verdict::Forwarded);
  CHECK(sourceOf(own) == outside);
  Bytes in = sctp(kOther, outside, 0, kSctpInit, 0x33333333);
  REQUIRE(run(*nat, in).verdict == Verdict::Forwarded);
  CHECK(destinationOf(in) == server);
}
