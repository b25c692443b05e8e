#include "test/conversation.h"

using namespace napt;
using namespace napt::test;

namespace {

constexpr End kPptpServer{kServerAddress, 1723};

Text be16(uint32_t value) {
  return {static_cast<char>(value >> 8 & 255), static_cast<char>(value & 255)};
}
/// A control message: call ids at 12 and 14, the rest zero.
Text control(uint32_t type, uint32_t size, uint32_t first = 0, uint32_t second = 0) {
  Text out = be16(size) + be16(1) + be16(0x1a2b) + be16(0x3c4d) + be16(type) + be16(0) +
             be16(first) + be16(second);
  out.resize(size);
  return out;
}
uint32_t idIn(const Text& message, size_t at = 12) {
  return static_cast<uint32_t>(static_cast<uint8_t>(message[at]) << 8 |
                               static_cast<uint8_t>(message[at + 1]));
}

/// Enhanced GRE with a sequence number.
Bytes gre(uint32_t from, uint32_t to, uint32_t id, size_t payload = 4) {
  Bytes packet = udp({from, 0}, {to, 0}, payload + 4);
  packet[kIpProtocol] = kGre;
  const uint8_t header[] = {0x30,
                            0x01,
                            0x88,
                            0x0b,
                            0,
                            static_cast<uint8_t>(payload),
                            static_cast<uint8_t>(id >> 8),
                            static_cast<uint8_t>(id & 255)};
  std::copy(std::begin(header), std::end(header), packet.begin() + 20);
  store16be(&packet[kIpChecksum], 0);
  store16be(&packet[kIpChecksum], static_cast<uint16_t>(~slowSum(packet.data(), kIpHeader)));
  return packet;
}
uint32_t callIdOf(const Bytes& packet) { return load16be(&packet[26]); }

/// What comes out for a tunnel's packet; only the addresses, the TTL and the id may have changed.
Bytes tunnel(Translator& nat, const Bytes& sent, uint64_t now = 0) {
  Bytes packet = sent;
  if (run(nat, packet, now).verdict != Verdict::Forwarded) {
    CHECK(packet == sent);
    return {};
  }
  CHECK(slowSum(packet.data(), kIpHeader) == 0xffff);
  CHECK(std::equal(sent.begin() + 20, sent.begin() + 26, packet.begin() + 20));
  CHECK(std::equal(sent.begin() + 28, sent.end(), packet.begin() + 28, packet.end()));
  return packet;
}

Config pptpConfig() {
  Config c = config();
  c.pptp = true;
  c.profiles[0].timeouts[static_cast<int>(Timeout::Gre)] = 300 * kSecond;
  return c;
}

/// A client's call to a server: the ids that each end tells the other.
struct Call {
  Conversation talk;
  uint32_t clientId, serverId, publicId = 0;

  Call(Translator& nat, End client, uint32_t own, uint32_t servers)
      : talk(nat, client, kPptpServer), clientId(own), serverId(servers) {
    CHECK(talk.commands(control(1, 156)) == control(1, 156));
    CHECK(talk.replies(control(2, 156)) == control(2, 156));
    const Text request = talk.commands(control(7, 168, clientId));
    publicId = idIn(request);
    CHECK(request == control(7, 168, publicId));
    CHECK(talk.replies(control(8, 32, serverId, publicId)) == control(8, 32, serverId, clientId));
  }
};

}  // namespace

TEST_CASE("PPTP: two clients with one call id to one server") {
  auto nat = make(pptpConfig());
  Call one(*nat, {kInside.address, 3000}, 7, 100), two(*nat, {kNeighbour.address, 3000}, 7, 101);
  CHECK(one.publicId != two.publicId);
  for (Call* call : {&one, &two}) {
    const uint32_t host = call->talk.client.self.address;
    const Bytes out = tunnel(*nat, gre(host, kServerAddress, call->serverId));
    REQUIRE_FALSE(out.empty());
    CHECK(load<uint32_t>(&out[kIpSource]) == kPublic);
    CHECK(callIdOf(out) == call->serverId);
    const Bytes in = tunnel(*nat, gre(kServerAddress, kPublic, call->publicId));
    REQUIRE_FALSE(in.empty());
    CHECK(load<uint32_t>(&in[kIpDestination]) == host);
    CHECK(callIdOf(in) == call->clientId);
    CHECK(tunnel(*nat, gre(ip(198, 51, 100, 22), kPublic, call->publicId)).empty());
    CHECK(tunnel(*nat, gre(host, ip(198, 51, 100, 22), call->serverId)).empty());
    CHECK(tunnel(*nat, gre(host, kServerAddress, 999)).empty());
  }
  CHECK(tunnel(*nat, gre(kInside.address, kServerAddress, two.serverId)).empty());
  CHECK(tunnel(*nat, gre(kServerAddress, kPublic, one.publicId ^ two.publicId ^ 1)).empty());

  // What else is said of a call: who sends its own id, and who the other's.
  Conversation& talk = one.talk;
  const uint32_t own = one.clientId, seen = one.publicId, theirs = one.serverId;
  CHECK(talk.commands(control(15, 24, theirs)) == control(15, 24, theirs));
  CHECK(talk.replies(control(15, 24, seen)) == control(15, 24, own));
  CHECK(talk.replies(control(14, 40, seen)) == control(14, 40, own));
  CHECK(talk.replies(control(13, 148, theirs)) == control(13, 148, theirs));
  CHECK(talk.commands(control(12, 16, own)) == control(12, 16, seen));
  // Calls that the server begins.
  CHECK(talk.replies(control(9, 220, 55)) == control(9, 220, 55));
  const Text answer = talk.commands(control(10, 24, 9, 55));
  CHECK(answer == control(10, 24, idIn(answer), 55));
  CHECK(idIn(answer) != 9);
  CHECK(talk.commands(control(11, 28, 55)) == control(11, 28, 55));
  CHECK(talk.replies(control(11, 28, idIn(answer))) == control(11, 28, 9));
  CHECK_FALSE(tunnel(*nat, gre(talk.client.self.address, kServerAddress, 55)).empty());
  // Several messages in one segment.
  CHECK(talk.commands(control(5, 16) + control(12, 16, own)) ==
        control(5, 16) + control(12, 16, seen));
  // Another's id stays.
  CHECK(talk.replies(control(15, 24, two.publicId)) == control(15, 24, two.publicId));
  CHECK(talk.commands(control(12, 16, 8)) == control(12, 16, 8));
  // And a request that comes again gets the same.
  CHECK(talk.commands(control(7, 168, own)) == control(7, 168, seen));
}

TEST_CASE("PPTP: a call ends when its packets do") {
  auto nat = make(pptpConfig());
  Call call(*nat, {kInside.address, 3000}, 7, 100);
  CHECK_FALSE(tunnel(*nat, gre(kInside.address, kServerAddress, 100), 299 * kSecond).empty());
  CHECK_FALSE(tunnel(*nat, gre(kServerAddress, kPublic, call.publicId), 598 * kSecond).empty());
  CHECK(tunnel(*nat, gre(kInside.address, kServerAddress, 100), 599 * kSecond).empty());
  CHECK(nat->sessions().size() == 1);
  nat->sweep(8000 * kSecond, 1000);
  CHECK(nat->sessions().size() == 0);
}

TEST_CASE("PPTP: an id that the server gives anew leads to the new call") {
  auto nat = make(pptpConfig());
  Call first(*nat, {kInside.address, 3000}, 7, 100), second(*nat, {kInside.address, 3001}, 8, 100);
  REQUIRE_FALSE(tunnel(*nat, gre(kInside.address, kServerAddress, 100)).empty());
  const auto packets = [&](uint16_t id) {
    const uint32_t slot =
        nat->findSession(Key::of(kInside.address, kServerAddress, swap16(id), 0, kGre));
    return nat->sessions()[slot].packets[kOut];
  };
  CHECK(packets(7) == 0);
  CHECK(packets(8) == 1);
}

TEST_CASE("PPTP: servers inside, and 1:1 mappings") {
  Config c = pptpConfig();
  const uint32_t mapped = ip(203, 0, 113, 9), remote = ip(198, 51, 100, 30);
  c.forwards = {{kTcp, kPublic, 1723, kInside.address, 1723}};
  c.statics = {{mapped, kNeighbour.address}};
  auto nat = make(c);
  for (const bool forwarded : {true, false}) {
    const uint32_t outside = forwarded ? kPublic : mapped;
    const uint32_t host = forwarded ? kInside.address : kNeighbour.address;
    Conversation talk(*nat, {remote, 3000}, {outside, 1723}, {host, 1723});
    CHECK(talk.commands(control(7, 168, 50)) == control(7, 168, 50));
    const Text reply = talk.replies(control(8, 32, 60, 50));
    const uint32_t id = idIn(reply);
    CHECK(reply == control(8, 32, id, 50));
    CHECK((id == 60) == !forwarded);
    CHECK(talk.commands(control(15, 24, id)) == control(15, 24, 60));
    const Bytes in = tunnel(*nat, gre(remote, outside, id));
    REQUIRE_FALSE(in.empty());
    CHECK(load<uint32_t>(&in[kIpDestination]) == host);
    CHECK(callIdOf(in) == 60);
    const Bytes out = tunnel(*nat, gre(host, remote, 50));
    REQUIRE_FALSE(out.empty());
    CHECK(load<uint32_t>(&out[kIpSource]) == outside);
    CHECK(callIdOf(out) == 50);
  }
}

TEST_CASE("PPTP: GRE of other kinds has its own switch") {
  for (const bool plain : {false, true}) {
    Config c = pptpConfig();
    if (plain) c.protocols.add(kGre);
    auto nat = make(c);
    Bytes packet = gre(kInside.address, kServerAddress, 100);
    packet[21] = 0;  // version 0
    CHECK(tunnel(*nat, packet).empty() == !plain);
    packet[21] = 1;
    CHECK(run(*nat, packet).reason == Reason::NoMapping);
    // Nor is it a call that carries something else than PPP, or has no id.
    Bytes bridged = gre(kInside.address, kServerAddress, 100);
    store16be(&bridged[22], 0x6558);
    CHECK(tunnel(*nat, bridged).empty() == !plain);
    CHECK(tunnel(*nat, gre(kInside.address, kServerAddress, 0)).empty() == !plain);
  }
  auto off = make(config());
  Bytes packet = gre(kInside.address, kServerAddress, 100);
  CHECK(run(*off, packet).reason == Reason::UnsupportedProtocol);
}

TEST_CASE("PPTP: whatever is no control message ends the reading") {
  const Text request = control(7, 168, 7);
  Text cookie = control(1, 156), version = control(1, 156), length = control(7, 160, 7);
  cookie[4] = 0;
  version[3] = 2;
  for (const Text& first :
       {cookie, version, length, Text("POST / HTTP/1.1\r\n\r\n"), request.substr(0, 100),
        control(5, 16).substr(0, 11), be16(0) + request.substr(2), be16(8) + request.substr(2)}) {
    auto nat = make(pptpConfig());
    Conversation talk(*nat, {kInside.address, 3000}, kPptpServer);
    CHECK(talk.commands(first) == first);
    CHECK(talk.commands(request) == request);
    CHECK(nat->stats.sessionsActive == 1);
  }
  auto nat = make(pptpConfig());
  Conversation talk(*nat, {kInside.address, 3000}, kPptpServer);
  CHECK(talk.commands(control(7, 168, 0)) == control(7, 168, 0));  // no id
  CHECK(nat->stats.sessionsActive == 1);
  CHECK(idIn(talk.commands(request)) != 7);
  // The server's stream, too, is only read as far as all of it was seen.
  talk.server.next += 16;
  pass(*nat, talk.server.say(control(5, 16)));
  CHECK(textOf(pass(*nat, talk.client.say(control(12, 16, 7)))) == control(12, 16, 7));
}

TEST_CASE("PPTP: another config takes calls over, if it has them") {
  Config c = pptpConfig();
  auto nat = make(c);
  Call call(*nat, {kInside.address, 3000}, 7, 100);
  for (const bool still : {true, false}) {
    c.pptp = still;
    c.protocols.add(kGre);
    auto next = make(c);
    next->adopt(*nat);
    nat = std::move(next);
    CHECK(nat->stats.sessionsActive == (still ? 2 : 1));
    const Bytes in = tunnel(*nat, gre(kServerAddress, kPublic, call.publicId));
    CHECK(in.empty() == !still);
    if (still) CHECK_FALSE(tunnel(*nat, gre(kInside.address, kServerAddress, 100)).empty());
  }
}

TEST_CASE("PPTP: any bytes may be said") {
  Random random({31, 32});
  for (int round = 0; round < 2000; round++) {
    auto nat = make(pptpConfig());
    Call call(*nat, {kInside.address, 3000}, 7, 100);
    Peer* peers[] = {&call.talk.client, &call.talk.server};
    for (int step = 0; step < 20; step++) {
      constexpr uint32_t kSizes[] = {156, 156, 16, 16, 16,  20, 168, 32,
                                     220, 24,  28, 16, 148, 40, 24};
      const uint32_t type = 1 + random.below(15);
      Text text =
          control(type, kSizes[type - 1], random.below(4) == 0 ? call.publicId : random.below(9),
                  random.below(2) == 0 ? call.publicId : random.below(9));
      if (random.below(30) == 0) text[random.below(16)] = static_cast<char>(random.below(256));
      if (random.below(30) == 0) text.resize(random.below(30));
      const Bytes heard = pass(*nat, peers[random.below(2)]->say(text));
      REQUIRE(textOf(heard).size() == text.size());
      Bytes packet = random.below(2) == 0
                         ? gre(kInside.address, kServerAddress, random.below(9))
                         : gre(kServerAddress, kPublic, random.below(2) == 0 ? call.publicId : 8);
      packet.resize(random.below(8) == 0 ? 20 + random.below(12) : packet.size());
      store16be(&packet[kIpTotal], static_cast<uint16_t>(packet.size()));
      store16be(&packet[kIpChecksum], 0);
      store16be(&packet[kIpChecksum], static_cast<uint16_t>(~slowSum(packet.data(), kIpHeader)));
      run(*nat, packet);
    }
    nat->sweep(8000 * kSecond, 1000);
    REQUIRE(nat->sessions().size() == 0);
  }
}

TEST_CASE("PPTP: ICMP errors about a call, both ways") {
  auto nat = make(pptpConfig());
  Call call(*nat, {kInside.address, 3000}, 7, 100);
  const Bytes sent = gre(kInside.address, kServerAddress, 100), seen = tunnel(*nat, sent);
  Bytes error = icmpError(ip(192, 0, 2, 1), kPublic, kUnreachable, 4, seen);
  REQUIRE(run(*nat, error).verdict == Verdict::Forwarded);
  CHECK(isSound(error));
  CHECK(load<uint32_t>(&error[kIpDestination]) == kInside.address);
  Bytes quoted(error.begin() + 28, error.end());
  CHECK(load<uint32_t>(&quoted[kIpSource]) == kInside.address);
  CHECK(callIdOf(quoted) == 100);
  error = icmpError(ip(192, 0, 2, 1), kPublic, kUnreachable, 4, gre(kPublic, kServerAddress, 99));
  CHECK(run(*nat, error).reason == Reason::IcmpNoSession);

  const Bytes came = tunnel(*nat, gre(kServerAddress, kPublic, call.publicId));
  error = icmpError(kInside.address, kServerAddress, kUnreachable, 2, came);
  REQUIRE(run(*nat, error).verdict == Verdict::Forwarded);
  CHECK(isSound(error));
  CHECK(load<uint32_t>(&error[kIpSource]) == kPublic);
  quoted.assign(error.begin() + 28, error.end());
  CHECK(load<uint32_t>(&quoted[kIpDestination]) == kPublic);
  CHECK(callIdOf(quoted) == call.publicId);
}

TEST_CASE("PPTP: a connection that was never established asks for nothing") {
  Config c = pptpConfig();
  c.sessionLimit = 1;
  c.evict = true;
  auto nat = make(c);
  Peer client{{kInside.address, 3000}, kPptpServer, 1000};
  pass(*nat, segment(client.self, client.other, kSyn, client.next++, 0, ""));
  CHECK(textOf(pass(*nat, client.say(control(7, 168, 7)))) == control(7, 168, 7));
  CHECK(nat->stats.sessionsEvicted == 0);
  CHECK(nat->stats.sessionsActive == 1);
}
