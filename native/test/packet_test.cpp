#include "nat/random.h"
#include "packet/rewrite.h"
#include "test/support.h"

using namespace napt;
using namespace napt::test;

TEST_CASE("RFC 1624, section 4: the example") {
  // HC 0xDD2F, m 0x5555, m' 0x3285 gives 0x0000.
  CHECK(swap16(adjust(swap16(0xdd2f), delta16(swap16(0x5555), swap16(0x3285)))) == 0x0000);
}

TEST_CASE("all 65,536 changes of a word equal the sum computed anew") {
  uint8_t data[20];
  for (uint32_t i = 0; i < sizeof data; i++) data[i] = static_cast<uint8_t>(i * 37 + 11);
  const auto before = static_cast<uint16_t>(~sumBytes(data, sizeof data));
  for (uint32_t value = 0; value < 65536; value++) {
    uint8_t changed[20];
    std::memcpy(changed, data, sizeof data);
    store16be(changed + 6, static_cast<uint16_t>(value));
    const Delta delta = delta16(load<uint16_t>(data + 6), load<uint16_t>(changed + 6));
    const auto anew = static_cast<uint16_t>(~slowSum(changed, sizeof changed));
    REQUIRE(swap16(adjust(before, delta)) == anew);
  }
}

TEST_CASE("a million random headers: incremental equals full") {
  Random random({1, 2});
  for (int i = 0; i < 1'000'000; i++) {
    const bool isTcp = (random.next() & 1) != 0;
    Bytes packet = isTcp ? tcp(kInside, kRemote, kAck) : udp(kInside, kRemote, random.next() % 9);
    for (uint32_t at : {12u, 16u}) store(&packet[at], static_cast<uint32_t>(random.next()));
    store(&packet[20], static_cast<uint32_t>(random.next()));
    seal(packet);
    const auto size = static_cast<uint32_t>(packet.size());
    const PacketView view{packet.data(), size, size, false};
    const Parsed parsed = parse(view, true, Protocols::traditional());
    REQUIRE(parsed.kind == Kind::Flow);
    Endpoints to = Endpoints::of(parsed);
    to.source = static_cast<uint32_t>(random.next());
    to.sourcePort = static_cast<uint16_t>(random.next());
    to.id = static_cast<uint16_t>(random.next());
    rewritePacket(view, parsed, to, true);
    REQUIRE(isSound(packet));
    Bytes anew = packet;
    seal(anew);
    REQUIRE(anew == packet);
  }
}

TEST_CASE("UDP: no checksum stays none, a computed 0 is sent as 0xffff") {
  CHECK(adjustUdp(0, 0x1234) == 0);
  CHECK(adjustUdp(0x1111, delta16(0x0000, 0x1111)) == 0xffff);
  CHECK(adjust(0x1111, delta16(0x0000, 0x1111)) == 0);
}

TEST_CASE("an ICMP message of zeros only verifies with 0xffff") {
  Bytes packet = echo(kRemote.address, kInside.address, 7, true);
  std::fill(packet.begin() + kIpHeader, packet.end(), uint8_t{0});
  store16be(&packet[24], 7);
  seal(packet);
  rewriteIcmpId(&packet[kIpHeader], static_cast<uint32_t>(packet.size() - kIpHeader), 0);
  CHECK(load16be(&packet[22]) == 0xffff);
  rewriteIcmpId(&packet[kIpHeader], static_cast<uint32_t>(packet.size() - kIpHeader), swap16(7));
  CHECK(isSound(packet));
}

TEST_CASE("parse: what can't be a packet") {
  const Bytes good = udp(kInside, kRemote);
  const auto kindOf = [](Bytes packet, uint32_t wire = 0, bool fix = true) {
    if (fix && packet.size() >= kIpHeader) {
      store16be(&packet[kIpChecksum], 0);
      store16be(&packet[kIpChecksum], static_cast<uint16_t>(~slowSum(packet.data(), kIpHeader)));
    }
    const auto size = static_cast<uint32_t>(packet.size());
    return parse({packet.data(), size, wire == 0 ? size : wire, false}, true,
                 Protocols::traditional())
        .kind;
  };
  CHECK(kindOf(good) == Kind::Flow);
  CHECK(kindOf({}) == Kind::Malformed);
  CHECK(kindOf(Bytes(19, 0x45)) == Kind::Malformed);
  CHECK(kindOf(Bytes(good.begin(), good.begin() + 22), 36) == Kind::Truncated);
  CHECK(kindOf(Bytes(good.begin(), good.begin() + 24), 36) == Kind::Flow);
  SUBCASE("version") {
    Bytes bad = good;
    bad[0] = 0x65;
    CHECK(kindOf(bad) == Kind::Malformed);
  }
  SUBCASE("header length") {
    Bytes bad = good;
    bad[0] = 0x44;
    CHECK(kindOf(bad) == Kind::Malformed);
    bad[0] = 0x4f;  // 60 bytes of 36
    CHECK(kindOf(bad) == Kind::Malformed);
  }
  SUBCASE("total length") {
    Bytes bad = good;
    store16be(&bad[kIpTotal], 37);
    CHECK(kindOf(bad) == Kind::Malformed);
    CHECK(kindOf(bad, 40) == Kind::Flow);  // the record is cut
    store16be(&bad[kIpTotal], 19);
    CHECK(kindOf(bad) == Kind::Malformed);
    CHECK(kindOf(bad, 40) == Kind::Malformed);  // nor can a cut one end in its header
    store16be(&bad[kIpTotal], 0);               // segmentation offload
    CHECK(kindOf(bad) == Kind::Flow);
    store16be(&bad[kIpTotal], 27);  // half a UDP header
    CHECK(kindOf(bad) == Kind::Malformed);
  }
  SUBCASE("padding is no part of it") {
    Bytes padded = good;
    padded.resize(60);
    const Parsed parsed = parse({padded.data(), 60, 60, false}, true, Protocols::traditional());
    CHECK(parsed.kind == Kind::Flow);
    CHECK(parsed.end == good.size());
  }
  SUBCASE("checksum") {
    Bytes bad = good;
    bad[kIpChecksum] ^= 1;
    CHECK(kindOf(bad, 0, false) == Kind::BadChecksum);
  }
  SUBCASE("fragments") {
    Bytes piece = tcp(kInside, kRemote, kAck);
    store16be(&piece[kIpFragment], 1);
    CHECK(kindOf(piece) == Kind::Tiny);  // would cover the TCP flags
    store16be(&piece[kIpFragment], 3);
    CHECK(kindOf(piece) == Kind::Fragment);
    store16be(&piece[kIpFragment], 0x1fff);  // ends beyond 65,535
    CHECK(kindOf(piece) == Kind::Malformed);
  }
}

TEST_CASE("a quoted echo reply of nothing but zeros keeps the one checksum that verifies") {
  Bytes reply = echo(kPublic, kRemote.address, 0, true);
  store16be(&reply[26], 0);
  seal(reply);
  REQUIRE(load16be(&reply[22]) == 0xffff);
  Bytes error = icmpError(kRemote.address, kPublic, kUnreachable, 1, reply, reply.size());
  const auto size = static_cast<uint32_t>(error.size());
  const PacketView view{error.data(), size, size, false};
  const Parsed parsed = parse(view, true, Protocols::traditional());
  Endpoints to = Endpoints::of(parseQuoted(view, parsed, true, Protocols::traditional()).parsed);
  to.source = kInside.address;
  rewriteQuoted(view, parsed, parseQuoted(view, parsed, true, Protocols::traditional()), to);
  CHECK(isSound(Bytes(error.begin() + 28, error.end())));
  CHECK(isSound(error));
}

TEST_CASE("parse and rewrite stay within the bytes that are there") {
  // The sanitizers watch; each packet lies in a block of exactly its size.
  Random random({3, 4});
  for (int i = 0; i < 200'000; i++) {
    const size_t size = random.below(80);
    Bytes packet(size);
    for (uint8_t& byte : packet) byte = static_cast<uint8_t>(random.next());
    if (size > 0) packet[0] = static_cast<uint8_t>(0x40 | random.below(16));
    if (size > 9) packet[9] = std::array<uint8_t, 3>{1, 6, 17}[random.below(3)];
    std::unique_ptr<uint8_t[]> exact(new uint8_t[size]);
    if (size != 0) std::memcpy(exact.get(), packet.data(), size);
    const PacketView view{exact.get(), static_cast<uint32_t>(size),
                          static_cast<uint32_t>(size) + random.below(60), false};
    const Parsed parsed = parse(view, false, Protocols::traditional());
    if (parsed.kind == Kind::Flow) {
      parseSegment(view, parsed);
      rewritePacket(view, parsed, {1, 2, 3, 3, 4}, true);
    }
    if (parsed.kind == Kind::IcmpError) {
      const Quoted quoted = parseQuoted(view, parsed, false, Protocols::traditional());
      if (quoted.usable) rewriteQuoted(view, parsed, quoted, {1, 2, 3, 3, 4});
    }
  }
  CHECK(true);
}

TEST_CASE("a capture that is cut: what is there is translated, what isn't is not touched") {
  const auto rewritten = [](Bytes packet, size_t here) {
    packet.resize(here);
    packet.push_back(0x5a);  // behind the end
    packet.push_back(0x5a);
    const PacketView view{packet.data(), static_cast<uint32_t>(here), 200, false};
    const Parsed parsed = parse(view, true, Protocols::traditional());
    if (parsed.kind == Kind::Flow) rewritePacket(view, parsed, {1, 2, 3, 4, 5}, true);
    CHECK(packet[here] == 0x5a);
    CHECK(packet[here + 1] == 0x5a);
    return parsed.kind;
  };
  for (size_t here = 20; here <= 44; here++) {
    CHECK(rewritten(udp(kInside, kRemote, 40), here) == (here < 24 ? Kind::Truncated : Kind::Flow));
    CHECK(rewritten(tcp(kInside, kRemote, kAck, 1, 1, 20), here) ==
          (here < 24 ? Kind::Truncated : Kind::Flow));
    Bytes query = echo(kInside.address, kRemote.address, 7);
    store16be(&query[kIpTotal], 60);
    sealHeader(query);
    CHECK(rewritten(query, here) == (here < 26 ? Kind::Truncated : Kind::Flow));
  }
}

TEST_CASE("checksums: sums with carries at every place") {
  // All of a sum's words at their largest make every fold carry.
  for (const uint64_t sum :
       {0x1ffffull, 0x1fffeull, 0xffff0001ull, 0x1fffffffeull, 0xfffeffffull, 0xffffffffull,
        0x1ffff0000ull, 0xffffffffffffull, 0x10000ffffffffull}) {
    CHECK(fold(sum) % 0xffff == sum % 0xffff);
    CHECK(fold(sum) != 0);
  }
  const uint8_t bytes[] = {0x12, 0x34, 0x56, 0x78, 0x9a, 0xbc, 0xde};
  for (size_t length = 0; length <= sizeof bytes; length++) {
    CHECK(swap16(sumBytes(bytes, length)) == slowSum(bytes, length));
  }
}

TEST_CASE("checksums: a partial one follows the addresses alone") {
  Bytes packet = udp(kInside, kRemote);
  const auto pseudo = [](const Bytes& p) {
    return slowSum(&p[kIpSource], 8, kUdp + static_cast<uint32_t>(p.size() - kIpHeader));
  };
  store16be(&packet[26], pseudo(packet));
  const auto size = static_cast<uint32_t>(packet.size());
  const PacketView view{packet.data(), size, size, true};
  const Parsed parsed = parse(view, true, Protocols::traditional());
  rewritePacket(view, parsed, {kPublic, kRemote.address, swap16(9), swap16(53), parsed.id}, true);
  CHECK(load16be(&packet[26]) == pseudo(packet));
}
