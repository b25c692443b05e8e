// Taking over what another config has left (Translator::adopt).
#include "test/support.h"

using namespace napt;
using namespace napt::test;

namespace {

constexpr uint32_t kPublic2 = ip(203, 0, 113, 2), kMapped = ip(192, 168, 226, 200);
constexpr End kOther{ip(198, 51, 100, 8), 53};

std::unique_ptr<Translator> reconfigured(Translator& from, const Config& to) {
  auto next = make(to);
  next->adopt(from);
  return next;
}

/// Whether the session of a UDP flow is there.
bool has(Translator& nat, End inside, End remote = kRemote) {
  return nat.findSession(Key::of(inside.address, remote.address, swap16(inside.port),
                                 swap16(remote.port), kUdp)) != SessionTable::kNone;
}

}  // namespace

TEST_CASE("reconfigure: what stays legal stays, with its port, its age and its counters") {
  const Config c = config();
  auto nat = make(c);
  nat->advance(10 * kSecond, 0);
  const End outside = mapped(*nat, kInside);
  // More packets than the hot record counts.
  for (int i = 0; i < 65540; i++) REQUIRE(mapped(*nat, kInside, kRemote, 20 * kSecond) == outside);
  auto next = reconfigured(*nat, c);
  CHECK(next->now() == 20 * kSecond);
  CHECK(next->stats.sessionsActive == 1);
  CHECK(next->stats.sessionsDeleted == 0);
  CHECK(next->stats.packetsIn == 65541);
  const SessionLinks& links = next->sessions().links(0);
  CHECK(next->sessions().packets(0, kOut) == 65541);
  CHECK(links.created == 10 * kSecond >> 27);
  CHECK(delivered(*next, kRemote, outside) == kInside);
  CHECK(next->deadlineOf(0) == 320 * kSecond);
  CHECK(delivered(*next, kRemote, outside, 320 * kSecond).port == 0);
}

TEST_CASE("reconfigure: what is not legal any more ends") {
  Config c = config();
  c.inside.push_back({0x0a000000, 0xff000000});
  c.protocols.add(kUdpLite);
  auto nat = make(c);
  const End stranger{ip(10, 0, 0, 1), 4000};
  REQUIRE(mapped(*nat, kInside).port != 0);
  REQUIRE(mapped(*nat, stranger).port != 0);
  REQUIRE(mapped(*nat, kInside, kOther).port != 0);
  SUBCASE("the host is not inside") {
    c.inside.pop_back();
    auto next = reconfigured(*nat, c);
    CHECK(has(*next, kInside));
    CHECK_FALSE(has(*next, stranger));
    CHECK(next->stats.sessionsDeleted == 1);
  }
  SUBCASE("the remote is inside") {
    c.inside.push_back({0xc6336408, 0xffffffff});
    auto next = reconfigured(*nat, c);
    CHECK(has(*next, kInside));
    CHECK_FALSE(has(*next, kInside, kOther));
  }
  SUBCASE("the remote is exempt") {
    c.exemptions = {{0xc6336408, 0xffffffff, kUdp, 53, 53}};
    auto next = reconfigured(*nat, c);
    CHECK(has(*next, kInside));
    CHECK_FALSE(has(*next, kInside, kOther));
  }
  SUBCASE("the remote is exempt, but has come in by itself") {
    setAll(c.policies[0].filtering, Behaviour::EndpointIndependent);
    c.policies[0].inboundRefresh = true;
    nat = reconfigured(*nat, c);
    const End outside = mapped(*nat, kInside);
    const End visitor{ip(198, 51, 100, 9), 53};
    REQUIRE(delivered(*nat, visitor, outside) == kInside);
    REQUIRE(has(*nat, kInside, visitor));
    c.exemptions = {{0xc6336408, 0xfffffffe, kUdp, 53, 53}};  // .8 and .9
    auto next = reconfigured(*nat, c);
    CHECK_FALSE(has(*next, kInside, kOther));
    CHECK(has(*next, kInside, visitor));
  }
  SUBCASE("its public address is gone") {
    c.outside[0].address = kPublic2;
    CHECK(reconfigured(*nat, c)->stats.sessionsActive == 0);
  }
  SUBCASE("its port is not in the range") {
    c.outside[0].low = c.outside[0].high = 1;
    CHECK(reconfigured(*nat, c)->stats.sessionsActive == 0);
  }
  SUBCASE("its protocol is off") {
    Bytes lite = udp(kInside, kRemote);
    lite[kIpProtocol] = kUdpLite;
    sealHeader(lite);
    REQUIRE(run(*nat, lite).verdict == Verdict::Forwarded);
    CHECK(reconfigured(*nat, c)->stats.sessionsActive == 4);
    c.protocols = Protocols::traditional();
    auto fresh = make(c);
    CHECK(nat->stats.sessionsActive == 4);
    fresh->adopt(*nat);
    CHECK(fresh->stats.sessionsActive == 3);
  }
  SUBCASE("there is no room for all") {
    c.sessionLimit = 2;
    CHECK(reconfigured(*nat, c)->stats.sessionsActive == 2);
  }
}

TEST_CASE("reconfigure: configured bindings win") {
  Config c = config();
  c.policies[0].preservePorts = true;
  auto nat = make(c);
  REQUIRE(mapped(*nat, kInside) == End{kPublic, 4000});
  SUBCASE("the port is a forward's, of another host") {
    c.forwards = {{kUdp, kPublic, 4000, kNeighbour.address, 80}};
    CHECK_FALSE(has(*reconfigured(*nat, c), kInside));
  }
  SUBCASE("the port is a forward's of this endpoint") {
    c.forwards = {{kUdp, kPublic, 4000, kInside.address, kInside.port}};
    auto next = reconfigured(*nat, c);
    CHECK(has(*next, kInside));
    CHECK(delivered(*next, {ip(198, 51, 100, 9), 1}, {kPublic, 4000}) == kInside);
  }
  SUBCASE("the host has another public endpoint by a forward") {
    c.forwards = {{kUdp, kPublic, 5000, kInside.address, kInside.port}};
    CHECK_FALSE(has(*reconfigured(*nat, c), kInside));
  }
  SUBCASE("the host has a 1:1 mapping") {
    c.statics = {{kPublic2, kInside.address}};
    CHECK_FALSE(has(*reconfigured(*nat, c), kInside));
  }
  SUBCASE("the address is another's 1:1 mapping") {
    c.outside = {{kPublic2, 1024, 65535}};
    c.statics = {{kPublic, kMapped}};
    CHECK_FALSE(has(*reconfigured(*nat, c), kInside));
  }
}

TEST_CASE("reconfigure: a 1:1 mapping that goes leaves nothing behind") {
  Config c = config();
  c.statics = {{kPublic2, kMapped}};
  auto nat = make(c);
  const End host{kMapped, 4000};
  REQUIRE(mapped(*nat, host) == End{kPublic2, 4000});
  c.statics.clear();
  auto next = reconfigured(*nat, c);
  CHECK(next->stats.sessionsActive == 0);
  CHECK(mapped(*next, host).address == kPublic);
}

TEST_CASE("reconfigure: no two owners of a port, no host on two addresses") {
  SUBCASE("endpoint-dependent mapping becomes endpoint-independent") {
    Config c = config();
    setAll(c.policies[0].mapping, Behaviour::AddressAndPortDependent);
    c.policies[0].overloading = true;
    c.outside[0] = {kPublic, 5000, 5000};
    auto nat = make(c);
    REQUIRE(mapped(*nat, kInside).port == 5000);
    REQUIRE(mapped(*nat, kNeighbour, kOther).port == 5000);
    c.policies[0] = config().policies[0];
    auto next = reconfigured(*nat, c);
    CHECK(has(*next, kInside));
    CHECK_FALSE(has(*next, kNeighbour, kOther));
    CHECK(delivered(*next, kRemote, {kPublic, 5000}) == kInside);
    CHECK(delivered(*next, kOther, {kPublic, 5000}).port == 0);
  }
  SUBCASE("arbitrary pooling becomes paired") {
    Config c = config();
    c.outside = {{kPublic, 1024, 65535}, {kPublic2, 1024, 65535}};
    c.policies[0].pooling = Pooling::Arbitrary;
    auto nat = make(c);
    std::vector<End> ends;
    for (int i = 0; i < 16; i++) {
      ends.push_back(mapped(*nat, {kInside.address, static_cast<uint16_t>(2000 + i)}));
    }
    c.policies[0].pooling = Pooling::Paired;
    auto next = reconfigured(*nat, c);
    uint64_t same = 0;
    for (const End& end : ends) same += end.address == ends[0].address;
    CHECK(same < 16);
    CHECK(next->stats.sessionsActive == same);
  }
}

TEST_CASE("reconfigure: sessions live by the new policy of their host") {
  Config c = config();
  auto nat = make(c);
  const End outside = mapped(*nat, kInside);
  c.policies.push_back(c.policies[0]);
  setAll(c.policies[1].filtering, Behaviour::EndpointIndependent);
  c.profiles.push_back(c.profiles[0]);
  c.profiles[1].policy = 1;
  c.profiles[1].timeouts[static_cast<int>(Timeout::Udp)] = 1000 * kSecond;
  c.inside[0].policy = 1;
  auto next = reconfigured(*nat, c);
  CHECK(next->deadlineOf(0) == 1000 * kSecond);
  CHECK(delivered(*next, kOther, outside) == kInside);
}

TEST_CASE("reconfigure: a shorter idle time that is over already ends a session at once") {
  Config c = config();
  auto nat = make(c);
  mapped(*nat, kInside);
  nat->advance(200 * kSecond, 10);
  c.profiles[0].timeouts[static_cast<int>(Timeout::Udp)] = 100 * kSecond;
  auto next = make(c);
  next->adopt(*nat);
  CHECK(next->stats.sessionsActive == 1);
  next->sweep(200 * kSecond, 10);
  CHECK(next->stats.sessionsActive == 0);
}

TEST_CASE("reconfigure: what is due counts as expired, not as deleted") {
  auto nat = make(config());
  REQUIRE(mapped(*nat, kInside).port != 0);
  REQUIRE(send(*nat, tcp(kInside, kRemote, kSyn), 299 * kSecond).verdict == Verdict::Forwarded);
  nat->advance(300 * kSecond, 0);
  auto next = reconfigured(*nat, config());
  CHECK(next->stats.sessionsActive == 1);
  CHECK(next->stats.sessionsExpired == 1);
  CHECK(next->stats.sessionsDeleted == 0);
}

TEST_CASE("reconfigure: held fragments and packets to put out come along") {
  auto nat = make(config());
  const std::vector<Bytes> pieces = split(fragmentable(udp(kInside, kRemote, 64), 5), {40, 40});
  REQUIRE(send(*nat, pieces[1]).verdict == Verdict::Held);
  auto next = reconfigured(*nat, config());
  CHECK(next->stats.packetsHeld == 1);
  REQUIRE(send(*next, pieces[0]).verdict == Verdict::Forwarded);
  auto last = reconfigured(*next, config());
  REQUIRE(last->pending() == 1);
  last->take([&](const StoredPacket& p, const uint8_t* bytes) {
    CHECK(p.length == pieces[1].size());
    CHECK(load<uint32_t>(bytes + kIpSource) == kPublic);
  });
}

TEST_CASE("reconfigure: ports that are shared stay so where their remotes still tell them apart") {
  Config c = config();
  c.outside = {{kPublic, 5000, 5000}};
  c.policies[0].overloading = true;
  setAll(c.policies[0].mapping, Behaviour::AddressAndPortDependent);
  const End otherPort{kRemote.address, 54};
  auto nat = make(c);
  REQUIRE(mapped(*nat, kInside) == End{kPublic, 5000});
  REQUIRE(mapped(*nat, kNeighbour, otherPort) == End{kPublic, 5000});
  REQUIRE(mapped(*nat, kNeighbour, kOther) == End{kPublic, 5000});

  auto next = reconfigured(*nat, c);
  CHECK(next->stats.sessionsActive == 3);
  CHECK(delivered(*next, kRemote, {kPublic, 5000}) == kInside);
  CHECK(delivered(*next, otherPort, {kPublic, 5000}) == kNeighbour);

  // Of the two with one address only one can have the port.
  setAll(c.policies[0].mapping, Behaviour::AddressDependent);
  auto last = reconfigured(*next, c);
  CHECK(last->stats.sessionsActive == 2);
  CHECK(last->stats.sessionsDeleted == 1);
  CHECK(has(*last, kInside));
  CHECK(has(*last, kNeighbour, kOther));
  CHECK_FALSE(has(*last, kNeighbour, otherPort));
}

TEST_CASE("reconfigure: what has no port of the NAT's keeps its remote") {
  Config c = config();
  c.protocols.add(kEsp);
  auto nat = make(c);
  const auto packet = [](uint32_t from, uint32_t to) { return ipv4(kEsp, from, to, Bytes(16, 0)); };
  REQUIRE(send(*nat, packet(kInside.address, kRemote.address)).verdict == Verdict::Forwarded);
  auto next = reconfigured(*nat, c);
  CHECK(next->stats.sessionsActive == 1);
  CHECK(send(*next, packet(kNeighbour.address, kRemote.address)).reason == Reason::PortsExhausted);
  Bytes in = packet(kRemote.address, kPublic);
  REQUIRE(run(*next, in).verdict == Verdict::Forwarded);
  CHECK(load<uint32_t>(&in[kIpDestination]) == kInside.address);
}

namespace {

/// Sends the first of a datagram's two fragments, goes on with another config, and sends the other.
Result secondAfter(Config before, Config after, const Bytes& whole) {
  setAll(before.policies[0].filtering, Behaviour::EndpointIndependent);
  setAll(after.policies[0].filtering, Behaviour::EndpointIndependent);
  auto nat = make(before);
  REQUIRE(mapped(*nat, kNeighbour, kOther) == End{kPublic, 5000});
  std::vector<Bytes> pieces = split(fragmentable(whole, 5), {40, 32});
  const Result first = run(*nat, pieces[0]);
  REQUIRE(first.reason == Reason::None);
  auto next = reconfigured(*nat, after);
  const Bytes untouched = pieces[1];
  const Result second = run(*next, pieces[1]);
  if (second.verdict != Verdict::Dropped) {
    CHECK(second.verdict == first.verdict);
    CHECK(load<uint32_t>(&pieces[1][kIpSource]) == load<uint32_t>(&pieces[0][kIpSource]));
    CHECK(load<uint32_t>(&pieces[1][kIpDestination]) == load<uint32_t>(&pieces[0][kIpDestination]));
  } else {
    CHECK(pieces[1] == untouched);
  }
  return second;
}

}  // namespace

TEST_CASE("reconfigure: fragments follow their first one no longer than the config lets them") {
  Config c = config();
  c.outside = {{kPublic, 5000, 6000}};
  c.policies[0].randomPorts = c.policies[0].parity = false;
  const Bytes out = udp(kInside, kRemote, 64);
  const Bytes in = udp(kRemote, {kPublic, 5000}, 64);
  const Bytes hairpin = udp(kInside, {kPublic, 5000}, 64);
  Config elsewhere = c;
  elsewhere.outside = {{kPublic2, 5000, 6000}};
  Config theirs = c;  // the address is another host's alone
  theirs.outside = {{kPublic2, 5000, 6000}};
  theirs.statics = {{kPublic, kMapped}};
  Config own = theirs;  // the host has one of its own
  own.outside = c.outside;
  own.statics = {{kPublic2, kInside.address}};
  Config none = c;  // the hosts are not inside any more
  none.inside = {{0x0a000000, 0xff000000}};
  for (const Bytes& packet : {out, in, hairpin}) {
    CHECK(secondAfter(c, c, packet).verdict == Verdict::Forwarded);
    CHECK(secondAfter(c, theirs, packet).reason == Reason::FragmentRefused);
    const Reason gone = secondAfter(c, elsewhere, packet).reason;
    CHECK((gone == Reason::FragmentRefused || gone == Reason::Unmatched));
    CHECK(secondAfter(c, none, packet).verdict == Verdict::Dropped);
  }
  CHECK(secondAfter(c, own, out).reason == Reason::FragmentRefused);
  CHECK(secondAfter(c, own, in).verdict == Verdict::Forwarded);
}

TEST_CASE("reconfigure: fragments of what is exempt no more don't leave as they are") {
  Config none = config();
  none.outside = {{kPublic, 5000, 6000}};
  none.policies[0].randomPorts = none.policies[0].parity = false;
  Config all = none, port = none, otherPort = none;
  all.exemptions = {{0xc6336407, 0xffffffff, 0, 0, 65535}};
  port.exemptions = {{0xc6336407, 0xffffffff, kUdp, 54, 54}};
  otherPort.exemptions = {{0xc6336407, 0xffffffff, kUdp, 55, 55}};
  const End remote{kRemote.address, 54};
  const Bytes out = udp(kInside, remote, 64), in = udp(remote, kInside, 64);
  for (const Bytes& packet : {out, in}) {
    for (const Config& c : {all, port}) {
      CHECK(secondAfter(c, c, packet).verdict == Verdict::Passed);
      CHECK(secondAfter(c, all, packet).verdict == Verdict::Passed);
      // Its port, which would tell, is not in this fragment.
      CHECK(secondAfter(c, otherPort, packet).reason == Reason::FragmentRefused);
    }
  }
  CHECK(secondAfter(all, none, out).reason == Reason::FragmentRefused);
  CHECK(secondAfter(all, none, in).reason == Reason::Unmatched);
}
