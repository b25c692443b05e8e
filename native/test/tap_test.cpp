#include "test/tap_reader.h"

using namespace napt;
using namespace napt::test;

namespace {

Tapped of(const Bytes& packet, Verdict verdict = Verdict::Forwarded) {
  Tapped seen{};
  seen.bytes = packet.data();
  seen.captured = seen.length = static_cast<uint32_t>(packet.size());
  seen.result = Result{verdict, Direction::Outbound, Reason::None, 0}.packed();
  return seen;
}

}  // namespace

TEST_CASE("a tap's record has all that is known of a packet") {
  TapReader reader;
  const Bytes packet = udp(kInside, kRemote, 5);
  const TapSession session{1, 2, 3, 4, 5, 6, kUdp};
  Tapped seen = of(packet, Verdict::Dropped);
  seen.side = kTapOutside;
  seen.left = true;
  seen.kind = TapKind::Piece;
  seen.link = TapLink::Ipv4;
  seen.length = 1500;
  seen.tag = 77;
  seen.time = uint64_t{1} << 60;
  seen.wall = true;
  seen.session = &session;
  reader.tap->show(seen);
  REQUIRE(reader.next());
  const TapRecord& r = reader.record;
  CHECK(reader.bytes == packet);
  CHECK(r.length == 1500);
  CHECK(r.result == seen.result);
  CHECK(r.tag == 77);
  CHECK(r.time == uint64_t{1} << 60);
  CHECK(r.kind == TapKind::Piece);
  CHECK(r.side == kTapOutside);
  CHECK(r.left == 1);
  CHECK(r.link == TapLink::Ipv4);
  CHECK(r.wall == 1);
  CHECK(std::memcmp(&r.session, &session, sizeof session) == 0);
  CHECK(!reader.next());

  seen.session = nullptr;
  seen.left = seen.wall = false;
  reader.tap->show(seen);
  REQUIRE(reader.next());
  CHECK(reader.record.session.protocol == 0);
  CHECK(reader.record.left == 0);
  CHECK(reader.record.wall == 0);
}

TEST_CASE("a tap takes what it wants, and no more of it") {
  const Bytes packet = udp(kInside, kRemote);
  TapFilter filter;
  SUBCASE("sides") {
    filter.sides[kTapInside] = false;
    TapReader reader(filter);
    Tapped seen = of(packet);
    reader.tap->show(seen);
    CHECK(!reader.next());
    seen.side = kTapOutside;
    reader.tap->show(seen);
    CHECK(reader.next());
  }
  SUBCASE("dropped ones") {
    filter.others = false;
    TapReader reader(filter);
    reader.tap->show(of(packet));
    CHECK(!reader.next());
    reader.tap->show(of(packet, Verdict::Dropped));
    CHECK(reader.next());
  }
  SUBCASE("others") {
    filter.dropped = false;
    TapReader reader(filter);
    reader.tap->show(of(packet, Verdict::Dropped));
    CHECK(!reader.next());
    reader.tap->show(of(packet, Verdict::Held));
    CHECK(reader.next());
  }
  SUBCASE("its first bytes") {
    filter.snaplen = 21;
    TapReader reader(filter);
    reader.tap->show(of(packet));
    REQUIRE(reader.next());
    CHECK(reader.bytes == Bytes(packet.begin(), packet.begin() + 21));
    CHECK(reader.record.length == packet.size());
  }
}

TEST_CASE("what finds no room in a tap is counted, and what comes after it tells") {
  TapReader reader;
  const Bytes packet(1000, 0x45);
  uint32_t shown = 0;
  for (; reader.header().lost == 0; shown++) reader.tap->show(of(packet));
  const uint32_t fit = shown - 1;
  CHECK(fit == Tap::kLeastRing / (sizeof(TapRecord) + 1000));
  reader.tap->show(of(packet));
  CHECK(reader.header().lost == 2);

  REQUIRE(reader.next());
  REQUIRE(reader.next());
  reader.tap->show(of(Bytes(10, 0x46)));
  uint32_t read = 2;
  while (reader.next()) {
    read++;
    CHECK(reader.record.lost == (reader.bytes.size() == 10 ? 2 : 0));
  }
  CHECK(read == fit + 1);
  reader.tap->show(of(packet));
  REQUIRE(reader.next());
  CHECK(reader.record.lost == 0);
}

TEST_CASE("records go around in the ring in one piece, whatever their size") {
  TapReader reader;
  Bytes packet;
  for (uint32_t i = 0; i < 5000; i++) {
    packet.assign(1 + i * 7919 % 3000, static_cast<uint8_t>(i));
    reader.tap->show(of(packet));
    REQUIRE(reader.next());
    CHECK(reader.bytes == packet);
  }
  packet.assign(Tap::kMostBytes + 1, 1);
  reader.tap->show(of(packet));
  REQUIRE(reader.next());
  CHECK(reader.bytes.size() == Tap::kMostBytes);
  CHECK(reader.record.length == packet.size());
  CHECK(reader.header().lost == 0);
}

TEST_CASE("a reader that tells nonsense leads a tap nowhere") {
  TapReader reader;
  const Bytes packet(1000, 0x45);
  // It can't have read what was not written: nobody knows what it has.
  reader.header().read = 1;
  reader.tap->show(of(packet));
  CHECK(reader.header().written == 0);
  CHECK(reader.header().lost == 1);
  for (const uint32_t word : {1u, 0x80000000u, 0xfffffff0u}) {
    reader.header().read = word;
    for (uint32_t i = 0; i < 1000; i++) reader.tap->show(of(packet));
  }
  CHECK(reader.header().lost != 0);
}

TEST_CASE("a tap's memory is of a size that it can count in") {
  alignas(64) static uint8_t memory[sizeof(Tap::Header) + 4 * Tap::kLeastRing];
  const auto fits = [&](size_t ring) {
    return Tap::over(memory, sizeof(Tap::Header) + ring, {}) != nullptr;
  };
  CHECK(fits(Tap::kLeastRing));
  CHECK(fits(Tap::kLeastRing * 2));
  CHECK(!fits(Tap::kLeastRing / 2));
  CHECK(!fits(Tap::kLeastRing * 3));
  CHECK(fits(uint32_t{1} << 30));
  CHECK(!fits(size_t{1} << 31));
  CHECK(Tap::over(memory, 0, {}) == nullptr);
}

TEST_CASE("of a burst all taps are shown everything that were there when it began") {
  Taps taps;
  CHECK(!taps.any());
  CHECK(taps.demand().kept == 0);
  TapReader drops({{true, true}, true, false, 500}), all({{true, true}, true, true, 300}), late;
  CHECK(taps.open(std::move(drops.tap)) == 1);
  CHECK(taps.any());
  // Dropped packets stay as they came.
  CHECK(taps.demand().kept == 0);
  CHECK(taps.open(std::move(all.tap)) == 2);
  const TapDemand demand = taps.demand();
  CHECK(demand.kept == 300);
  CHECK(taps.open(std::move(late.tap)) == 3);
  const Bytes packet = udp(kInside, kRemote);
  taps.show(demand, [&](auto&& show) {
    show(of(packet));
    show(of(packet, Verdict::Dropped));
  });
  CHECK(drops.next());
  CHECK(!drops.next());
  CHECK(all.next());
  CHECK(all.next());
  CHECK(!late.next());

  taps.close(2);
  taps.show(taps.demand(), [&](auto&& show) { show(of(packet)); });
  CHECK(!all.next());
  CHECK(late.next());
  taps.close(2);
  CHECK(taps.any());
  taps.close(0);
  CHECK(!taps.any());
  taps.show(taps.demand(), [&](auto&& show) { show(of(packet)); });
  CHECK(!late.next());
}

TEST_CASE("there is an end to how many taps there may be") {
  Taps taps;
  std::vector<TapReader> readers(Taps::kMost + 1);
  for (uint32_t i = 0; i < Taps::kMost; i++) CHECK(taps.open(std::move(readers[i].tap)) == i + 1);
  CHECK(taps.open(std::move(readers[Taps::kMost].tap)) == 0);
  taps.close(3);
  CHECK(taps.open(TapReader().tap) == Taps::kMost + 1);
}

TEST_CASE("a burst keeps packets as they came, and the sessions that they met") {
  auto nat = make(config());
  Bytes memory(4096), first = udp(kInside, kRemote), second = udp(kRemote, {kPublic, 9});
  Descriptor descriptors[2] = {};
  std::copy(first.begin(), first.end(), memory.begin());
  std::copy(second.begin(), second.end(), memory.begin() + 2048);
  descriptors[0].length = static_cast<uint32_t>(first.size());
  descriptors[1].offset = 2048;
  descriptors[1].length = static_cast<uint32_t>(second.size());

  TapBurst burst;
  for (const uint32_t kept : {1000u, 30u, 0u}) {
    burst.begin({1, kept});
    CHECK(burst.demand().newest == 1);
    burst.keep(0, memory.data(), descriptors[0].length);
    burst.keep(1, memory.data() + 2048, descriptors[1].length);
    for (uint32_t i = 0; i < 2; i++) {
      const Bytes& packet = i == 0 ? first : second;
      CHECK(burst.captured(i) == std::min<uint32_t>(kept, descriptors[i].length));
      CHECK(std::memcmp(burst.bytes(i), packet.data(), burst.captured(i)) == 0);
    }
  }
  nat->translateBatch(descriptors, 2, memory.data(), memory.size(), 0);
  burst.meet(*nat, descriptors, 2);
  REQUIRE(burst.session(0) != nullptr);
  CHECK(burst.session(1) == nullptr);
  const TapSession& session = *burst.session(0);
  CHECK(session.protocol == kUdp);
  CHECK(session.inside == kInside.address);
  CHECK(session.insidePort == swap16(kInside.port));
  CHECK(session.remote == kRemote.address);
  CHECK(session.remotePort == swap16(kRemote.port));
  CHECK(session.publicAddress == kPublic);
  CHECK(session.publicPort == load<uint16_t>(memory.data() + kIpHeader));
}

TEST_CASE("what the NAT puts out is told apart") {
  const auto kindsOf = [](Translator& nat) {
    std::vector<TapKind> kinds;
    nat.take([&](const StoredPacket& packet, const uint8_t* bytes) {
      kinds.push_back(tapKindOf(packet, bytes));
    });
    return kinds;
  };
  Config c = config();
  c.outsideMtu = 600;
  c.icmpErrors = true;
  auto nat = make(c);
  SUBCASE("pieces") {
    Bytes packet = fragmentable(udp(kInside, kRemote, 1000), 7);
    seal(packet);
    CHECK(run(*nat, packet).verdict == Verdict::Held);
    CHECK(kindsOf(*nat) == std::vector{TapKind::Piece, TapKind::Piece});
  }
  SUBCASE("an error") {
    Bytes packet = udp(kInside, kRemote, 1000);
    CHECK(run(*nat, packet).reason == Reason::TooBig);
    CHECK(kindsOf(*nat) == std::vector{TapKind::Originated});
  }
  SUBCASE("a released fragment") {
    const auto parts = split(fragmentable(udp(kInside, kRemote, 400), 7), {200, 208});
    Bytes last = parts[1], first = parts[0];
    CHECK(run(*nat, last).verdict == Verdict::Held);
    CHECK(run(*nat, first).verdict == Verdict::Forwarded);
    CHECK(kindsOf(*nat) == std::vector{TapKind::Released});
  }
  SUBCASE("what an ALG made longer") {
    StoredPacket stored{};
    stored.origin = Origin::Fragment;
    Bytes packet = tcp(kInside, kRemote, 0x10);
    CHECK(tapKindOf(stored, packet.data()) == TapKind::Rewritten);
    packet[kIpFragment] |= 0x40;
    CHECK(tapKindOf(stored, packet.data()) == TapKind::Rewritten);
    packet[kIpFragment] = 0x20;
    CHECK(tapKindOf(stored, packet.data()) == TapKind::Piece);
  }
}
