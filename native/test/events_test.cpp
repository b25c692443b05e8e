// Events: each kind, where it happens and where it doesn't. Told (fuzz/told.h) folds them, so that
// each case also shows that sessions, bindings and blocks are as told.
#include <string>

#include "fuzz/told.h"
#include "test/conversation.h"
#include "test/support.h"

using namespace napt;
using namespace napt::test;

namespace {

using Names = std::vector<std::string>;

constexpr End kOther{ip(198, 51, 100, 8), 53};

/// Inside host number `n`.
End host(int n, int port = 4000) {
  return {ip(192, 168, 226, static_cast<uint8_t>(n)), static_cast<uint16_t>(port)};
}

Config small(uint16_t ports) {
  Config c = config();
  c.outside = {{kPublic, 5000, static_cast<uint16_t>(4999 + ports)}};
  c.policies[0].randomPorts = false;
  c.policies[0].parity = false;
  return c;
}

/// A translator that is listened to.
struct Heard {
  Config config;
  std::unique_ptr<Translator> nat;
  std::vector<Event> last;  // what the last `names` was made of
  Told told;

  explicit Heard(Config c, uint32_t mask = ~0u) : config(std::move(c)), nat(make(config)) {
    nat->record(mask);
  }

  /// What has happened since the last time.
  Names names() {
    // Told takes what there is: first a look, then the same again.
    last.clear();
    nat->events().take(~0u, [&](const Event& e) { last.push_back(e); });
    for (const Event& e : last) told.hear(e);
    CHECK(told.differs(config, *nat) == "");
    Names out;
    for (const Event& e : last) out.emplace_back(kEventNames[static_cast<size_t>(e.type)]);
    return out;
  }
  void change(Config to) {
    config = std::move(to);
    auto next = make(config);
    next->adopt(*nat);
    nat = std::move(next);
  }
  uint32_t slotOf(End inside, End remote, uint8_t protocol = kUdp) {
    return nat->findSession(Key::of(inside.address, remote.address, swap16(inside.port),
                                    swap16(remote.port), protocol));
  }
};

MappingRequest request(End inside, uint64_t lifetime, uint8_t protocol = kUdp) {
  MappingRequest made{};
  made.protocol = protocol;
  made.inside = inside.address;
  made.insidePort = swap16(inside.port);
  made.lifetime = lifetime;
  return made;
}

}  // namespace

TEST_CASE("events: nothing is recorded that nobody wants") {
  Heard heard(config(), 0);
  mapped(*heard.nat, kInside);
  uint32_t taken = heard.nat->events().take(~0u, [](const Event&) {});
  CHECK(taken == 0);
  heard.nat->record(1u << static_cast<uint32_t>(EventType::BindingReleased));
  mapped(*heard.nat, kNeighbour);
  heard.nat->sweep(1000 * kSecond, ~0u);
  taken = heard.nat->events().take(
      ~0u, [](const Event& e) { CHECK(e.type == EventType::BindingReleased); });
  CHECK(taken == 2);
}

TEST_CASE("events: a UDP session's life") {
  Heard heard(config());
  const End outside = mapped(*heard.nat, kInside, kRemote, 5 * kSecond);
  CHECK(heard.names() == Names{"binding-created", "session-opened"});
  const Event& opened = heard.last[1];
  CHECK(opened.at == 5 * kSecond);
  CHECK(End{opened.inside, swap16(opened.insidePort)} == kInside);
  CHECK(End{opened.publicAddress, swap16(opened.publicPort)} == outside);
  CHECK(End{opened.remote, swap16(opened.remotePort)} == kRemote);
  CHECK(opened.protocol == kUdp);
  CHECK(End{heard.last[0].publicAddress, swap16(heard.last[0].publicPort)} == outside);

  mapped(*heard.nat, kInside, kRemote, 6 * kSecond);
  CHECK(heard.names() == Names{});
  delivered(*heard.nat, kRemote, outside, 7 * kSecond);
  CHECK(heard.names() == Names{"session-established"});
  CHECK(heard.last[0].packets[kOut] == 2);
  CHECK(heard.last[0].packets[kIn] == 1);
  for (int i = 0; i < 600; i++) delivered(*heard.nat, kRemote, outside, 8 * kSecond);
  CHECK(heard.names() == Names{});

  // Another session of the binding.
  mapped(*heard.nat, kInside, kOther, 100 * kSecond);
  CHECK(heard.names() == Names{"session-opened"});
  heard.nat->sweep(310 * kSecond, ~0u);
  CHECK(heard.names() == Names{"session-expired"});
  CHECK(heard.last[0].packets[kIn] == 601);
  heard.nat->sweep(500 * kSecond, ~0u);
  CHECK(heard.names() == Names{"session-expired", "binding-released"});
}

TEST_CASE("events: a TCP connection's life") {
  Heard heard(config());
  Conversation c(*heard.nat, kInside, {kServerAddress, 80});
  CHECK(heard.names() == Names{"binding-created", "session-opened", "session-established"});
  c.commands("GET /\r\n");
  CHECK(heard.names() == Names{});
  const auto close = [&](Peer& from) {
    pass(*heard.nat, segment(from.self, from.other, kFin | kAck, from.next++, from.received, ""));
  };
  close(c.client);
  CHECK(heard.names() == Names{});  // half closed
  c.server.received++;
  close(c.server);
  CHECK(heard.names() == Names{"session-closed"});
  CHECK(tcpPhase(heard.last[0].state) == TcpPhase::Closing);
  c.client.received++;
  pass(*heard.nat, c.client.again("", c.client.next));
  CHECK(heard.names() == Names{});
  heard.nat->sweep(8000 * kSecond, ~0u);
  CHECK(heard.names() == Names{"session-expired", "binding-released"});
}

TEST_CASE("events: a reset closes, what follows opens again, and a guess does neither") {
  Heard heard(config());
  Conversation c(*heard.nat, kInside, {kServerAddress, 80});
  heard.names();
  pass(*heard.nat, segment(c.server.self, c.server.other, kRst, c.server.next + 5'000'000, 0, ""));
  CHECK(heard.names() == Names{});
  pass(*heard.nat, segment(c.server.self, c.server.other, kRst, c.server.next, 0, ""));
  CHECK(heard.names() == Names{"session-closed"});
  pass(*heard.nat, segment(c.server.self, c.server.other, kRst, c.server.next, 0, ""));
  CHECK(heard.names() == Names{});
  c.commands("still here\r\n");
  CHECK(heard.names() == Names{"session-established"});
}

TEST_CASE("events: who came from outside is established by the answer") {
  Config c = config();
  c.forwards = {{kUdp, kPublic, 53, kInside.address, 53}};
  Heard heard(c);
  const End server{kInside.address, 53};
  REQUIRE(delivered(*heard.nat, kRemote, {kPublic, 53}) == server);
  REQUIRE(delivered(*heard.nat, kRemote, {kPublic, 53}) == server);
  // A forward is a binding by configuration.
  CHECK(heard.names() == Names{"session-opened"});
  CHECK((heard.last[0].flags & kPermanent) != 0);
  mapped(*heard.nat, server, kRemote);
  CHECK(heard.names() == Names{"session-established"});
  heard.nat->sweep(1000 * kSecond, ~0u);
  CHECK(heard.names() == Names{"session-expired"});
}

TEST_CASE("events: a 1:1 mapping has sessions, no bindings") {
  Config c = config();
  c.statics = {{ip(203, 0, 113, 65), kInside.address}};
  Heard heard(c);
  mapped(*heard.nat, kInside);
  CHECK(heard.names() == Names{"session-opened"});
}

TEST_CASE("events: a hairpinned flow has a session at either end") {
  Config c = config();
  setAll(c.policies[0].filtering, Behaviour::EndpointIndependent);
  Heard heard(c);
  const End two = mapped(*heard.nat, kNeighbour);
  heard.names();
  Bytes packet = udp(kInside, two);
  REQUIRE(run(*heard.nat, packet).verdict == Verdict::Forwarded);
  CHECK(heard.names() == Names{"binding-created", "session-opened"});
  const End one = sourceOf(packet);
  packet = udp(kNeighbour, one);
  REQUIRE(run(*heard.nat, packet).verdict == Verdict::Forwarded);
  CHECK(heard.names() == Names{"session-opened", "session-established"});
  packet = udp(kInside, two);
  REQUIRE(run(*heard.nat, packet).verdict == Verdict::Forwarded);
  CHECK(heard.names() == Names{"session-established"});
}

TEST_CASE("events: transports without ports have bindings, too") {
  Config c = config();
  c.protocols.add(kEsp);
  Heard heard(c);
  send(*heard.nat, ipv4(kEsp, kInside.address, kRemote.address, Bytes(16)));
  CHECK(heard.names() == Names{"binding-created", "session-opened"});
  send(*heard.nat, ipv4(kEsp, kRemote.address, kPublic, Bytes(16)));
  CHECK(heard.names() == Names{"session-established"});
  heard.nat->sweep(1000 * kSecond, ~0u);
  CHECK(heard.names() == Names{"session-expired", "binding-released"});
}

TEST_CASE("events: bindings that share a public endpoint are told one by one") {
  Config c = small(1);
  setAll(c.policies[0].mapping, Behaviour::AddressAndPortDependent);
  c.policies[0].overloading = true;
  Heard heard(c);
  mapped(*heard.nat, kInside, kRemote);
  mapped(*heard.nat, kInside, kOther);
  mapped(*heard.nat, kNeighbour, {kOther.address, 54});
  CHECK(heard.names() == Names{"binding-created", "pool-threshold", "session-opened",
                               "binding-created", "session-opened", "binding-created",
                               "session-opened"});
  heard.nat->sweep(1000 * kSecond, ~0u);
  CHECK(heard.names().size() == 7);
}

TEST_CASE("events: explicit mappings are sessions without a remote") {
  Heard heard(config());
  REQUIRE(heard.nat->map(request(kInside, 100 * kSecond), 0).reason == Reason::None);
  CHECK(heard.names() == Names{"binding-created", "session-opened"});
  CHECK(heard.last[1].remote == 0);
  REQUIRE(heard.nat->map(request(kInside, 200 * kSecond), 0).reason == Reason::None);
  CHECK(heard.names() == Names{});
  REQUIRE(heard.nat->unmap(kUdp, kInside.address, swap16(kInside.port)));
  CHECK(heard.names() == Names{"session-deleted", "binding-released"});
}

TEST_CASE("events: of what FTP expects") {
  Config c = config();
  c.ftp = true;
  Heard heard(c);
  Conversation talk(*heard.nat, kInside, {kServerAddress, 21});
  talk.greet();
  heard.names();
  const Text port = talk.commands("PORT 192,168,226,135,19,136\r\n");
  CHECK(heard.names() == Names{"binding-created", "session-opened"});
  REQUIRE((heard.last[1].flags & kExpected) != 0);
  const End outside{kPublic, swap16(heard.last[1].publicPort)};
  Bytes syn = tcp({kServerAddress, 20}, outside, kSyn);
  REQUIRE(run(*heard.nat, syn).verdict == Verdict::Forwarded);
  CHECK(heard.names() == Names{"session-opened", "session-deleted"});
  CHECK((heard.last[1].flags & kExpected) != 0);
}

TEST_CASE("events: deleted, and evicted") {
  Config c = config();
  c.sessionLimit = 2;
  c.evict = true;
  Heard heard(c);
  mapped(*heard.nat, host(1));
  mapped(*heard.nat, host(2));
  heard.names();
  heard.nat->deleteSession(heard.slotOf(host(1), kRemote));
  CHECK(heard.names() == Names{"session-deleted", "binding-released"});
  mapped(*heard.nat, host(3), kRemote, kSecond);
  heard.names();
  mapped(*heard.nat, host(4), kRemote, 2 * kSecond);
  CHECK(heard.names() ==
        Names{"session-evicted", "binding-released", "binding-created", "session-opened"});
  CHECK(heard.last[0].inside == host(2).address);
}

TEST_CASE("events: expiring, once for each idle time") {
  Config c = config();
  c.expiringBefore = 60 * kSecond;
  Heard heard(c);
  mapped(*heard.nat, kInside);
  heard.names();
  heard.nat->advance(239 * kSecond, ~0u);
  CHECK(heard.names() == Names{});
  heard.nat->advance(241 * kSecond, ~0u);
  CHECK(heard.names() == Names{"session-expiring"});
  heard.nat->advance(270 * kSecond, ~0u);
  CHECK(heard.names() == Names{});
  mapped(*heard.nat, kInside, kRemote, 280 * kSecond);  // until 580
  heard.nat->advance(519 * kSecond, ~0u);
  CHECK(heard.names() == Names{});
  heard.nat->advance(521 * kSecond, ~0u);
  CHECK(heard.names() == Names{"session-expiring"});
  heard.nat->advance(581 * kSecond, ~0u);
  CHECK(heard.names() == Names{"session-expired", "binding-released"});
}

TEST_CASE("events: expiring in an hour's time, with a time shorter than that, and with an end") {
  Config c = config();
  c.expiringBefore = 200 * kSecond;
  c.profiles[0].timeouts[static_cast<int>(Timeout::Icmp)] = 60 * kSecond;
  c.profiles[0].timeouts[static_cast<int>(Timeout::Udp)] = 7200 * kSecond;
  Heard heard(c);
  mapped(*heard.nat, kInside);
  send(*heard.nat, echo(kInside.address, kRemote.address, 7));
  REQUIRE(heard.nat->map(request(kNeighbour, 500 * kSecond, kTcp), 0).reason == Reason::None);
  heard.names();
  heard.nat->advance(29 * kSecond, ~0u);
  CHECK(heard.names() == Names{});
  heard.nat->advance(31 * kSecond, ~0u);  // half of its time
  CHECK(heard.names() == Names{"session-expiring"});
  heard.nat->advance(299 * kSecond, ~0u);
  CHECK(heard.names() == Names{"session-expired", "binding-released"});
  heard.nat->advance(301 * kSecond, ~0u);
  CHECK(heard.names() == Names{"session-expiring"});
  CHECK(heard.last[0].inside == kNeighbour.address);
  for (uint64_t s = 510; s < 7000; s += 10) heard.nat->advance(s * kSecond, ~0u);
  CHECK(heard.names() == Names{"session-expired", "binding-released"});
  heard.nat->advance(7001 * kSecond, ~0u);
  CHECK(heard.names() == Names{"session-expiring"});
}

TEST_CASE("events: off, the wheel is asked for nothing") {
  Heard heard(config());
  mapped(*heard.nat, kInside);
  heard.names();
  heard.nat->advance(299 * kSecond, ~0u);
  CHECK(heard.names() == Names{});
}

TEST_CASE("events: a pool fills, is exhausted, and is relieved") {
  Heard heard(small(10));
  for (int i = 1; i <= 8; i++) mapped(*heard.nat, host(i));
  CHECK(heard.names().size() == 16);
  mapped(*heard.nat, host(9));
  CHECK(heard.names() == Names{"binding-created", "pool-threshold", "session-opened"});
  CHECK(heard.last[1].publicAddress == kPublic);
  CHECK(heard.last[1].protocol == kUdp);
  CHECK(heard.last[1].numbers[0] == 9);
  CHECK(heard.last[1].numbers[1] == 10);
  mapped(*heard.nat, host(10));
  CHECK(heard.names() == Names{"binding-created", "session-opened"});
  for (int i = 11; i < 15; i++) CHECK(mapped(*heard.nat, host(i)).port == 0);
  CHECK(heard.names() == Names{"pool-exhausted"});
  // A tenth below the threshold.
  for (const int i : {1, 2}) heard.nat->deleteSession(heard.slotOf(host(i), kRemote));
  CHECK(heard.names().size() == 4);
  CHECK(mapped(*heard.nat, host(11)).port != 0);
  CHECK(mapped(*heard.nat, host(12)).port != 0);
  CHECK(mapped(*heard.nat, host(13)).port == 0);
  CHECK(heard.names().size() == 4);
  for (const int i : {3, 4}) heard.nat->deleteSession(heard.slotOf(host(i), kRemote));
  CHECK(heard.names().size() == 4);
  heard.nat->deleteSession(heard.slotOf(host(5), kRemote));
  CHECK(heard.names() == Names{"session-deleted", "binding-released", "pool-relieved"});
  CHECK(heard.last[2].numbers[0] == 7);
  // Other protocols have ports of their own.
  send(*heard.nat, echo(kInside.address, kRemote.address, 7));
  CHECK(heard.names() == Names{"binding-created", "session-opened"});
}

TEST_CASE("events: a full address is told, and no other") {
  Config c = small(2);
  c.outside.push_back({ip(203, 0, 113, 2), 5000, 5001});
  c.policies[0].pooling = Pooling::Arbitrary;
  Heard heard(c);
  for (int i = 1; i <= 4; i++) mapped(*heard.nat, host(i));
  heard.names();
  CHECK(mapped(*heard.nat, host(5)).port == 0);
  CHECK(heard.names() == Names{"pool-exhausted", "pool-exhausted"});
  CHECK(heard.last[0].publicAddress != heard.last[1].publicAddress);
  CHECK(mapped(*heard.nat, host(6)).port == 0);
  CHECK(heard.names() == Names{});
  // Paired: also a host whose address is full, though others have room.
  c.policies[0].pooling = Pooling::Paired;
  Heard paired(c);
  for (int i = 1; i <= 3; i++) mapped(*paired.nat, host(1, 4000 + i));
  CHECK(paired.names().back() == "pool-exhausted");
  for (int i = 1; i <= 2; i++) mapped(*paired.nat, host(2, 4000 + i));
  paired.names();
  CHECK(mapped(*paired.nat, host(3)).port == 0);
  CHECK(paired.names() == Names{"pool-exhausted"});
}

TEST_CASE("events: an exact wish that is taken exhausts nothing") {
  Heard heard(config());
  const End outside = mapped(*heard.nat, kInside);
  heard.names();
  MappingRequest wish = request(kNeighbour, kSecond);
  wish.outside = outside.address;
  wish.outsidePort = outside.port;
  wish.exact = true;
  CHECK(heard.nat->map(wish, 0).reason == Reason::PortsExhausted);
  CHECK(heard.names() == Names{});
}

TEST_CASE("events: who begins to listen is told of a full pool with its next change") {
  Heard heard(small(4), 0);
  for (int i = 1; i <= 4; i++) mapped(*heard.nat, host(i));
  heard.nat->record(1u << static_cast<uint32_t>(EventType::PoolExhausted));
  CHECK(mapped(*heard.nat, host(5)).port == 0);
  heard.nat->record(0);
  heard.nat->record(1u << static_cast<uint32_t>(EventType::PoolExhausted));
  CHECK(mapped(*heard.nat, host(6)).port == 0);
  CHECK(heard.nat->events().take(~0u, [](const Event&) {}) == 2);
}

TEST_CASE("events: port blocks, and how many there are left") {
  Config c = small(16);
  c.blockSize = 4;
  Heard heard(c);
  mapped(*heard.nat, host(1));
  CHECK(heard.names() == Names{"block-allocated", "binding-created", "session-opened"});
  CHECK(heard.last[0].inside == host(1).address);
  CHECK(heard.last[0].publicAddress == kPublic);
  CHECK(heard.last[0].numbers[0] == 5000);
  CHECK(heard.last[0].numbers[1] == 5003);
  for (int i = 2; i <= 3; i++) mapped(*heard.nat, host(i));
  heard.names();
  mapped(*heard.nat, host(4));
  CHECK(heard.names() ==
        Names{"block-allocated", "pool-threshold", "binding-created", "session-opened"});
  CHECK(heard.last[1].protocol == 0);
  CHECK(heard.last[1].numbers[1] == 4);
  CHECK(mapped(*heard.nat, host(5)).port == 0);
  CHECK(heard.names() == Names{"pool-exhausted"});
  heard.nat->deleteSession(heard.slotOf(host(1), kRemote));
  CHECK(heard.names() ==
        Names{"session-deleted", "binding-released", "block-released", "pool-relieved"});
}

TEST_CASE("events: ports that rest are not given, and relieve nobody") {
  Config c = small(1024);
  c.holdDown = 60 * kSecond;
  c.holdDownPorts = 128;
  Heard heard(c);
  for (int i = 0; i < 922; i++) mapped(*heard.nat, host(1, 4000 + i));
  CHECK(heard.names().size() == 2 * 922 + 1);
  for (int i = 0; i < 110; i++) {
    heard.nat->deleteSession(heard.slotOf(host(1, 4000 + i), kRemote));
    CHECK(heard.names() == Names{"session-deleted", "binding-released"});
  }
  mapped(*heard.nat, host(2), kRemote, 61 * kSecond);
  CHECK(heard.names() == Names{"binding-created", "pool-relieved", "session-opened"});
  CHECK(heard.last[1].numbers[0] == 813);
}

TEST_CASE("events: blocks that rest are not given, and relieve nobody") {
  Config c = small(8);
  c.blockSize = 4;
  c.blockHold = 60 * kSecond;
  Heard heard(c);
  for (int i = 1; i <= 2; i++) mapped(*heard.nat, host(i));
  heard.names();
  heard.nat->deleteSession(heard.slotOf(host(1), kRemote));
  CHECK(heard.names() == Names{"session-deleted", "binding-released", "block-released"});
  mapped(*heard.nat, host(3), kRemote, 61 * kSecond);
  CHECK(heard.names() == Names{"pool-relieved", "block-allocated", "pool-threshold",
                               "binding-created", "session-opened"});
}

TEST_CASE("events: a host at its quotas is told every ten seconds") {
  Config c = config();
  c.policies[0].sessionLimit = 2;
  Heard heard(c);
  for (uint16_t i = 1; i <= 2; i++) mapped(*heard.nat, kInside, {kRemote.address, i});
  heard.names();
  const auto refused = [&](uint64_t seconds, uint16_t port = 9) {
    mapped(*heard.nat, kInside, {kRemote.address, port}, seconds * kSecond);
    return heard.names();
  };
  CHECK(refused(1) == Names{"host-limit"});
  CHECK(heard.last[0].inside == kInside.address);
  CHECK(heard.last[0].numbers[0] == static_cast<uint32_t>(HostQuota::Sessions));
  for (uint64_t i = 2; i < 10; i++) CHECK(refused(i) == Names{});
  CHECK(refused(12) == Names{"host-limit"});
  // What makes room in time is no refusal.
  CHECK(refused(301) == Names{"session-expired", "session-expired", "binding-released",
                              "binding-created", "session-opened"});
}

TEST_CASE("events: a host is told of, whoever had its place before") {
  Config c = config();
  c.policies[0].sessionLimit = 1;
  Heard heard(c);
  const End far{kRemote.address, 9};
  for (const int i : {1, 2}) {
    mapped(*heard.nat, host(i));
    mapped(*heard.nat, host(i), far, static_cast<uint64_t>(i) * kSecond);
    CHECK(heard.names() == Names{"binding-created", "session-opened", "host-limit"});
    CHECK(heard.last[2].inside == host(i).address);
    heard.nat->deleteSession(heard.slotOf(host(i), kRemote));
    heard.names();
  }
}

TEST_CASE("events: each quota has a name, and others are others'") {
  Config c = config();
  c.policies[0].portLimits[0] = 1;
  Heard ports(c);
  mapped(*ports.nat, kInside);
  ports.names();
  mapped(*ports.nat, {kInside.address, 4001});
  mapped(*ports.nat, kNeighbour);
  CHECK(ports.names() == Names{"host-limit", "binding-created", "session-opened"});
  CHECK(ports.last[0].numbers[0] == static_cast<uint32_t>(HostQuota::Bindings));

  c = config();
  c.policies[0].sessionRate = 1;
  Heard rate(c);
  mapped(*rate.nat, kInside);
  rate.names();
  mapped(*rate.nat, kInside, kOther);
  CHECK(rate.names() == Names{"host-limit"});
  CHECK(rate.last[0].numbers[0] == static_cast<uint32_t>(HostQuota::Rate));

  c = config();
  c.sessionRate = 1;  // all hosts'
  Heard all(c);
  mapped(*all.nat, kInside);
  all.names();
  mapped(*all.nat, kInside, kOther);
  CHECK(all.names() == Names{});

  c = small(16);
  c.blockSize = 4;
  c.blocksPerHost = 1;
  Heard blocks(c);
  for (int i = 0; i < 5; i++) mapped(*blocks.nat, host(1, 4000 + i));
  CHECK(blocks.names().back() == "host-limit");
  CHECK(blocks.last.back().numbers[0] == static_cast<uint32_t>(HostQuota::Bindings));
}

TEST_CASE("events: a full ring loses, and counts") {
  Heard heard(config(), 1u << static_cast<uint32_t>(EventType::SessionOpened));
  for (uint32_t i = 0; i < Events::kMost + 5; i++) {
    mapped(*heard.nat, kInside,
           {ip(198, 51, static_cast<uint8_t>(i >> 16), 1), static_cast<uint16_t>(i)});
  }
  CHECK(heard.nat->events().lost() == 5);
  uint32_t seen = 0;
  const auto count = [&](const Event& e) { CHECK(swap16(e.remotePort) == (seen++ & 0xffff)); };
  CHECK(heard.nat->events().take(100, count) == 100);
  CHECK(heard.nat->events().take(~0u, count) == Events::kMost - 100);
  // Around the end.
  for (uint16_t i = 10; i < 20; i++) mapped(*heard.nat, kNeighbour, {kRemote.address, i});
  uint16_t next = 10;
  heard.nat->events().take(~0u, [&](const Event& e) { CHECK(swap16(e.remotePort) == next++); });
  CHECK(next == 20);
}

TEST_CASE("events: a change of config tells what it ends") {
  Config c = config();
  c.outside.push_back({ip(203, 0, 113, 2), 1024, 65535});
  c.policies[0].pooling = Pooling::Arbitrary;
  Heard heard(c);
  for (int i = 1; i <= 20; i++) mapped(*heard.nat, host(i));
  mapped(*heard.nat, host(1), kOther);
  heard.names();
  heard.change(c);
  CHECK(heard.names() == Names{});
  Config fewer = config();
  fewer.policies[0].pooling = Pooling::Arbitrary;
  const uint32_t before = heard.nat->sessions().size();
  heard.change(fewer);
  const Names names = heard.names();
  const auto deleted = std::count(names.begin(), names.end(), "session-deleted");
  CHECK(deleted == before - heard.nat->sessions().size());
  CHECK(deleted > 0);
  CHECK(std::count(names.begin(), names.end(), "binding-released") > 0);
  CHECK(std::count(names.begin(), names.end(), "session-opened") == 0);
  // What has not been taken before comes first, and what comes later is recorded as before.
  mapped(*heard.nat, host(30));
  heard.change(config());
  mapped(*heard.nat, host(31));
  CHECK(heard.names() ==
        Names{"binding-created", "session-opened", "binding-created", "session-opened"});
}

TEST_CASE("events: a change of config that gives a binding to a forward, and takes it back") {
  Heard heard(config());
  const End outside = mapped(*heard.nat, kInside);
  heard.names();
  Config c = config();
  c.forwards = {{kUdp, kPublic, outside.port, kInside.address, kInside.port}};
  heard.change(c);
  CHECK(heard.names() == Names{"binding-released"});
  heard.change(config());
  CHECK(heard.names() == Names{"binding-created"});
}

TEST_CASE("events: a change of config that divides a binding, and joins it") {
  Config one = small(1), several = small(1);
  setAll(several.policies[0].mapping, Behaviour::AddressAndPortDependent);
  several.policies[0].overloading = true;
  Heard heard(one);
  mapped(*heard.nat, kInside, kRemote);
  mapped(*heard.nat, kInside, kOther);
  heard.names();
  heard.change(several);
  CHECK(heard.names() == Names{"binding-created"});
  heard.change(one);
  CHECK(heard.names() == Names{"binding-released"});
}

TEST_CASE("events: a change of config with blocks") {
  Config c = small(16), larger = small(16);
  c.blockSize = 4;
  larger.blockSize = 8;
  Heard heard(c);
  mapped(*heard.nat, host(1));
  heard.names();
  heard.change(c);
  CHECK(heard.names() == Names{});
  heard.change(larger);
  CHECK(heard.names() == Names{"block-released", "block-allocated"});
  heard.change(small(16));
  CHECK(heard.names() == Names{"block-released"});
  heard.change(c);
  CHECK(heard.names() == Names{"block-allocated"});
}

TEST_CASE("events: a change of config from ports to blocks relieves the ports") {
  Config c = small(4);
  c.blockSize = 4;
  Heard heard(small(4));
  for (int port = 1; port <= 4; port++) mapped(*heard.nat, host(1, port));
  heard.names();
  heard.change(c);
  CHECK(heard.names() == Names{"block-allocated", "pool-relieved"});
  CHECK(heard.last[1].protocol == kUdp);
  heard.change(small(4));
  CHECK(heard.names() == Names{"block-released"});
}

TEST_CASE("events: a change of config relieves a pool, or does not") {
  Heard heard(small(4));
  for (int i = 1; i <= 4; i++) mapped(*heard.nat, host(i));
  mapped(*heard.nat, host(5));
  heard.names();
  heard.change(small(4));
  CHECK(mapped(*heard.nat, host(5)).port == 0);
  CHECK(heard.names() == Names{});
  heard.change(small(8));
  CHECK(heard.names() == Names{"pool-relieved"});
  CHECK(heard.last[0].numbers[1] == 8);
  for (int i = 5; i <= 9; i++) mapped(*heard.nat, host(i));
  heard.names();
  Config elsewhere = small(8);
  elsewhere.outside[0].address = ip(203, 0, 113, 2);
  heard.change(elsewhere);
  CHECK(heard.names().back() == "pool-relieved");
  CHECK(heard.last.back().publicAddress == kPublic);
}

TEST_CASE("events: what was due at a change of config has expired") {
  Heard heard(config());
  mapped(*heard.nat, kInside);
  mapped(*heard.nat, kNeighbour, kRemote, 200 * kSecond);
  heard.names();
  heard.nat->translateBatch(nullptr, 0, nullptr, 0, 301 * kSecond);
  heard.change(config());
  CHECK(heard.names() == Names{"session-expired", "binding-released"});
}

TEST_CASE("events: what is restored is told as opened") {
  auto before = make(config());
  mapped(*before, kInside);
  mapped(*before, kInside, kOther);
  Bytes records(1000);
  const SnapshotPiece piece = before->save(0, 0, records.data(), records.size());
  Heard heard(config());
  for (const bool first : {true, false}) {
    heard.nat->restore(records.data(), piece.bytes, first, {10 * kSecond, 10 * kSecond});
  }
  CHECK(heard.names() == Names{"binding-created", "session-opened", "session-opened"});
}

TEST_CASE("events: batches tell the same, and a first answer once") {
  Config c = config();
  setAll(c.policies[0].filtering, Behaviour::EndpointIndependent);
  Heard heard(c);
  const End outside = mapped(*heard.nat, kInside);
  heard.names();
  std::vector<uint8_t> memory(64 * 300);
  std::vector<Descriptor> descriptors;
  for (uint32_t i = 0; i < 300; i++) {
    const Bytes packet = udp(kRemote, outside);
    std::copy(packet.begin(), packet.end(), memory.begin() + i * 64);
    descriptors.push_back({i * 64, static_cast<uint32_t>(packet.size()), 0, 0, 0, 0, i, 0});
  }
  heard.nat->translateBatch(descriptors.data(), 300, memory.data(), memory.size(), kSecond);
  CHECK(heard.names() == Names{"session-established"});
  CHECK(heard.last[0].packets[kIn] == 1);
  CHECK(heard.nat->sessions().packets(heard.slotOf(kInside, kRemote), kIn) == 300);
}
