#include <set>

#include "test/support.h"

using namespace napt;
using namespace napt::test;

TEST_CASE("UDP out and back") {
  auto nat = make(config());
  const Bytes original = udp(kInside, kRemote);
  Bytes packet = original;
  Result result = run(*nat, packet);
  CHECK(result.verdict == Verdict::Forwarded);
  CHECK(result.direction == Direction::Outbound);
  CHECK(sourceOf(packet).address == kPublic);
  CHECK(destinationOf(packet) == kRemote);
  CHECK(packet[kIpTtl] == 63);
  CHECK(isSound(packet));

  Bytes answer = udp(kRemote, sourceOf(packet));
  result = run(*nat, answer, 299 * kSecond);
  CHECK(result.verdict == Verdict::Forwarded);
  CHECK(destinationOf(answer) == kInside);
  CHECK(isSound(answer));

  Bytes late = udp(kRemote, sourceOf(packet));
  const Bytes before = late;
  result = run(*nat, late, 300 * kSecond);
  CHECK(result.reason == Reason::NoMapping);
  CHECK(late == before);
}

TEST_CASE("every pair of mapping and filtering") {
  for (const auto mapping : {Behaviour::EndpointIndependent, Behaviour::AddressDependent,
                             Behaviour::AddressAndPortDependent}) {
    for (const auto filtering : {Behaviour::EndpointIndependent, Behaviour::AddressDependent,
                                 Behaviour::AddressAndPortDependent}) {
      Config c = config();
      setAll(c.policies[0].mapping, mapping);
      setAll(c.policies[0].filtering, filtering);
      auto nat = make(c);
      const auto mapped = [&](End to) {
        Bytes packet = udp(kInside, to);
        REQUIRE(run(*nat, packet).verdict == Verdict::Forwarded);
        return sourceOf(packet);
      };
      const End otherPort{kRemote.address, 54}, otherHost{ip(198, 51, 100, 8), 53};
      const End outside = mapped(kRemote);
      const auto admitted = [&](End from) {
        Bytes packet = udp(from, outside);
        return run(*nat, packet).verdict == Verdict::Forwarded;
      };
      CHECK(admitted(kRemote));
      CHECK(admitted(otherPort) == (filtering != Behaviour::AddressAndPortDependent));
      CHECK(admitted(otherHost) == (filtering == Behaviour::EndpointIndependent));
      CHECK(mapped(kRemote) == outside);
      CHECK((mapped(otherPort) == outside) == (mapping != Behaviour::AddressAndPortDependent));
      CHECK((mapped(otherHost) == outside) == (mapping == Behaviour::EndpointIndependent));
    }
  }
}

TEST_CASE("ports run out, and come back with the last session") {
  Config c = config();
  c.outside = {{kPublic, 5000, 5003}};
  auto nat = make(c);
  std::set<uint16_t> ports;
  for (uint16_t i = 0; i < 4; i++) {
    Bytes packet = udp({kInside.address, static_cast<uint16_t>(100 + i)}, kRemote);
    REQUIRE(run(*nat, packet).verdict == Verdict::Forwarded);
    ports.insert(sourceOf(packet).port);
  }
  CHECK(ports.size() == 4);
  Bytes fifth = udp({kInside.address, 200}, kRemote);
  CHECK(run(*nat, fifth, 1).reason == Reason::PortsExhausted);
  // At exactly T the others are gone, though no packet told the wheel.
  CHECK(run(*nat, fifth, 300 * kSecond).verdict == Verdict::Forwarded);
  nat->sweep(300 * kSecond, 1000);
  CHECK(nat->stats.sessionsActive == 1);
  nat->sweep(600 * kSecond, 1000);
  CHECK(nat->stats.sessionsActive == 0);
  CHECK(nat->sessions().size() == 0);
}

TEST_CASE("a host keeps its address while it has a mapping, and no longer") {
  Config c = config();
  c.outside = {{kPublic, 5000, 5000}, {ip(203, 0, 113, 2), 5000, 5000}};
  c.forwards = {{kTcp, kPublic, 80, kInside.address, 80}};
  auto nat = make(c);
  // A session through a forward, which is of no pool.
  Bytes syn = tcp(kRemote, {kPublic, 80}, kSyn);
  REQUIRE(run(*nat, syn).verdict == Verdict::Forwarded);
  const auto ask = [&](uint8_t host) {
    Bytes packet = udp({ip(192, 168, 226, host), 1}, kRemote);
    const Result result = run(*nat, packet);
    return std::pair(result, sourceOf(packet).address);
  };
  const auto forget = [&](const std::pair<Result, uint32_t>& asked) {
    nat->deleteSession(asked.first.session - 1);
  };
  const auto first = ask(1);
  const auto guest = ask(135);
  CHECK(guest.second != first.second);
  forget(guest);
  CHECK(ask(2).second == guest.second);  // the only port left
  forget(first);
  CHECK(ask(135).second == first.second);
  // While it has one, it gets no second address.
  Bytes other = udp({kInside.address, 2}, kRemote);
  CHECK(run(*nat, other).reason == Reason::PortsExhausted);
}

TEST_CASE("TCP: opening, established, closing, time-wait") {
  auto nat = make(config());
  Bytes syn = tcp(kInside, kRemote, kSyn, 100);
  REQUIRE(run(*nat, syn).verdict == Verdict::Forwarded);
  const End outside = sourceOf(syn);
  const auto out = [&](uint8_t flags, uint32_t sequence, uint32_t ack, uint64_t now) {
    Bytes packet = tcp(kInside, kRemote, flags, sequence, ack);
    return run(*nat, packet, now).verdict == Verdict::Forwarded;
  };
  const auto in = [&](uint8_t flags, uint32_t sequence, uint32_t ack, uint64_t now) {
    Bytes packet = tcp(kRemote, outside, flags, sequence, ack);
    return run(*nat, packet, now).verdict == Verdict::Forwarded;
  };
  SUBCASE("half open: four minutes") {
    CHECK(in(kSyn | kAck, 500, 101, 239 * kSecond));
    CHECK_FALSE(in(kSyn | kAck, 500, 101, 480 * kSecond));
    return;
  }
  REQUIRE(in(kSyn | kAck, 500, 101, 0));
  REQUIRE(out(kAck, 101, 501, 0));
  SUBCASE("established: two hours and four minutes") {
    CHECK(in(kAck, 501, 101, 7439 * kSecond));
    CHECK_FALSE(in(kAck, 501, 101, (7439 + 7440) * kSecond));
  }
  SUBCASE("half closed counts as established") {
    CHECK(out(kFin | kAck, 101, 501, 0));
    CHECK(in(kAck, 501, 102, 7000 * kSecond));
  }
  SUBCASE("both FINs and the last ACK: time-wait") {
    CHECK(out(kFin | kAck, 101, 501, 0));
    CHECK(in(kFin | kAck, 501, 102, 0));
    CHECK(out(kAck, 102, 502, 0));
    CHECK(tcpPhase(nat->sessions()[0].state) == TcpPhase::TimeWait);
    CHECK(in(kFin | kAck, 501, 102, 239 * kSecond));
    CHECK_FALSE(in(kFin | kAck, 501, 102, 480 * kSecond));
  }
  SUBCASE("a RST in the window leaves four minutes, one outside it changes nothing") {
    CHECK(in(kRst, 501 + 100'000, 0, 0));
    CHECK(tcpPhase(nat->sessions()[0].state) == TcpPhase::Established);
    CHECK(in(kRst, 501, 0, 0));
    CHECK(tcpPhase(nat->sessions()[0].state) == TcpPhase::Reset);
    CHECK_FALSE(in(kAck, 501, 101, 240 * kSecond));
  }
  SUBCASE("a segment after a RST: established again") {
    CHECK(in(kRst, 501, 0, 0));
    CHECK(out(kAck, 101, 501, 200 * kSecond));
    CHECK(in(kAck, 501, 101, 3800 * kSecond));
  }
  SUBCASE("a new SYN reopens") {
    CHECK(out(kFin | kAck, 101, 501, 0));
    CHECK(in(kFin | kAck, 501, 102, 0));
    CHECK(out(kAck, 102, 502, 0));
    CHECK(out(kSyn, 9000, 0, kSecond));
    CHECK(tcpPhase(nat->sessions()[0].state) == TcpPhase::Opening);
    CHECK(in(kSyn | kAck, 7000, 9001, kSecond));
    CHECK(out(kAck, 9001, 7001, kSecond));
    CHECK(tcpPhase(nat->sessions()[0].state) == TcpPhase::Established);
  }
}

TEST_CASE("TCP: simultaneous open") {
  auto nat = make(config());
  Bytes syn = tcp(kInside, kRemote, kSyn, 100);
  REQUIRE(run(*nat, syn).verdict == Verdict::Forwarded);
  Bytes theirs = tcp(kRemote, sourceOf(syn), kSyn, 500);
  CHECK(run(*nat, theirs).verdict == Verdict::Forwarded);
  Bytes ours = tcp(kInside, kRemote, kSyn | kAck, 100, 501);
  CHECK(run(*nat, ours).verdict == Verdict::Forwarded);
  Bytes last = tcp(kRemote, sourceOf(syn), kSyn | kAck, 500, 101);
  CHECK(run(*nat, last).verdict == Verdict::Forwarded);
  CHECK(tcpPhase(nat->sessions()[0].state) == TcpPhase::Established);
}

TEST_CASE("ICMP errors: both ways, never a session's end") {
  auto nat = make(config());
  const Bytes sent = udp(kInside, kRemote, 40);
  Bytes packet = sent;
  REQUIRE(run(*nat, packet).verdict == Verdict::Forwarded);
  const uint32_t router = ip(192, 0, 2, 1);
  SUBCASE("inbound: the quotation is the packet as it was sent") {
    for (const size_t octets : {28u, 36u, 60u}) {
      Bytes error = icmpError(router, kPublic, kUnreachable, 3, packet, octets);
      REQUIRE(run(*nat, error).verdict == Verdict::Forwarded);
      CHECK(isSound(error));
      CHECK(load<uint32_t>(&error[kIpSource]) == router);
      CHECK(load<uint32_t>(&error[kIpDestination]) == kInside.address);
      Bytes quoted(error.begin() + 28, error.end());
      Bytes expected(sent.begin(), sent.begin() + static_cast<long>(quoted.size()));
      expected[kIpTtl] = quoted[kIpTtl];
      expected[kIpChecksum] = quoted[kIpChecksum];
      expected[kIpChecksum + 1] = quoted[kIpChecksum + 1];
      CHECK(quoted == expected);
      CHECK(slowSum(quoted.data(), kIpHeader) == 0xffff);
    }
  }
  SUBCASE("outbound: the public endpoint is put in") {
    const Bytes theirs = udp(kRemote, sourceOf(packet));
    Bytes received = theirs;
    REQUIRE(run(*nat, received).verdict == Verdict::Forwarded);
    Bytes error = icmpError(kInside.address, kRemote.address, kUnreachable, 3, received, 36);
    REQUIRE(run(*nat, error).verdict == Verdict::Forwarded);
    CHECK(isSound(error));
    CHECK(load<uint32_t>(&error[kIpSource]) == kPublic);
    const Bytes quoted(error.begin() + 28, error.end());
    CHECK(sourceOf(quoted) == kRemote);
    CHECK(destinationOf(quoted) == sourceOf(packet));
    CHECK(load16be(&quoted[26]) == load16be(&theirs[26]));
  }
  SUBCASE("about nothing known, of nothing usable, wrong") {
    Bytes unknown = icmpError(router, kPublic, kUnreachable, 3, udp({kPublic, 1}, kRemote));
    CHECK(run(*nat, unknown).reason == Reason::IcmpNoSession);
    Bytes nested = icmpError(router, kPublic, kUnreachable, 3,
                             icmpError(kPublic, router, kUnreachable, 3, packet), 56);
    CHECK(run(*nat, nested).reason == Reason::IcmpEmbedded);
    Bytes wrong = icmpError(router, kPublic, kUnreachable, 3, packet);
    wrong[22] ^= 1;
    CHECK(run(*nat, wrong).reason == Reason::IcmpChecksum);
  }
  CHECK(nat->stats.sessionsActive == 1);
  CHECK(nat->stats.sessionsCreated == 1);
}

TEST_CASE("hairpinning: not where it is off") {
  Config c = config();
  setAll(c.policies[0].filtering, Behaviour::EndpointIndependent);
  c.policies[0].hairpinning = false;
  auto nat = make(c);
  const End theirs = mapped(*nat, kNeighbour);
  CHECK(send(*nat, udp(kInside, theirs)).reason == Reason::HairpinningOff);
  CHECK(nat->stats.sessionsActive == 1);
}

TEST_CASE("an inside source is spoofed where the packet came in on the outside") {
  auto nat = make(config());
  for (const End to : {kRemote, kNeighbour}) {
    Bytes packet = udp(kInside, to);
    const auto size = static_cast<uint32_t>(packet.size());
    const Result result = nat->translate({packet.data(), size, size, false, true}, 1, 0);
    CHECK(result.reason == Reason::InvalidSource);
    CHECK(result.direction == Direction::Inbound);
    CHECK(packet == udp(kInside, to));
  }
  CHECK(nat->stats.sessionsCreated == 0);
}

TEST_CASE("hairpinning: from the sender's public endpoint, one TTL") {
  for (const auto filtering :
       {Behaviour::EndpointIndependent, Behaviour::AddressAndPortDependent}) {
    Config c = config();
    setAll(c.policies[0].filtering, filtering);
    auto nat = make(c);
    Bytes theirs = udp(kNeighbour, kRemote);
    REQUIRE(run(*nat, theirs).verdict == Verdict::Forwarded);
    const Bytes sent = udp(kInside, sourceOf(theirs));
    Bytes packet = sent;
    const Result result = run(*nat, packet);
    CHECK(result.direction == Direction::Hairpin);
    if (filtering == Behaviour::AddressAndPortDependent) {
      CHECK(result.reason == Reason::Filtered);
      CHECK(packet == sent);
      continue;
    }
    CHECK(result.verdict == Verdict::Forwarded);
    CHECK(destinationOf(packet) == kNeighbour);
    CHECK(sourceOf(packet).address == kPublic);
    CHECK(packet[kIpTtl] == 63);
    CHECK(isSound(packet));
    Bytes back = udp(kNeighbour, sourceOf(packet));
    CHECK(run(*nat, back).verdict == Verdict::Forwarded);
    CHECK(destinationOf(back) == kInside);
    CHECK(sourceOf(back) == sourceOf(theirs));

    Bytes error = icmpError(kNeighbour.address, kPublic, kUnreachable, 3, packet, 36);
    REQUIRE(run(*nat, error).verdict == Verdict::Forwarded);
    CHECK(load<uint32_t>(&error[kIpDestination]) == kInside.address);
    CHECK(load<uint32_t>(&error[kIpSource]) == kPublic);
    const Bytes quoted(error.begin() + 28, error.end());
    CHECK(sourceOf(quoted) == kInside);
    CHECK(destinationOf(quoted) == sourceOf(theirs));
    CHECK(isSound(error));
  }
}

TEST_CASE("fragments in every order") {
  Bytes whole = udp(kInside, kRemote, 100);
  store16be(&whole[kIpFragment], 0);
  seal(whole);
  const std::vector<Bytes> pieces = split(whole, {40, 40, 40});
  std::vector<int> order{0, 1, 2};
  do {
    auto nat = make(config());
    std::vector<Bytes> out;
    for (const int i : order) {
      Bytes piece = pieces[static_cast<size_t>(i)];
      const Result result = run(*nat, piece, 0, static_cast<uint32_t>(i + 1));
      if (result.verdict == Verdict::Forwarded) out.push_back(piece);
      nat->take([&](const StoredPacket& p, const uint8_t* bytes) {
        out.emplace_back(bytes, bytes + p.length);
      });
    }
    REQUIRE(out.size() == 3);
    CHECK(nat->stats.packetsHeld == 0);
    Bytes joined(whole.size());
    for (const Bytes& piece : out) {
      CHECK(slowSum(piece.data(), kIpHeader) == 0xffff);
      CHECK(load<uint32_t>(&piece[kIpSource]) == kPublic);
      const size_t at = (load16be(&piece[kIpFragment]) & 0x1fffu) * 8 + kIpHeader;
      std::copy(piece.begin() + kIpHeader, piece.end(), joined.begin() + static_cast<long>(at));
      std::copy(piece.begin(), piece.begin() + kIpHeader, joined.begin());
    }
    store16be(&joined[kIpTotal], static_cast<uint16_t>(joined.size()));
    store16be(&joined[kIpFragment], 0);
    store16be(&joined[kIpChecksum], 0);
    store16be(&joined[kIpChecksum], static_cast<uint16_t>(~slowSum(joined.data(), kIpHeader)));
    CHECK(isSound(joined));
  } while (std::next_permutation(order.begin(), order.end()));
}

TEST_CASE("fragments: a refused copy of the first one doesn't undo the accepted one") {
  auto nat = make(config());
  Bytes ask = udp(kInside, kRemote);
  REQUIRE(run(*nat, ask).verdict == Verdict::Forwarded);
  Bytes whole = udp(kRemote, sourceOf(ask), 64);
  store16be(&whole[kIpFragment], 0);
  seal(whole);
  std::vector<Bytes> pieces = split(whole, {40, 40});
  Bytes forged = pieces[0];
  store16be(&forged[20], 9999);  // from a port that was not asked
  CHECK(run(*nat, pieces[0]).verdict == Verdict::Forwarded);
  CHECK(run(*nat, forged).reason == Reason::Filtered);
  CHECK(run(*nat, pieces[1]).verdict == Verdict::Forwarded);
  CHECK(load<uint32_t>(&pieces[1][kIpDestination]) == kInside.address);
  // And the other way round: after a refused first, the rest is refused too.
  Bytes again = split(whole, {40, 40})[1];
  store16be(&again[kIpId], 77);
  store16be(&forged[kIpId], 77);
  for (Bytes* piece : {&forged, &again}) {
    store16be(&(*piece)[kIpChecksum], 0);
    store16be(&(*piece)[kIpChecksum], static_cast<uint16_t>(~slowSum(piece->data(), kIpHeader)));
  }
  CHECK(run(*nat, forged).reason == Reason::Filtered);
  CHECK(run(*nat, again).reason == Reason::FragmentRefused);
}

TEST_CASE("fragments: orphans die in time, a flood is bounded") {
  auto nat = make(config());
  const auto orphan = [&](uint16_t id) {
    Bytes piece = udp(kInside, kRemote, 24);
    store16be(&piece[kIpId], id);
    store16be(&piece[kIpFragment], 5);
    store16be(&piece[kIpChecksum], 0);
    store16be(&piece[kIpChecksum], static_cast<uint16_t>(~slowSum(piece.data(), kIpHeader)));
    return piece;
  };
  uint32_t held = 0;
  for (uint16_t id = 1; id <= 1000; id++) {
    Bytes piece = orphan(id);
    held += run(*nat, piece).verdict == Verdict::Held;
  }
  // The oldest makes room for the next.
  CHECK(held == 1000);
  CHECK(nat->stats.packetsHeld == 64);
  CHECK(nat->stats.drops[static_cast<int>(Reason::FragmentLimit)] == 1000 - 64);
  Bytes other = udp(kInside, kRemote);
  CHECK(run(*nat, other).verdict == Verdict::Forwarded);
  nat->take([](const StoredPacket& p, const uint8_t*) { CHECK(p.origin == Origin::Discarded); });
  nat->advance(30 * kSecond, 1000);
  CHECK(nat->stats.packetsHeld == 0);
  CHECK(nat->stats.drops[static_cast<int>(Reason::FragmentTimeout)] == 64);
  nat->take([](const StoredPacket& p, const uint8_t*) { CHECK(p.origin == Origin::Discarded); });
  Bytes again = orphan(1);
  CHECK(run(*nat, again, 30 * kSecond).verdict == Verdict::Held);
}

TEST_CASE("a batch, too, ends the first session of a binding when it is due") {
  auto nat = make(config());
  Bytes first = udp(kInside, kRemote), second = udp(kInside, {kRemote.address, 54});
  REQUIRE(run(*nat, first).verdict == Verdict::Forwarded);
  REQUIRE(run(*nat, second, 200 * kSecond).verdict == Verdict::Forwarded);
  Bytes answer = udp({kRemote.address, 54}, sourceOf(second));
  Descriptor descriptor{0, static_cast<uint32_t>(answer.size()), 0, 0, 0, 0, 1, 0};
  nat->translateBatch(&descriptor, 1, answer.data(), answer.size(), 301 * kSecond);
  CHECK(destinationOf(answer) == kInside);
  CHECK(nat->stats.sessionsActive == 1);
}

TEST_CASE("the batch does what single packets do") {
  for (const bool icmpErrors : {false, true}) {
    Config c = config();
    c.icmpErrors = icmpErrors;
    c.outside = {{kPublic, 5000, 5063}};
    auto single = make(c), batched = make(c);
    Random random({11, 12});
    constexpr uint32_t kSlot = 128;
    std::vector<uint8_t> memory(256 * kSlot);
    std::vector<Descriptor> descriptors(256);
    uint64_t now = 0;
    for (int round = 0; round < 300; round++) {
      const uint32_t count = 1 + random.below(256);
      std::vector<Bytes> packets;
      std::vector<Result> results;
      now += random.below(40) * kSecond;
      for (uint32_t i = 0; i < count; i++) {
        const End inside{ip(192, 168, 226, static_cast<uint8_t>(random.below(8))),
                         static_cast<uint16_t>(random.below(8))};
        const End remote{ip(198, 51, 100, static_cast<uint8_t>(random.below(4))),
                         static_cast<uint16_t>(random.below(4))};
        const End outside{kPublic, static_cast<uint16_t>(5000 + random.below(64))};
        const auto flags = std::array<uint8_t, 5>{kSyn, kAck, kSyn | kAck, kRst, kFin | kAck};
        Bytes packet;
        switch (random.below(7)) {
          case 0:
            packet = udp(inside, remote);
            break;
          case 1:
            packet = udp(remote, outside);
            break;
          case 2:
            packet = udp(inside, outside);
            break;
          case 3:
            packet = tcp(inside, remote, flags[random.below(5)], random.below(9));
            break;
          case 4:
            packet = tcp(remote, outside, flags[random.below(5)], random.below(9));
            break;
          case 5:
            packet = echo(inside.address, remote.address, inside.port);
            break;
          default:
            packet = echo(remote.address, kPublic, outside.port, true);
            break;
        }
        if (random.below(20) == 0) packet[kIpTtl] = 1;
        if (random.below(3) == 0) store16be(&packet[kIpFragment], 0);
        seal(packet);
        std::copy(packet.begin(), packet.end(), memory.begin() + i * kSlot);
        descriptors[i] = {i * kSlot, static_cast<uint32_t>(packet.size()), 0, 0, 0, 0, i + 1, i};
        packets.push_back(packet);
      }
      batched->translateBatch(descriptors.data(), count, memory.data(), memory.size(), now);
      // The batch sweeps once at its start, single packets each: let both be up to date.
      for (uint32_t i = 0; i < count; i++)
        results.push_back(run(*single, packets[i], now + i, i + 1));
      for (uint32_t i = 0; i < count; i++) {
        REQUIRE(descriptors[i].verdict == results[i].packed());
        REQUIRE(std::equal(packets[i].begin(), packets[i].end(), memory.begin() + i * kSlot));
      }
      single->take([](const StoredPacket&, const uint8_t*) {});
      batched->take([](const StoredPacket&, const uint8_t*) {});
    }
    CHECK(std::memcmp(&single->stats.packetsIn, &batched->stats.packetsIn,
                      offsetof(Stats, sessionsCreated)) == 0);
    CHECK(single->stats.sessionsCreated == batched->stats.sessionsCreated);
  }
}

TEST_CASE("any bytes are a packet") {
  Config c = config();
  c.icmpErrors = true;
  c.verifyHeaderChecksum = false;
  c.policies[0].hairpinning = true;
  c.forwards = {{kTcp, kPublic, 80, kInside.address, 8080}};
  c.statics = {{ip(203, 0, 113, 9), kNeighbour.address}};
  auto nat = make(c);
  Random random({13, 14});
  uint64_t now = 0;
  for (int i = 0; i < 300'000; i++) {
    const size_t size = random.below(100);
    std::unique_ptr<uint8_t[]> exact(new uint8_t[size]);
    for (size_t at = 0; at < size; at++) exact[at] = static_cast<uint8_t>(random.next());
    const uint32_t addresses[] = {kInside.address, kNeighbour.address, kRemote.address, kPublic,
                                  ip(203, 0, 113, 9)};
    if (size >= 20 && random.below(10) != 0) {
      exact[0] = static_cast<uint8_t>(random.below(8) == 0 ? 0x46 : 0x45);
      store16be(&exact[2], static_cast<uint16_t>(random.below(8) == 0 ? random.below(200) : size));
      if (random.below(3) != 0) store16be(&exact[6], static_cast<uint16_t>(random.below(4)));
      exact[9] = std::array<uint8_t, 4>{1, 6, 17, 17}[random.below(4)];
      store(&exact[12], addresses[random.below(5)]);
      store(&exact[16], addresses[random.below(5)]);
      if (exact[9] == 1 && size > 48) {
        exact[20] = std::array<uint8_t, 4>{0, 8, 3, 11}[random.below(4)];
        exact[28] = 0x45;
        exact[37] = std::array<uint8_t, 3>{1, 6, 17}[random.below(3)];
        store(&exact[40], addresses[random.below(5)]);
        store(&exact[44], addresses[random.below(5)]);
        store<uint16_t>(&exact[22], 0);
        store(&exact[22], static_cast<uint16_t>(~sumBytes(&exact[20], size - 20)));
      }
      if (size >= 24 && random.below(2) == 0) {
        store16be(&exact[20], static_cast<uint16_t>(random.below(16)));
        store16be(&exact[22], static_cast<uint16_t>(random.below(16)));
      }
    }
    now += random.below(1000) * kMs;
    nat->translate(
        {exact.get(), static_cast<uint32_t>(size),
         static_cast<uint32_t>(size + (random.below(4) == 0 ? 40 : 0)), random.below(4) == 0},
        static_cast<uint32_t>(i), now);
    if (i % 64 == 0) nat->take([](const StoredPacket&, const uint8_t*) {});
  }
  const Stats& s = nat->stats;
  uint64_t drops = 0;
  for (uint32_t i = 0; i < kReasons; i++) drops += s.drops[i];
  CHECK(s.packetsIn == s.packetsOut + drops + s.packetsHeld);
  CHECK(s.packetsOut > 1000);
  nat->sweep(now + 8000 * kSecond, 0xffffffff);
  CHECK(nat->sessions().size() == 0);
  CHECK(s.sessionsActive == 0);
}

TEST_CASE("whatever the config and the traffic: at the end every port is free again") {
  Random random({15, 16});
  const uint32_t addresses[] = {ip(192, 168, 226, 1), ip(192, 168, 226, 2), ip(192, 168, 226, 3),
                                kRemote.address,      ip(198, 51, 100, 8),  kPublic,
                                ip(203, 0, 113, 2),   ip(203, 0, 113, 9)};
  const auto flip = [&] { return random.below(2) == 0; };
  for (int round = 0; round < 400; round++) {
    Config c = config();
    constexpr uint16_t kPorts = 32;
    c.outside = {{kPublic, 5000, 5000 + kPorts - 1}};
    if (flip()) c.outside.push_back({ip(203, 0, 113, 2), 6000, 6000 + kPorts - 1});
    setAll(c.policies[0].mapping, static_cast<Behaviour>(random.below(3)));
    setAll(c.policies[0].filtering, static_cast<Behaviour>(random.below(3)));
    c.policies[0].randomPorts = flip();
    c.policies[0].preservePorts = flip();
    c.policies[0].parity = flip();
    c.policies[0].pooling = flip() ? Pooling::Paired : Pooling::Arbitrary;
    c.blockSize = flip() ? 0 : 4;
    c.policies[0].inboundRefresh = flip();
    c.icmpErrors = flip();
    c.policies[0].sessionLimit = flip() ? 0 : 5;
    c.sessionLimit = flip() ? 100 : 20;
    if (flip()) c.forwards = {{kTcp, kPublic, 80, addresses[1], 8080}};
    if (flip()) c.statics = {{ip(203, 0, 113, 9), addresses[2]}};
    auto nat = make(c);
    uint64_t now = 0;
    for (int step = 0; step < 600; step++) {
      now += random.below(4) == 0 ? random.below(100) * kSecond : random.below(1000);
      const auto port = [&]() -> uint16_t {
        const uint32_t kind = random.below(4);
        const uint32_t low = random.below(kPorts);
        return static_cast<uint16_t>(kind == 0   ? 80
                                     : kind == 1 ? low
                                     : kind == 2 ? 5000 + low
                                                 : 6000 + low);
      };
      const End from{addresses[random.below(8)], port()}, to{addresses[random.below(8)], port()};
      const auto flags = std::array<uint8_t, 5>{kSyn, kAck, kSyn | kAck, kRst, kFin | kAck};
      Bytes packet = random.below(3) == 0 ? udp(from, to)
                     : flip()             ? tcp(from, to, flags[random.below(5)], random.below(5))
                                          : echo(from.address, to.address, to.port, flip());
      if (random.below(8) == 0) {
        store16be(&packet[kIpFragment], static_cast<uint16_t>(flip() ? 0x2000 : 4));
        seal(packet);
      }
      run(*nat, packet, now);
      if (random.below(50) == 0) nat->deleteSession(random.below(30));
      if (random.below(100) == 0) {
        auto next = make(c);
        next->adopt(*nat);
        nat = std::move(next);
      }
      nat->take([](const StoredPacket&, const uint8_t*) {});
      REQUIRE(nat->stats.sessionsActive == nat->sessions().size());
    }
    nat->sweep(now + 8000 * kSecond, 0xffffffff);
    REQUIRE(nat->sessions().size() == 0);
    now += 8000 * kSecond;
    // A fresh translator of the same config takes as many flows as this one.
    auto fresh = make(c);
    const auto fill = [&](Translator& into) {
      uint32_t made = 0;
      for (uint16_t i = 0; i < 200; i++) {
        Bytes packet = udp({addresses[i % 2], static_cast<uint16_t>(2000 + i)}, kRemote);
        made += run(into, packet, now).verdict == Verdict::Forwarded;
      }
      return made;
    };
    const uint32_t expected = fill(*fresh);
    REQUIRE(expected > 0);
    REQUIRE(fill(*nat) == expected);
  }
}
