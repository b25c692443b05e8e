// Explicit mappings: what hosts ask for (RFC 6887).
#include "test/support.h"

using namespace napt;
using namespace napt::test;

namespace {

constexpr Behaviour kBehaviours[] = {Behaviour::EndpointIndependent, Behaviour::AddressDependent,
                                     Behaviour::AddressAndPortDependent};
constexpr End kOther{ip(198, 51, 100, 8), 54};
constexpr End kNobody{0, 0};

MappingRequest request(End inside, uint64_t lifetime = 1000 * kSecond, uint8_t protocol = kUdp) {
  MappingRequest made{};
  made.protocol = protocol;
  made.inside = inside.address;
  made.insidePort = swap16(inside.port);
  made.lifetime = lifetime;
  return made;
}
MappingRequest wishing(MappingRequest made, End outside, bool exact = false) {
  made.outside = outside.address;
  made.outsidePort = outside.port;
  made.exact = exact;
  return made;
}
MappingRequest open(MappingRequest made, End remote, uint32_t mask = ~0u) {
  made.filter[made.filters++] = {remote.address, mask, swap16(remote.port)};
  return made;
}

End outsideOf(const Granted& granted) { return {granted.outside, granted.outsidePort}; }
End map(Translator& nat, const MappingRequest& wish, uint64_t now = 0) {
  const Granted granted = nat.map(wish, now);
  REQUIRE(granted.reason == Reason::None);
  return outsideOf(granted);
}
bool unmap(Translator& nat, End inside, uint8_t protocol = kUdp) {
  return nat.unmap(protocol, inside.address, swap16(inside.port));
}
Granted keep(Translator& nat, End inside, End remote, uint64_t lifetime, uint64_t now = 0) {
  return nat.keep(request(inside, lifetime), remote.address, swap16(remote.port), now);
}

}  // namespace

TEST_CASE("explicit mappings: open to all, and the same for all, however the NAT maps") {
  for (const Behaviour mapping : kBehaviours) {
    for (const bool overloading : {false, true}) {
      Config c = config();
      setAll(c.policies[0].mapping, mapping);
      c.policies[0].overloading = overloading;
      auto nat = make(c);
      const End outside = map(*nat, request(kInside));
      CHECK(outside.address == kPublic);
      for (const End from : {kRemote, kOther}) {
        CHECK(delivered(*nat, from, outside) == kInside);
        CHECK(mapped(*nat, kInside, from) == outside);
      }
      // Another host, another protocol, another port have nothing of it.
      CHECK_FALSE(mapped(*nat, kNeighbour) == outside);
      CHECK(send(*nat, tcp(kRemote, outside, kSyn)).reason == Reason::NoMapping);
      CHECK_FALSE(mapped(*nat, {kInside.address, 4001}) == outside);
    }
  }
}

TEST_CASE("explicit mappings: end at their time, whatever passes") {
  auto nat = make(config());
  const End outside = map(*nat, request(kInside, 10 * kSecond));
  CHECK(delivered(*nat, kRemote, outside, 10 * kSecond - 1) == kInside);
  CHECK(delivered(*nat, kRemote, outside, 10 * kSecond) == kNobody);
  CHECK(nat->stats.sessionsActive == 0);
  // With a flow the binding goes on until that is idle, but lets in nobody else.
  const End again = map(*nat, request(kInside, 10 * kSecond), 200 * kSecond);
  CHECK(mapped(*nat, kInside, kRemote, 205 * kSecond) == again);
  CHECK(delivered(*nat, kRemote, again, 504 * kSecond) == kInside);
  CHECK(delivered(*nat, kOther, again, 504 * kSecond) == kNobody);
  CHECK(delivered(*nat, kRemote, again, 505 * kSecond) == kNobody);
}

TEST_CASE("explicit mappings: a new lifetime, longer or shorter") {
  auto nat = make(config());
  const End outside = map(*nat, request(kInside, 10 * kSecond));
  CHECK(map(*nat, request(kInside, 100 * kSecond), 5 * kSecond) == outside);
  CHECK(delivered(*nat, kRemote, outside, 104 * kSecond) == kInside);
  CHECK(map(*nat, request(kInside, 2 * kSecond), 104 * kSecond) == outside);
  nat->sweep(106 * kSecond, 1000);
  CHECK(nat->stats.sessionsActive == 0);
}

TEST_CASE("explicit mappings: join the implicit mapping that there is") {
  auto nat = make(config());
  const End outside = mapped(*nat, kInside, kRemote);
  CHECK(mapped(*nat, kInside, kOther) == outside);
  CHECK(nat->findMapping(kUdp, kInside.address, swap16(kInside.port)).outsidePort == outside.port);
  CHECK(map(*nat, request(kInside)) == outside);
  const End third{ip(198, 51, 100, 9), 55};
  CHECK(delivered(*nat, third, outside) == kInside);
  CHECK(unmap(*nat, kInside));
  CHECK_FALSE(unmap(*nat, kInside));
  CHECK(delivered(*nat, third, outside) == kNobody);
  CHECK(delivered(*nat, kOther, outside) == kInside);
}

TEST_CASE("explicit mappings: filters by prefix and port") {
  for (const Behaviour filtering : kBehaviours) {
    Config c = config();
    setAll(c.policies[0].filtering, filtering);
    auto nat = make(c);
    const auto admits = [&](End remote, End outside) {
      return delivered(*nat, remote, outside) == kInside;
    };
    const End one = map(*nat, open(request(kInside), kRemote));
    const bool all = filtering == Behaviour::EndpointIndependent;
    CHECK(admits(kRemote, one));
    CHECK(admits({kRemote.address, 54}, one) == all);
    CHECK(admits(kOther, one) == all);
    const End two =
        map(*nat, open(open(request(kInside), {ip(198, 51, 100, 0), 0}, ip(255, 255, 255, 0)),
                       {ip(192, 0, 2, 1), 7}));
    CHECK(two == one);
    CHECK(admits(kOther, two));
    CHECK(admits({ip(192, 0, 2, 1), 7}, two));
    CHECK(admits({ip(192, 0, 2, 1), 8}, two) == all);
    CHECK(admits({ip(198, 51, 101, 8), 7}, two) == all);
    map(*nat, request(kInside));
    CHECK(admits({ip(198, 51, 101, 8), 7}, two));
  }
}

TEST_CASE("explicit mappings: wishes, and those that must come true") {
  Config c = config();
  c.outside.push_back({ip(203, 0, 113, 2), 1024, 65535});
  auto nat = make(c);
  const End wish{ip(203, 0, 113, 2), 7777};
  CHECK(map(*nat, wishing(request(kInside), wish)) == wish);
  CHECK(map(*nat, wishing(request(kInside), wish, true)) == wish);
  CHECK_FALSE(map(*nat, wishing(request(kNeighbour), wish)) == wish);
  const auto refused = [&](End inside, End outside) {
    const Granted granted = nat->map(wishing(request(inside), outside, true), 0);
    CHECK(granted.reason == Reason::PortsExhausted);
    return outsideOf(granted);
  };
  CHECK(refused(kInside, {wish.address, 7778}) == wish);                // it has another
  CHECK(refused({kInside.address, 9}, wish) == kNobody);                // taken
  CHECK(refused({kInside.address, 9}, {wish.address, 80}) == kNobody);  // outside the range
  CHECK(refused({kInside.address, 9}, {ip(203, 0, 113, 9), 7779}) == kNobody);
  // The host is paired with an address by now; only a port, only an address.
  CHECK(map(*nat, wishing(request({kInside.address, 9}), {0, 7780})) == End{wish.address, 7780});
  CHECK(map(*nat, wishing(request({kInside.address, 10}), {wish.address, 0})).address ==
        wish.address);
}

TEST_CASE("explicit mappings: the port of one of the endpoint's own flows is not for all") {
  Config c = config();
  setAll(c.policies[0].mapping, Behaviour::AddressAndPortDependent);
  auto nat = make(c);
  const End flow = mapped(*nat, kInside);
  CHECK(nat->map(wishing(request(kInside), flow, true), 0).reason == Reason::PortsExhausted);
  CHECK_FALSE(map(*nat, wishing(request(kInside), flow)) == flow);
  CHECK(mapped(*nat, kInside) == flow);
}

TEST_CASE("explicit mappings: configured ones are what they are") {
  Config c = config();
  c.forwards = {{kUdp, kPublic, 5000, kInside.address, kInside.port}};
  c.statics = {{ip(203, 0, 113, 9), kNeighbour.address}};
  auto nat = make(c);
  const Granted forward = nat->map(request(kInside), 0);
  CHECK(forward.permanent);
  CHECK(outsideOf(forward) == End{kPublic, 5000});
  CHECK(nat->map(wishing(request(kInside), {kPublic, 5001}, true), 0).reason ==
        Reason::PortsExhausted);
  CHECK(outsideOf(nat->map(request(kNeighbour), 0)) == End{ip(203, 0, 113, 9), 4000});
  CHECK(nat->publicAddressOf(kNeighbour.address) == ip(203, 0, 113, 9));
  CHECK(nat->publicAddressOf(kInside.address) == kPublic);
  CHECK(nat->stats.sessionsActive == 0);
}

TEST_CASE("explicit mappings: refused to outsiders, for other protocols, over a limit") {
  Config c = config();
  c.policies[0].sessionLimit = 1;
  auto nat = make(c);
  CHECK(nat->map(request(kRemote), 0).reason == Reason::InvalidSource);
  for (const uint8_t protocol : {kIcmp, kSctp, kGre, kUdpLite}) {
    CHECK(nat->map(request(kInside, kSecond, protocol), 0).reason == Reason::UnsupportedProtocol);
  }
  CHECK(keep(*nat, kInside, kNeighbour, kSecond).reason == Reason::Unmatched);
  CHECK(keep(*nat, kInside, kNobody, kSecond).reason == Reason::Unmatched);
  CHECK(keep(*nat, kRemote, kOther, kSecond).reason == Reason::InvalidSource);
  map(*nat, request(kInside));
  CHECK(nat->map(request({kInside.address, 9}), 0).reason == Reason::HostLimit);
  CHECK(keep(*nat, {kInside.address, 9}, kRemote, kSecond).reason == Reason::HostLimit);
  CHECK(nat->findMapping(kUdp, kInside.address, 0).reason == Reason::NoMapping);
}

TEST_CASE("explicit mappings: are not asked by packets, nor named by errors") {
  auto nat = make(config());
  const End outside = map(*nat, request(kInside));
  CHECK(send(*nat, udp(kInside, kNobody)).verdict == Verdict::Dropped);
  CHECK(send(*nat, udp(kNobody, outside)).reason == Reason::InvalidSource);
  const Bytes never = udp({kPublic, outside.port}, kNobody);
  CHECK(send(*nat, icmpError(kRemote.address, kPublic, 3, 3, never)).reason ==
        Reason::IcmpNoSession);
}

TEST_CASE("explicit mappings: TCP connections come in and go out through them") {
  auto nat = make(config());
  const End outside = map(*nat, request(kInside, 1000 * kSecond, kTcp));
  CHECK(send(*nat, tcp(kRemote, outside, kSyn)).verdict == Verdict::Forwarded);
  Bytes answer = tcp(kInside, kRemote, kSyn | kAck, 5000, 1001);
  CHECK(run(*nat, answer).verdict == Verdict::Forwarded);
  CHECK(sourceOf(answer) == outside);
  CHECK(send(*nat, tcp(kOther, outside, kAck)).reason == Reason::TcpNoSession);
  CHECK(nat->stats.sessionsActive == 2);
}

TEST_CASE("explicit mappings: the session of a flow is kept, and not ended") {
  for (const Behaviour mapping : kBehaviours) {
    Config c = config();
    setAll(c.policies[0].mapping, mapping);
    auto nat = make(c);
    const Granted made = keep(*nat, kInside, kRemote, 1000 * kSecond);
    CHECK(made.until == 1000 * kSecond);
    CHECK(mapped(*nat, kInside, kRemote, 900 * kSecond) == outsideOf(made));
    CHECK(keep(*nat, kInside, kRemote, kSecond, 900 * kSecond).until == 1200 * kSecond);
    CHECK(keep(*nat, kInside, kRemote, 0, 900 * kSecond).until == 1200 * kSecond);
    CHECK(delivered(*nat, kOther, outsideOf(made), 900 * kSecond) == kNobody);
    CHECK(delivered(*nat, kRemote, outsideOf(made), 1200 * kSecond) == kNobody);
  }
  // A short time is longer than what is left of an idle session.
  auto idle = make(config());
  mapped(*idle, kInside, kRemote);
  CHECK(keep(*idle, kInside, kRemote, 100 * kSecond, 250 * kSecond).until == 350 * kSecond);
  // A packet takes nothing from the promised time, singly or in a batch.
  for (const bool batch : {false, true}) {
    auto nat = make(config());
    const Granted made = keep(*nat, kInside, kRemote, 1000 * kSecond);
    Bytes packet = udp(kInside, kRemote);
    Descriptor d{0, static_cast<uint32_t>(packet.size()), 0, 0, 0, 0, 0, 0};
    if (batch) {
      nat->translateBatch(&d, 1, packet.data(), packet.size(), kSecond);
    } else {
      run(*nat, packet, kSecond);
    }
    CHECK(sourceOf(packet) == outsideOf(made));
    CHECK(delivered(*nat, kRemote, outsideOf(made), 999 * kSecond) == kInside);
  }
}

TEST_CASE("explicit mappings: keep an outside endpoint that is wished for") {
  auto nat = make(config());
  const MappingRequest wish = wishing(request(kInside), {kPublic, 7777}, true);
  CHECK(outsideOf(nat->keep(wish, kRemote.address, swap16(kRemote.port), 0)) == End{kPublic, 7777});
  const MappingRequest taken = wishing(request(kNeighbour), {kPublic, 7777}, true);
  CHECK(nat->keep(taken, kRemote.address, swap16(kRemote.port), 0).reason ==
        Reason::PortsExhausted);
}

TEST_CASE("explicit mappings: TCP's session that is kept takes its handshake") {
  auto nat = make(config());
  MappingRequest wish = request(kInside, 1000 * kSecond, kTcp);
  const Granted made = nat->keep(wish, kRemote.address, swap16(kRemote.port), 0);
  CHECK(send(*nat, tcp(kInside, kRemote, kSyn, 1000), 900 * kSecond).verdict == Verdict::Forwarded);
  CHECK(send(*nat, tcp(kRemote, outsideOf(made), kSyn | kAck, 5000, 1001), 900 * kSecond).verdict ==
        Verdict::Forwarded);
  CHECK(send(*nat, tcp(kInside, kRemote, kAck, 1001, 5001), 900 * kSecond).verdict ==
        Verdict::Forwarded);
  CHECK(send(*nat, tcp(kRemote, outsideOf(made), kAck, 5001, 1001), 8000 * kSecond).verdict ==
        Verdict::Forwarded);
}

TEST_CASE("explicit mappings: a new config keeps them, with lifetime and filters") {
  for (const Behaviour mapping : kBehaviours) {
    auto nat = make(config());
    const End flow = mapped(*nat, kInside, kRemote);
    const End outside = map(*nat, open(request(kInside), kOther));
    CHECK(outside == flow);
    const End plain = map(*nat, request(kNeighbour));
    Config c = config();
    setAll(c.policies[0].mapping, mapping);
    auto next = make(c);
    next->adopt(*nat);
    CHECK(next->stats.sessionsActive == 3);
    CHECK(delivered(*next, kRemote, outside) == kInside);
    CHECK(delivered(*next, kOther, outside) == kInside);
    CHECK(delivered(*next, {kOther.address, 1}, outside) == kNobody);
    CHECK(mapped(*next, kInside, kOther) == outside);
    CHECK(delivered(*next, kOther, plain) == kNeighbour);
    CHECK(delivered(*next, kOther, plain, 1000 * kSecond) == kNobody);
    CHECK(unmap(*next, kInside) == false);  // it was due
  }
}

TEST_CASE("explicit mappings: a new config that has a forward there needs none") {
  auto nat = make(config());
  const End outside = map(*nat, request(kInside));
  Config c = config();
  c.forwards = {{kUdp, kPublic, outside.port, kInside.address, kInside.port}};
  auto next = make(c);
  next->adopt(*nat);
  CHECK(next->stats.sessionsActive == 0);
  CHECK(delivered(*next, kRemote, outside) == kInside);
}

TEST_CASE("explicit mappings: lie in the host's blocks, and are not evicted") {
  Config c = config();
  c.blockSize = 64;
  c.sessionLimit = 3;
  c.evict = true;
  auto nat = make(c);
  const End own = map(*nat, request(kInside));
  const uint16_t first = static_cast<uint16_t>(own.port - (own.port - 1024) % 64);
  const End neighbours = map(*nat, request(kNeighbour));
  CHECK(neighbours.port / 64 != own.port / 64);
  const End wish{kPublic, static_cast<uint16_t>(first + 63)};
  CHECK_FALSE(wish == own);
  CHECK(nat->map(wishing(request({kNeighbour.address, 9}), wish, true), 0).reason ==
        Reason::PortsExhausted);
  for (uint16_t port = 5000; port < 5020; port++) {
    CHECK(send(*nat, udp({kInside.address, port}, kRemote)).verdict == Verdict::Forwarded);
  }
  CHECK(delivered(*nat, kOther, own) == kInside);
  CHECK(delivered(*nat, kOther, neighbours) == kNeighbour);
}
