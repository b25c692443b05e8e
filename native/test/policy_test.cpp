// Who is treated how: policies by prefix, idle times by port, quotas, rates, eviction, exemptions.
#include "nat/dccp.h"
#include "test/support.h"

using namespace napt;
using namespace napt::test;

namespace {

constexpr End kOther{ip(198, 51, 100, 8), 53};
constexpr End kOtherPort{kRemote.address, 54};

End host(int n, int port) {
  return {ip(192, 168, 226, static_cast<uint8_t>(n)), static_cast<uint16_t>(port)};
}
End remote(int n, int port = 53) {
  return {ip(198, 51, 100, static_cast<uint8_t>(n)), static_cast<uint16_t>(port)};
}

/// Adds a policy like the first one, with idle times of its own.
Policy& addPolicy(Config& c) {
  Profile profile = c.profiles[0];
  profile.policy = static_cast<uint8_t>(c.policies.size());
  c.profiles.push_back(profile);
  c.policies.push_back(c.policies[0]);
  return c.policies.back();
}

uint64_t dropped(const Translator& nat, Reason reason) {
  return nat.stats.drops[static_cast<int>(reason)];
}

}  // namespace

// Which addresses are whose.

TEST_CASE("policies: the first prefix that matches counts, to its very ends") {
  Config c = config();
  setAll(addPolicy(c).mapping, Behaviour::AddressAndPortDependent);
  // 64 to 127 have the second policy, all others the first; two prefixes overlap, two touch.
  c.inside = {{0xc0a8e240, 0xffffffc0, 1}, {0xc0a8e200, 0xffffff00, 0}};
  auto nat = make(c);
  const auto dependent = [&](int n) {
    const End first = mapped(*nat, host(n, 4000)), second = mapped(*nat, host(n, 4000), kOther);
    REQUIRE(first.port != 0);
    REQUIRE(second.port != 0);
    return !(first == second);
  };
  for (const int n : {0, 1, 63, 128, 200, 255}) CHECK_FALSE(dependent(n));
  for (const int n : {64, 65, 100, 127}) CHECK(dependent(n));
  CHECK(send(*nat, udp({ip(192, 168, 225, 255), 1}, kRemote)).reason == Reason::Unmatched);
  CHECK(send(*nat, udp({ip(192, 168, 227, 0), 1}, kRemote)).reason == Reason::Unmatched);
}

TEST_CASE("policies: neighbours that differ") {
  Config c = config();
  setAll(addPolicy(c).mapping, Behaviour::AddressAndPortDependent);
  c.inside = {{0xc0a8e200, 0xffffff80, 0}, {0xc0a8e280, 0xffffff80, 1}};
  auto nat = make(c);
  CHECK(mapped(*nat, host(127, 1)) == mapped(*nat, host(127, 1), kOther));
  CHECK_FALSE(mapped(*nat, host(128, 1)) == mapped(*nat, host(128, 1), kOther));
}

TEST_CASE("all of IPv4 may be inside but for the public addresses") {
  Config c = config();
  c.inside = {{0, 0}};
  auto nat = make(c);
  CHECK(send(*nat, udp({ip(223, 255, 255, 255), 1}, {ip(1, 0, 0, 0), 1})).verdict ==
        Verdict::Passed);
}

TEST_CASE("addresses that never are source or destination of forwarded unicast") {
  Config c = config();
  setAll(c.policies[0].filtering, Behaviour::EndpointIndependent);
  auto nat = make(c);
  const End outside = mapped(*nat, kInside);
  for (const uint32_t bad : {ip(0, 0, 0, 1), ip(127, 0, 0, 1), ip(224, 0, 0, 1), ip(239, 255, 0, 1),
                             ip(240, 0, 0, 1), ip(255, 255, 255, 255)}) {
    CHECK(send(*nat, udp(kInside, {bad, 53})).reason == Reason::Unmatched);
    CHECK(send(*nat, udp({bad, 53}, outside)).reason == Reason::InvalidSource);
  }
  CHECK(send(*nat, udp({kPublic, 9}, outside)).reason == Reason::InvalidSource);
  for (const uint32_t good :
       {ip(1, 0, 0, 1), ip(126, 0, 0, 1), ip(128, 0, 0, 1), ip(223, 0, 0, 1)}) {
    CHECK(send(*nat, udp({good, 53}, outside)).verdict == Verdict::Forwarded);
  }
  CHECK(send(*nat, udp(kInside, {kNeighbour.address, 53})).verdict == Verdict::Passed);
}

TEST_CASE("policies: behaviours by protocol") {
  Config c = config();
  c.protocols.add(kUdpLite);
  Policy& policy = c.policies[0];
  setAll(policy.mapping, Behaviour::AddressAndPortDependent);
  setAll(policy.filtering, Behaviour::AddressAndPortDependent);
  policy.mapping[portSpace(kUdp)] = Behaviour::EndpointIndependent;
  policy.filtering[portSpace(kUdp)] = Behaviour::AddressDependent;
  auto nat = make(c);
  const End outside = mapped(*nat, kInside);
  CHECK(mapped(*nat, kInside, kOther) == outside);
  CHECK(delivered(*nat, kOtherPort, outside) == kInside);
  CHECK(delivered(*nat, remote(9), outside).port == 0);
  Bytes one = tcp(kInside, kRemote, kSyn), two = tcp(kInside, kOther, kSyn);
  REQUIRE(run(*nat, one).verdict == Verdict::Forwarded);
  REQUIRE(run(*nat, two).verdict == Verdict::Forwarded);
  CHECK_FALSE(sourceOf(one) == sourceOf(two));
  CHECK(send(*nat, tcp(kOtherPort, sourceOf(one), kSyn)).reason == Reason::Filtered);
}

TEST_CASE("address-dependent filtering: a remote may answer while a session with it lives") {
  Config c = config();
  setAll(c.policies[0].filtering, Behaviour::AddressDependent);
  auto nat = make(c);
  const End outside = mapped(*nat, kInside, kRemote);
  mapped(*nat, kInside, {kRemote.address, 99});
  mapped(*nat, kInside, kOther, 100 * kSecond);
  CHECK(delivered(*nat, kOtherPort, outside, 299 * kSecond) == kInside);
  // Both sessions with the first remote are due, though nobody has ended them yet.
  CHECK(delivered(*nat, kOtherPort, outside, 300 * kSecond).port == 0);
  CHECK(nat->stats.sessionsActive == 2);  // one of them
  CHECK(delivered(*nat, {kOther.address, 99}, outside, 300 * kSecond) == kInside);
}

TEST_CASE("address-dependent filtering: ends with the last of a remote's sessions") {
  Config c = config();
  setAll(c.policies[0].filtering, Behaviour::AddressDependent);
  auto nat = make(c);
  const End outside = mapped(*nat, kInside, kOther);
  std::vector<Result> sessions;
  for (int port = 60; port < 63; port++)
    sessions.push_back(send(*nat, udp(kInside, remote(7, port))));
  for (const Result& session : sessions) {
    CHECK(delivered(*nat, kOtherPort, outside) == kInside);
    nat->deleteSession(session.session - 1);
  }
  CHECK(delivered(*nat, kOtherPort, outside).port == 0);
  CHECK(delivered(*nat, {kOther.address, 99}, outside) == kInside);
}

TEST_CASE("what outsiders send makes a session only where inbound packets refresh") {
  for (const bool refresh : {false, true}) {
    Config c = config();
    setAll(c.policies[0].filtering, Behaviour::EndpointIndependent);
    c.policies[0].inboundRefresh = refresh;
    auto nat = make(c);
    const End outside = mapped(*nat, kInside);
    CHECK(delivered(*nat, kOther, outside, 200 * kSecond) == kInside);
    CHECK(nat->stats.sessionsCreated == (refresh ? 2 : 1));
    CHECK(delivered(*nat, kRemote, outside, 250 * kSecond) == kInside);
    CHECK((delivered(*nat, kRemote, outside, 400 * kSecond) == kInside) == refresh);
  }
}

TEST_CASE("connections that outsiders begin and nobody takes hold no mapping, and permit nobody") {
  for (const uint8_t protocol : {kTcp, kDccp}) {
    for (const Behaviour filtering :
         {Behaviour::EndpointIndependent, Behaviour::AddressDependent}) {
      Config c = config();
      c.protocols.add(kDccp);
      setAll(c.policies[0].filtering, filtering);
      auto nat = make(c);
      const uint64_t idle = c.profiles[0].timeouts[static_cast<int>(
          protocol == kTcp ? Timeout::TcpOpening : Timeout::DccpTransitory)];
      const auto make = [&](End from, End to, bool answer) {
        if (protocol == kTcp) {
          return answer ? tcp(from, to, kSyn | kAck, 100, 1001) : tcp(from, to, kSyn);
        }
        Bytes body(16);
        store16be(&body[0], from.port);
        store16be(&body[2], to.port);
        body[4] = 4;
        body[8] = static_cast<uint8_t>((answer ? 1 : 0) << 1 | 1);  // Request or Response
        return ipv4(kDccp, from.address, to.address, body);
      };
      Bytes first = make(kInside, kRemote, false);
      REQUIRE(run(*nat, first).verdict == Verdict::Forwarded);
      const End outside = sourceOf(first);
      const auto knock = [&](uint16_t port, uint64_t now) {
        return send(*nat, make({kRemote.address, port}, outside, false), now).reason;
      };
      CHECK(knock(1000, 0) == Reason::None);
      CHECK(knock(1000, idle - kSecond) == Reason::None);  // once more, which refreshes nothing
      CHECK(knock(1001, idle - kSecond) == Reason::None);
      CHECK(nat->stats.sessionsActive == 3);
      // The inside host's own session has ended; the mapping is there while what came lives.
      CHECK(knock(1002, idle) == Reason::Filtered);
      CHECK(knock(1000, idle) == Reason::Filtered);
      CHECK(nat->stats.sessionsExpired == 2);
      CHECK(knock(1001, idle) == Reason::None);
      // Once the inside host takes one, others may come again.
      REQUIRE(send(*nat, make(kInside, {kRemote.address, 1001}, true), idle).verdict ==
              Verdict::Forwarded);
      CHECK(knock(1003, idle) == Reason::None);
      CHECK(knock(1001, 2 * idle - kSecond) == Reason::None);
      CHECK(knock(1004, 2 * idle) == Reason::None);
    }
  }
}

TEST_CASE("endpoint-dependent mapping: an endpoint is open to its own remote only") {
  Config c = config();
  setAll(c.policies[0].mapping, Behaviour::AddressAndPortDependent);
  auto nat = make(c);
  const End one = mapped(*nat, kInside, kRemote), two = mapped(*nat, kInside, kOther);
  CHECK(delivered(*nat, kRemote, one) == kInside);
  CHECK(delivered(*nat, kRemote, two).port == 0);
  CHECK(delivered(*nat, kOther, one).port == 0);
}

// Idle times.

TEST_CASE("timeouts: by remote port, the first rule counts") {
  Config c = config();
  c.profiles.push_back(c.profiles[0]);
  c.profiles.push_back(c.profiles[0]);
  for (uint64_t& time : c.profiles[1].timeouts) time = 10 * kSecond;
  for (uint64_t& time : c.profiles[2].timeouts) time = 20 * kSecond;
  c.portTimeouts = {{0, kUdp, 53, 53, 1}, {0, kUdp, 50, 60, 2}, {1, kUdp, 1, 65535, 1}};
  const auto lifeOf = [&](Bytes packet) {
    auto nat = make(c);
    REQUIRE(run(*nat, packet).verdict == Verdict::Forwarded);
    return nat->deadlineOf(0) / kSecond;
  };
  CHECK(lifeOf(udp(kInside, remote(7, 53))) == 10);
  CHECK(lifeOf(udp(kInside, remote(7, 50))) == 20);
  CHECK(lifeOf(udp(kInside, remote(7, 60))) == 20);
  CHECK(lifeOf(udp(kInside, remote(7, 49))) == 300);
  CHECK(lifeOf(udp(kInside, remote(7, 61))) == 300);
  CHECK(lifeOf(tcp(kInside, remote(7, 53), kSyn)) == 240);
  CHECK(lifeOf(echo(kInside.address, kRemote.address, 53)) == 60);
}

TEST_CASE("timeouts: each class is its protocol's") {
  Config c = config();
  for (uint32_t i = 0; i < kTimeouts; i++) c.profiles[0].timeouts[i] = (100 + i) * kSecond;
  auto nat = make(c);
  const auto life = [&](const Result& result) {
    REQUIRE(result.verdict == Verdict::Forwarded);
    return static_cast<Timeout>(nat->deadlineOf(result.session - 1) / kSecond - 100);
  };
  CHECK(life(send(*nat, udp(kInside, kRemote))) == Timeout::Udp);
  CHECK(life(send(*nat, echo(kInside.address, kRemote.address, 1))) == Timeout::Icmp);
  Bytes syn = tcp(kInside, kRemote, kSyn, 100);
  CHECK(life(run(*nat, syn)) == Timeout::TcpOpening);
  const auto out = [&](uint8_t flags, uint32_t sequence, uint32_t ack) {
    return life(send(*nat, tcp(kInside, kRemote, flags, sequence, ack)));
  };
  const auto in = [&](uint8_t flags, uint32_t sequence, uint32_t ack) {
    return life(send(*nat, tcp(kRemote, sourceOf(syn), flags, sequence, ack)));
  };
  CHECK(in(kSyn | kAck, 500, 101) == Timeout::TcpOpening);
  CHECK(out(kAck, 101, 501) == Timeout::TcpEstablished);
  CHECK(out(kFin | kAck, 101, 501) == Timeout::TcpEstablished);
  CHECK(in(kFin | kAck, 501, 102) == Timeout::TcpClosing);
  CHECK(out(kAck, 102, 502) == Timeout::TcpTimeWait);
  CHECK(in(kRst, 502, 0) == Timeout::TcpReset);
}

TEST_CASE("timeouts: a session whose idle time shrinks is swept in time") {
  Config c = config();
  auto nat = make(c);
  Bytes syn = tcp(kInside, kRemote, kSyn, 100);
  REQUIRE(run(*nat, syn).verdict == Verdict::Forwarded);
  REQUIRE(send(*nat, tcp(kRemote, sourceOf(syn), kSyn | kAck, 500, 101)).verdict ==
          Verdict::Forwarded);
  REQUIRE(send(*nat, tcp(kInside, kRemote, kAck, 101, 501)).verdict == Verdict::Forwarded);
  nat->advance(300 * kSecond, 1000);  // the wheel has it for the long time
  REQUIRE(nat->stats.sessionsActive == 1);
  REQUIRE(send(*nat, tcp(kRemote, sourceOf(syn), kRst, 501), 300 * kSecond).verdict ==
          Verdict::Forwarded);
  nat->advance(540 * kSecond + 20 * kMs, 1000);
  CHECK(nat->stats.sessionsActive == 0);
}

TEST_CASE("traffic sweeps as it goes: nobody has to ask") {
  auto nat = make(config());
  for (int port = 1; port <= 100; port++) mapped(*nat, host(1, port));
  REQUIRE(nat->stats.sessionsActive == 100);
  for (int port = 1; port <= 100; port++) mapped(*nat, host(2, port), kRemote, 400 * kSecond);
  CHECK(nat->stats.sessionsActive <= 101);
}

// Quotas (RFC 6888, REQ-4) and rates.

TEST_CASE("quotas: sessions of a host") {
  Config c = config();
  c.policies[0].sessionLimit = 2;
  auto nat = make(c);
  CHECK(mapped(*nat, host(1, 1)).port != 0);
  CHECK(mapped(*nat, host(1, 1), kOther).port != 0);
  CHECK(send(*nat, udp(host(1, 1), remote(9))).reason == Reason::HostLimit);
  CHECK(mapped(*nat, host(2, 1)).port != 0);
  CHECK(mapped(*nat, host(1, 1)).port != 0);  // has its session
  nat->deleteSession(0);
  CHECK(mapped(*nat, host(1, 1), remote(9)).port != 0);
}

TEST_CASE("quotas: visitors have one of their own") {
  Config c = config();
  c.policies[0].sessionLimit = 2;
  c.forwards = {{kUdp, kPublic, 90, kInside.address, 90}};
  const auto visit = [](Translator& nat, int port) {
    return send(nat, udp(remote(8, port), {kPublic, 90})).reason;
  };
  auto nat = make(c);
  for (int round = 0; round < 2; round++) {
    for (int port = 1; port <= 2; port++) CHECK(visit(*nat, port) == Reason::None);
    CHECK(visit(*nat, 3) == Reason::HostLimit);
    for (int port = 1; port <= 2; port++) CHECK(mapped(*nat, host(135, port)).port != 0);
    CHECK(send(*nat, udp(host(135, 3), kRemote)).reason == Reason::HostLimit);
    CHECK(nat->stats.sessionsActive == 4);
    if (round == 0) {
      // Whose a session is stays so with a new config.
      auto next = make(c);
      next->adopt(*nat);
      nat = std::move(next);
    }
  }
  while (nat->stats.sessionsActive != 0) {
    for (uint32_t slot = 0; slot < nat->sessions().used(); slot++) nat->deleteSession(slot);
  }
  for (int port = 1; port <= 2; port++) CHECK(visit(*nat, port) == Reason::None);
}

TEST_CASE("quotas: bindings of a host, in all and by protocol") {
  Config c = config();
  const uint32_t limits[] = {4, 0, 2, 1};  // in all, TCP, UDP, ICMP
  std::copy(limits, limits + 4, c.policies[0].portLimits);
  auto nat = make(c);
  const auto syn = [&](int port) { return send(*nat, tcp(host(1, port), kRemote, kSyn)); };
  const Result first = send(*nat, udp(host(1, 1), kRemote));
  CHECK(first.verdict == Verdict::Forwarded);
  CHECK(mapped(*nat, host(1, 2)).port != 0);
  CHECK(send(*nat, udp(host(1, 3), kRemote)).reason == Reason::HostLimit);
  CHECK(mapped(*nat, host(1, 1), kOther).port != 0);  // the same binding
  CHECK(send(*nat, echo(host(1, 0).address, kRemote.address, 1)).verdict == Verdict::Forwarded);
  CHECK(send(*nat, echo(host(1, 0).address, kRemote.address, 2)).reason == Reason::HostLimit);
  CHECK(syn(1).verdict == Verdict::Forwarded);
  CHECK(syn(2).reason == Reason::HostLimit);  // the fifth of all
  CHECK(mapped(*nat, host(2, 1)).port != 0);
  // A binding counts until its last session ends.
  nat->deleteSession(first.session - 1);
  CHECK(send(*nat, udp(host(1, 3), kRemote)).reason == Reason::HostLimit);
  nat->deleteSession(
      nat->findSession(Key::of(host(1, 1).address, kOther.address, swap16(1), swap16(53), kUdp)));
  CHECK(send(*nat, udp(host(1, 3), kRemote)).verdict == Verdict::Forwarded);
  CHECK(syn(2).reason == Reason::HostLimit);
}

TEST_CASE("quotas: are the policy's of the host") {
  Config c = config();
  addPolicy(c).sessionLimit = 1;
  c.inside = {{0xc0a8e280, 0xffffff80, 1}, {0xc0a8e200, 0xffffff00, 0}};
  auto nat = make(c);
  for (int port = 1; port < 4; port++) CHECK(mapped(*nat, host(1, port)).port != 0);
  CHECK(mapped(*nat, host(129, 1)).port != 0);
  CHECK(mapped(*nat, host(129, 2)).port == 0);
}

TEST_CASE("rates: so many new sessions a second, one second's worth at once") {
  for (const bool perHost : {false, true}) {
    Config c = config();
    (perHost ? c.policies[0].sessionRate : c.sessionRate) = 4;
    auto nat = make(c);
    int port = 1;
    const auto opened = [&](int n, uint64_t now, int tries = 10) {
      int made = 0;
      for (int i = 0; i < tries; i++) made += mapped(*nat, host(n, port++), kRemote, now).port != 0;
      return made;
    };
    CHECK(opened(1, 10 * kSecond) == 4);
    CHECK(dropped(*nat, Reason::RateLimit) == 6);
    CHECK(opened(2, 10 * kSecond) == (perHost ? 4 : 0));
    CHECK(opened(1, 10 * kSecond + 249 * kMs) == 0);
    CHECK(opened(1, 10 * kSecond + 250 * kMs) == 1);
    CHECK(opened(1, 10 * kSecond + 750 * kMs) == 2);
    CHECK(opened(1, 100 * kSecond) == 4);  // idle time is not saved up
    // What outsiders begin is not the host's doing; but of all it is.
    c.forwards = {{kUdp, kPublic, 90, host(1, 90).address, 90}};
    nat = make(c);
    for (int i = 1; i <= 4; i++) REQUIRE(delivered(*nat, remote(8, i), {kPublic, 90}).port == 90);
    CHECK((delivered(*nat, remote(8, 5), {kPublic, 90}).port == 90) == perHost);
    CHECK(opened(1, 0) == (perHost ? 4 : 0));
    nat = make(c);
    CHECK(opened(1, 0) == 4);
    CHECK((delivered(*nat, remote(8, 1), {kPublic, 90}).port == 90) == perHost);
    // What has a session is not new.
    CHECK(opened(1, 100 * kSecond) == 4);
    CHECK(mapped(*nat, host(1, port - 10), kRemote, 100 * kSecond).port != 0);
  }
}

TEST_CASE("the table's limit") {
  Config c = config();
  c.sessionLimit = 3;
  auto nat = make(c);
  for (int n = 1; n <= 3; n++) CHECK(mapped(*nat, host(n, 1)).port != 0);
  CHECK(send(*nat, udp(host(4, 1), kRemote)).reason == Reason::SessionLimit);
  CHECK(mapped(*nat, host(4, 1), kRemote, 300 * kSecond).port != 0);
}

// Eviction (whenFull: evict).

TEST_CASE("eviction: only what is not assured goes, the longest idle first") {
  Config c = config();
  c.protocols.add(kDccp);
  c.sessionLimit = 4;
  c.evict = true;
  auto nat = make(c);
  // Assured: an open connection and an answered flow.
  Bytes syn = tcp(host(1, 1), kRemote, kSyn, 100);
  REQUIRE(run(*nat, syn).verdict == Verdict::Forwarded);
  REQUIRE(send(*nat, tcp(kRemote, sourceOf(syn), kSyn | kAck, 500, 101)).verdict ==
          Verdict::Forwarded);
  REQUIRE(send(*nat, tcp(host(1, 1), kRemote, kAck, 101, 501)).verdict == Verdict::Forwarded);
  const End answered = mapped(*nat, host(1, 2));
  REQUIRE(delivered(*nat, kRemote, answered) == host(1, 2));
  const auto has = [&](int n, int port, uint8_t protocol = kUdp) {
    return nat->findSession(Key::of(host(n, port).address, kRemote.address,
                                    swap16(static_cast<uint16_t>(port)), swap16(53), protocol)) !=
           SessionTable::kNone;
  };
  // Not assured: half open, and one way.
  REQUIRE(send(*nat, tcp(host(2, 1), kRemote, kSyn), kSecond).verdict == Verdict::Forwarded);
  REQUIRE(mapped(*nat, host(2, 2), kRemote, 2 * kSecond).port != 0);
  CHECK(mapped(*nat, host(3, 1), kRemote, 3 * kSecond).port != 0);
  CHECK_FALSE(has(2, 1, kTcp));
  CHECK(has(2, 2));
  CHECK(mapped(*nat, host(3, 2), kRemote, 4 * kSecond).port != 0);
  CHECK_FALSE(has(2, 2));
  CHECK(has(3, 1));
  CHECK(nat->stats.sessionsEvicted == 2);
  for (int port = 10; port < 40; port++) {
    CHECK(mapped(*nat, host(4, port), kRemote, 5 * kSecond).port != 0);
  }
  CHECK(has(1, 1, kTcp));
  CHECK(has(1, 2));
  CHECK(nat->stats.sessionsActive == 4);
  CHECK(nat->stats.sessionsEvicted == 32);
}

TEST_CASE("eviction: nothing goes where all are assured, or where it is off") {
  for (const bool evict : {false, true}) {
    Config c = config();
    c.sessionLimit = 2;
    c.evict = evict;
    auto nat = make(c);
    for (int port = 1; port <= 2; port++) {
      const End outside = mapped(*nat, host(1, port));
      if (evict) REQUIRE(delivered(*nat, kRemote, outside) == host(1, port));
    }
    CHECK(send(*nat, udp(host(2, 1), kRemote)).reason == Reason::SessionLimit);
    CHECK(nat->stats.sessionsEvicted == 0);
  }
}

TEST_CASE("eviction: of DCCP, what both sides have taken part in is assured") {
  Config c = config();
  c.protocols.add(kDccp);
  c.sessionLimit = 1;
  c.evict = true;
  for (const bool open : {false, true}) {
    auto nat = make(c);
    const auto dccp = [](End from, End to, uint8_t type) {
      Bytes body(16);
      store16be(&body[0], from.port);
      store16be(&body[2], to.port);
      body[8] = static_cast<uint8_t>(type << 1);
      return ipv4(kDccp, from.address, to.address, body);
    };
    Bytes request = dccp(host(1, 1), kRemote, kDccpRequest);
    REQUIRE(run(*nat, request).verdict == Verdict::Forwarded);
    if (open) {
      REQUIRE(send(*nat, dccp(kRemote, sourceOf(request), kDccpResponse)).verdict ==
              Verdict::Forwarded);
      REQUIRE(send(*nat, dccp(host(1, 1), kRemote, 3)).verdict == Verdict::Forwarded);
    }
    CHECK((mapped(*nat, host(2, 1)).port != 0) == !open);
  }
}

TEST_CASE("eviction: of ports") {
  Config c = config();
  c.outside = {{kPublic, 5000, 5003}};
  c.evict = true;
  auto nat = make(c);
  // One is assured, one binding has two sessions, two are one-way.
  const End answered = mapped(*nat, host(1, 1));
  REQUIRE(delivered(*nat, kRemote, answered) == host(1, 1));
  const End twice = mapped(*nat, host(1, 2));
  REQUIRE(mapped(*nat, host(1, 2), kOther) == twice);
  const End older = mapped(*nat, host(1, 3), kRemote, kSecond);
  REQUIRE(mapped(*nat, host(1, 4), kRemote, 2 * kSecond).port != 0);
  CHECK(mapped(*nat, host(2, 1), kRemote, 3 * kSecond) == older);
  for (int port = 10; port < 20; port++) {
    CHECK(mapped(*nat, host(2, port), kRemote, 4 * kSecond).port != 0);
  }
  CHECK(mapped(*nat, host(1, 1), kRemote, 4 * kSecond) == answered);
  CHECK(mapped(*nat, host(1, 2), kRemote, 4 * kSecond) == twice);
  CHECK(nat->stats.sessionsEvicted == 11);
  CHECK(nat->stats.sessionsDeleted == 0);
}

TEST_CASE("eviction: the port that comes free need not rest") {
  Config c = config();
  c.outside = {{kPublic, 2000, 3999}};
  c.holdDown = 120 * kSecond;
  c.holdDownPorts = 8192;
  c.evict = true;
  auto nat = make(c);
  for (int port = 1; port <= 2000; port++) REQUIRE(mapped(*nat, host(1, port)).port != 0);
  for (int port = 1; port <= 100; port++) CHECK(mapped(*nat, host(2, port)).port != 0);
  CHECK(nat->stats.sessionsEvicted == 100);
}

TEST_CASE("eviction: never of the binding that a packet has come to") {
  Config c = config();
  c.evict = true;
  c.sessionLimit = 2;
  setAll(c.policies[0].filtering, Behaviour::EndpointIndependent);
  c.policies[0].inboundRefresh = true;
  auto nat = make(c);
  const End outside = mapped(*nat, kInside);
  REQUIRE(mapped(*nat, kNeighbour).port != 0);
  // Another remote needs a session of its own. The neighbour's makes room, though it is younger.
  CHECK(delivered(*nat, kOther, outside, kSecond) == kInside);
  CHECK(nat->stats.sessionsEvicted == 1);
  // Now both are of this binding, and its first one stays.
  CHECK(delivered(*nat, remote(9), outside, 2 * kSecond) == kInside);
  CHECK(nat->stats.sessionsEvicted == 2);
  CHECK(delivered(*nat, remote(9), outside, 3 * kSecond) == kInside);
  CHECK(nat->stats.sessionsEvicted == 2);

  c.sessionLimit = 1;
  nat = make(c);
  const End only = mapped(*nat, kInside);
  CHECK(send(*nat, udp(kOther, only), kSecond).reason == Reason::SessionLimit);
  CHECK(nat->stats.sessionsEvicted == 0);
  CHECK(delivered(*nat, kRemote, only, kSecond) == kInside);
}

TEST_CASE("eviction: never of the other half of a hairpinned packet") {
  Config c = config();
  c.evict = true;
  c.sessionLimit = 2;
  setAll(c.policies[0].filtering, Behaviour::EndpointIndependent);
  c.policies[0].inboundRefresh = true;
  auto nat = make(c);
  const End outside = mapped(*nat, kInside);
  // It needs a session for each half beside the binding that it goes to: one too many.
  CHECK(send(*nat, udp(kNeighbour, outside)).reason == Reason::SessionLimit);
  CHECK(nat->stats.sessionsEvicted == 0);
  CHECK(nat->findSession(Key::of(kNeighbour.address, outside.address, swap16(kNeighbour.port),
                                 swap16(outside.port), kUdp)) != SessionTable::kNone);
  CHECK(delivered(*nat, kRemote, outside) == kInside);

  c.forwards = {{kUdp, kPublic, 80, kInside.address, kInside.port}};
  c.sessionLimit = 1;
  nat = make(c);
  CHECK(send(*nat, udp(kNeighbour, {kPublic, 80})).reason == Reason::SessionLimit);
  CHECK(nat->stats.sessionsEvicted == 0);
}

// Exemptions (RFC 6888, REQ-6).

TEST_CASE("exemptions: by prefix, protocol and port, both ways, untouched") {
  Config c = config();
  c.exemptions = {{0xc0000200, 0xffffff00, 0, 0, 65535},    // 192.0.2.0/24
                  {0xc6336409, 0xffffffff, kTcp, 80, 90}};  // 198.51.100.9
  auto nat = make(c);
  const auto exempt = [&](Bytes packet, Direction direction) {
    const Bytes before = packet;
    const Result result = run(*nat, packet);
    if (result.verdict != Verdict::Passed) return false;
    CHECK(result.direction == direction);
    CHECK(packet == before);
    return true;
  };
  const End all{ip(192, 0, 2, 200), 1}, edge{ip(192, 0, 3, 0), 1};
  CHECK(exempt(udp(kInside, all), Direction::Outbound));
  CHECK(exempt(udp(all, kInside), Direction::Inbound));
  CHECK(exempt(echo(kInside.address, all.address, 1), Direction::Outbound));
  CHECK_FALSE(exempt(udp(kInside, edge), Direction::Outbound));
  CHECK(send(*nat, udp(edge, kInside)).reason == Reason::Unmatched);
  for (const int port : {80, 85, 90}) {
    CHECK(exempt(tcp(kInside, remote(9, port), kSyn), Direction::Outbound));
    CHECK(exempt(tcp(remote(9, port), kInside, kSyn | kAck), Direction::Inbound));
  }
  CHECK_FALSE(exempt(tcp(kInside, remote(9, 79), kSyn), Direction::Outbound));
  CHECK_FALSE(exempt(tcp(kInside, remote(9, 91), kSyn), Direction::Outbound));
  CHECK_FALSE(exempt(udp(kInside, remote(9, 80)), Direction::Outbound));
  CHECK(send(*nat, tcp(remote(9, 91), kInside, kSyn)).reason == Reason::Unmatched);
  // What is sent to a public address is for the NAT, whoever sends it.
  CHECK(send(*nat, udp(all, {kPublic, 5000})).reason == Reason::NoMapping);
}

TEST_CASE("exemptions: ICMP errors go with the packet that they quote") {
  Config c = config();
  c.exemptions = {{0xc6336409, 0xffffffff, kUdp, 80, 80}};
  auto nat = make(c);
  const uint32_t router = ip(192, 0, 2, 1);
  const Bytes sent = udp(kInside, remote(9, 80)), other = udp(kInside, remote(9, 81));
  CHECK(send(*nat, icmpError(router, kInside.address, kTimeExceeded, 0, sent)).verdict ==
        Verdict::Passed);
  CHECK(send(*nat, icmpError(router, kInside.address, kTimeExceeded, 0, other)).reason ==
        Reason::Unmatched);
  const Bytes got = udp(remote(9, 80), kInside);
  CHECK(send(*nat, icmpError(kInside.address, remote(9).address, kUnreachable, 3, got)).verdict ==
        Verdict::Passed);
}

TEST_CASE("exemptions: an ICMP error about another's packet goes by its own remote") {
  Config c = config();
  c.exemptions = {{0xc6336409, 0xffffffff, 0, 0, 65535}};
  auto nat = make(c);
  // To a stranger, with the inside host's address, because it quotes an exempt remote's packet?
  const Bytes got = udp(remote(9), kInside);
  CHECK(send(*nat, icmpError(kInside.address, remote(10).address, kUnreachable, 3, got)).reason ==
        Reason::IcmpNoSession);
  CHECK(send(*nat, icmpError(kInside.address, remote(9).address, kUnreachable, 3, got)).verdict ==
        Verdict::Passed);
  // To a host inside, because it quotes what another one sent?
  const Bytes sent = udp(kInside, remote(9));
  const uint32_t router = ip(192, 0, 2, 1);
  CHECK(send(*nat, icmpError(router, kNeighbour.address, kTimeExceeded, 0, sent)).reason ==
        Reason::Unmatched);
  CHECK(send(*nat, icmpError(router, kInside.address, kTimeExceeded, 0, sent)).verdict ==
        Verdict::Passed);
}

TEST_CASE("exemptions: fragments follow their first one") {
  Config c = config();
  c.exemptions = {{0xc6336409, 0xffffffff, kUdp, 80, 80}};
  const auto pieces = [](End from, End to) {
    return split(fragmentable(udp(from, to, 100), 77), {48, 48, 48});
  };
  for (const bool outbound : {true, false}) {
    for (const bool inOrder : {true, false}) {
      auto nat = make(c);
      const std::vector<Bytes> sent =
          outbound ? pieces(kInside, remote(9, 80)) : pieces(remote(9, 80), kInside);
      std::vector<size_t> order{0, 1, 2};
      if (!inOrder) std::reverse(order.begin(), order.end());
      uint32_t passed = 0;
      for (const size_t i : order) {
        Bytes piece = sent[i];
        const Result result = run(*nat, piece);
        passed += result.verdict == Verdict::Passed;
        CHECK(piece == sent[i]);
        nat->take([&](const StoredPacket& p, const uint8_t* bytes) {
          const Bytes released(bytes, bytes + p.length);
          passed += std::find(sent.begin(), sent.end(), released) != sent.end();
          CHECK(p.toInside == !outbound);
        });
      }
      CHECK(passed == 3);
      CHECK(nat->stats.packetsPassed == 3);
      CHECK(nat->stats.packetsHeld == 0);
    }
  }
  // Of a port that is not exempt.
  auto nat = make(c);
  for (Bytes piece : pieces(kInside, remote(9, 81))) {
    CHECK(run(*nat, piece).verdict == Verdict::Forwarded);
  }
}

TEST_CASE("what came in on the outside for certain has no inside source") {
  auto nat = make(config());
  for (const End to : {kRemote, kNeighbour, End{kPublic, 5000}}) {
    Bytes packet = udp(kInside, to);
    const Bytes before = packet;
    const auto size = static_cast<uint32_t>(packet.size());
    const Result result = nat->translate({packet.data(), size, size, false, true}, 1, 0);
    CHECK(result.reason == Reason::InvalidSource);
    CHECK(result.direction == Direction::Inbound);
    CHECK(packet == before);
  }
  CHECK(nat->stats.sessionsCreated == 0);
}

TEST_CASE("hairpinning can be off for some hosts") {
  Config c = config();
  addPolicy(c).hairpinning = false;
  c.inside = {
      {0xc0a8e264, 0xffffffff, 1}, {0xc0a8e200, 0xffffff80, 0}, {0xc0a8e280, 0xffffff80, 0}};
  setAll(c.policies[0].filtering, Behaviour::EndpointIndependent);
  auto nat = make(c);
  const End outside = mapped(*nat, kInside);
  CHECK(send(*nat, udp(host(100, 1), outside)).reason == Reason::HairpinningOff);
  CHECK(nat->stats.sessionsActive == 1);
  // Prefixes that touch and have one policy are as one.
  for (const int n : {1, 127, 128, 255}) CHECK(delivered(*nat, host(n, 1), outside) == kInside);
}

TEST_CASE("eviction: of ports in blocks, only the host's own") {
  Config c = config();
  c.outside = {{kPublic, 5000, 5007}};
  c.blockSize = 4;
  c.blocksPerHost = 1;
  c.evict = true;
  c.policies[0].parity = false;
  auto nat = make(c);
  std::vector<End> own;
  REQUIRE(mapped(*nat, host(2, 1)).port != 0);  // the longest idle of all
  for (int port = 1; port <= 4; port++) {
    const auto now = static_cast<uint64_t>(port) * kSecond;
    own.push_back(mapped(*nat, host(1, port), kRemote, now));
    REQUIRE(own.back().port != 0);
  }
  CHECK(mapped(*nat, host(1, 5), kRemote, 5 * kSecond) == own[0]);
  CHECK(mapped(*nat, host(1, 6), kRemote, 6 * kSecond) == own[1]);
  CHECK(nat->stats.sessionsEvicted == 2);
  // All blocks are given, so nothing of what others have would help.
  CHECK(send(*nat, udp(host(3, 1), kRemote), 7 * kSecond).reason == Reason::PortsExhausted);
  CHECK(nat->stats.sessionsEvicted == 2);
}

TEST_CASE("address-dependent filtering: any session with the remote's address lets it in") {
  Config c = config();
  setAll(c.policies[0].filtering, Behaviour::AddressDependent);
  for (const End first : {kRemote, kOtherPort}) {
    auto nat = make(c);
    const End outside = mapped(*nat, kInside);
    REQUIRE(mapped(*nat, kInside, kOtherPort) == outside);
    REQUIRE(mapped(*nat, kInside, kOther) == outside);
    const auto end = [&](End remote) {
      nat->deleteSession(nat->findSession(Key::of(
          kInside.address, remote.address, swap16(kInside.port), swap16(remote.port), kUdp)));
    };
    end(first);
    CHECK(delivered(*nat, {kRemote.address, 99}, outside) == kInside);
    end(first.port == kRemote.port ? kOtherPort : kRemote);
    CHECK(send(*nat, udp({kRemote.address, 99}, outside)).reason == Reason::Filtered);
    CHECK(delivered(*nat, {kOther.address, 99}, outside) == kInside);
  }
}

TEST_CASE("the longest idle time there is ends to the nanosecond, too") {
  Config c = config();
  constexpr uint64_t kLongest = 1'000'000'000 * kSecond;
  c.profiles[0].timeouts[static_cast<int>(Timeout::Udp)] = kLongest;
  auto nat = make(c);
  REQUIRE(mapped(*nat, kInside).port != 0);
  for (uint64_t now = 0; now < kLongest; now += kLongest / 64) nat->advance(now, 1000);
  CHECK(nat->sweep(kLongest - 1, 1000) == 0);
  CHECK(nat->stats.sessionsActive == 1);
  CHECK(nat->sweep(kLongest, 1000) == 1);
  CHECK(nat->stats.sessionsActive == 0);
}
