// Conversations over watched control connections: what each side sends, and what the other gets.
#include <map>
#include <string>

#include "test/support.h"

using namespace napt;
using namespace napt::test;

namespace {

using Text = std::string;

constexpr uint32_t kServerAddress = ip(198, 51, 100, 21);
constexpr uint8_t kPush = 8;

Bytes segment(End from, End to, uint8_t flags, uint32_t sequence, uint32_t ack, const Text& text,
              const Bytes& options = {}) {
  Bytes packet = tcp(from, to, flags, sequence, ack, options.size() + text.size());
  std::copy(options.begin(), options.end(), packet.begin() + 40);
  packet[32] = static_cast<uint8_t>((20 + options.size()) / 4 << 4);
  std::copy(text.begin(), text.end(), packet.begin() + 40 + static_cast<long>(options.size()));
  seal(packet);
  return packet;
}

uint32_t sequenceOf(const Bytes& packet) { return load32be(&packet[24]); }
uint32_t ackOf(const Bytes& packet) { return load32be(&packet[28]); }
Text textOf(const Bytes& packet) {
  return {packet.begin() + 20 + (packet[32] >> 4) * 4, packet.end()};
}

/// "a,b,c,d,p1,p2"
Text numbers(End e) {
  const uint8_t* a = reinterpret_cast<const uint8_t*>(&e.address);
  Text out;
  for (int i = 0; i < 4; i++) out += std::to_string(a[i]) + ",";
  return out + std::to_string(e.port >> 8) + "," + std::to_string(e.port & 255);
}
Text dotted(uint32_t address) {
  const uint8_t* a = reinterpret_cast<const uint8_t*>(&address);
  return std::to_string(a[0]) + "." + std::to_string(a[1]) + "." + std::to_string(a[2]) + "." +
         std::to_string(a[3]);
}

/// What comes out for one packet: itself, or what is put out for it. Empty if it was dropped.
Bytes pass(Translator& nat, const Bytes& sent, uint64_t now = 0) {
  Bytes packet = sent;
  constexpr uint32_t kTag = 77;
  const Result result = run(nat, packet, now, kTag);
  Bytes out;
  if (result.verdict == Verdict::Forwarded) out = packet;
  if (result.verdict == Verdict::Held) {
    CHECK(packet == sent);
    REQUIRE(nat.pending() == 1);
    nat.take([&](const StoredPacket& p, const uint8_t* bytes) {
      CHECK(p.origin == Origin::Fragment);
      CHECK(p.tag == kTag);
      CHECK(p.cause == kTag);
      CHECK(p.length == p.wire);
      CHECK(p.toInside == (result.direction == Direction::Inbound));
      out.assign(bytes, bytes + p.length);
    });
    CHECK(load16be(&out[kIpTotal]) == out.size());
  }
  if (!out.empty()) CHECK(isSound(out));
  return out;
}

/// One end of a connection: what it has sent and received, in its own numbers.
struct Peer {
  End self, other;
  uint32_t next;          // to send
  uint32_t received = 0;  // the next number that it expects
  Text heard = {};        // what it has received in order

  Bytes say(const Text& text) {
    const Bytes out = again(text, next);
    next += static_cast<uint32_t>(text.size());
    return out;
  }
  Bytes again(const Text& text, uint32_t from, const Bytes& options = {}) const {
    return segment(self, other, kAck | kPush, from, received, text, options);
  }
  /// Takes a segment in; what comes again is ignored. Bytes are never missing in these tests.
  void hear(const Bytes& packet) {
    REQUIRE_FALSE(packet.empty());
    const Text text = textOf(packet);
    const uint32_t seen = received - sequenceOf(packet);
    REQUIRE(seen <= 4000);
    if (seen >= text.size()) return;
    heard += text.substr(seen);
    received += static_cast<uint32_t>(text.size()) - seen;
  }
};

/// A control connection through a NAT.
struct Conversation {
  Translator& nat;
  Peer client, server;
  bool clientInside;

  /// From inside to a server outside.
  Conversation(Translator& through, End inside, End remote)
      : nat(through),
        client{inside, remote, 1000},
        server{remote, {}, 500'000},
        clientInside(true) {
    open();
  }
  /// From outside to a public endpoint that leads inside.
  Conversation(Translator& through, End remote, End outside, End inside)
      : nat(through),
        client{remote, outside, 1000},
        server{inside, remote, 500'000},
        clientInside(false) {
    open();
  }

  void open() {
    const Bytes syn = pass(nat, segment(client.self, client.other, kSyn, client.next++, 0, ""));
    REQUIRE_FALSE(syn.empty());
    server.other = sourceOf(syn);
    server.received = client.next;
    const Bytes answer = pass(
        nat, segment(server.self, server.other, kSyn | kAck, server.next++, server.received, ""));
    REQUIRE_FALSE(answer.empty());
    client.received = server.next;
    REQUIRE_FALSE(pass(nat, client.again("", client.next)).empty());
  }
  /// Says something, and gives what came out on the other side.
  Text commands(const Text& text) { return talk(client, server, text); }
  Text replies(const Text& text) { return talk(server, client, text); }
  Text talk(Peer& from, Peer& to, const Text& text) {
    const Bytes packet = pass(nat, from.say(text));
    to.hear(packet);
    const Bytes ack = pass(nat, to.again("", to.next));
    REQUIRE_FALSE(ack.empty());
    CHECK(ackOf(ack) == from.next);
    CHECK(sequenceOf(ack) == from.received);
    return textOf(packet);
  }
  void greet() {
    replies("220 ready\r\n");
    CHECK(commands("USER anonymous\r\n") == "USER anonymous\r\n");
    replies("331 password?\r\n");
  }
};

/// Reads "PORT a,b,c,d,p1,p2\r\n" as the server would.
End endpointIn(const Text& line) {
  unsigned a[6];
  const size_t first = line.find_first_of("0123456789", 4);
  REQUIRE(std::sscanf(line.c_str() + first, "%u,%u,%u,%u,%u,%u", &a[0], &a[1], &a[2], &a[3], &a[4],
                      &a[5]) == 6);
  const auto byte = [&](int i) { return static_cast<uint8_t>(a[i]); };
  return {ip(byte(0), byte(1), byte(2), byte(3)), static_cast<uint16_t>(a[4] << 8 | a[5])};
}

bool admits(Translator& nat, End from, End to, uint64_t now = 0) {
  return !pass(nat, segment(from, to, kSyn, 1, 0, ""), now).empty();
}

Config ftpConfig() {
  Config c = config();
  c.ftp = true;
  return c;
}
constexpr End kServer{kServerAddress, 21};
constexpr End kData{kServerAddress, 20};

}  // namespace

TEST_CASE("FTP: PORT opens a port for the server") {
  auto nat = make(ftpConfig());
  Conversation ftp(*nat, kInside, kServer);
  ftp.greet();
  const End own{kInside.address, 5001};
  const Text line = ftp.commands("PORT " + numbers(own) + "\r\n");
  const End named = endpointIn(line);
  CHECK(line == "PORT " + numbers(named) + "\r\n");
  CHECK(named.address == kPublic);
  CHECK(nat->stats.sessionsActive == 2);

  // Only a SYN, only the server, and only there.
  CHECK_FALSE(admits(*nat, {ip(198, 51, 100, 22), 20}, named));
  CHECK_FALSE(admits(*nat, kData, {kPublic, static_cast<uint16_t>(named.port ^ 1)}));
  Bytes stray = segment(kData, named, kAck, 1, 1, "");
  CHECK(run(*nat, stray).reason == Reason::TcpNoSession);
  Bytes zero = segment({kServerAddress, 0}, named, kAck, 1, 1, "");
  CHECK(run(*nat, zero).reason == Reason::TcpNoSession);
  Bytes toZero = segment(own, {kServerAddress, 0}, kSyn, 1, 1, "");
  CHECK(run(*nat, toZero).reason == Reason::TcpNoSession);

  const Bytes data = pass(*nat, segment(kData, named, kSyn, 1, 0, ""));
  REQUIRE_FALSE(data.empty());
  CHECK(destinationOf(data) == own);
  CHECK(sourceOf(data) == kData);
  CHECK(sourceOf(pass(*nat, segment(own, kData, kSyn | kAck, 1, 2, ""))) == named);
  // It was for one connection; the binding lives on with it.
  CHECK(nat->stats.sessionsActive == 2);
  CHECK_FALSE(admits(*nat, {kServerAddress, 2020}, named));
  CHECK(ftp.commands("RETR x\r\n") == "RETR x\r\n");
}

TEST_CASE("FTP: off unless asked for") {
  auto nat = make(config());
  Conversation ftp(*nat, kInside, kServer);
  ftp.greet();
  const Text line = "PORT " + numbers({kInside.address, 5001}) + "\r\n";
  CHECK(ftp.commands(line) == line);
  CHECK(nat->stats.sessionsActive == 1);
}

TEST_CASE("FTP: EPRT of IPv4, and only that") {
  auto nat = make(ftpConfig());
  Conversation ftp(*nat, kInside, kServer);
  ftp.greet();
  const Text address = dotted(kInside.address);
  const Text line = ftp.commands("eprt !1!" + address + "!5001!\r\n");
  const Text before = "eprt !1!" + dotted(kPublic) + "!";
  REQUIRE(line.substr(0, before.size()) == before);
  const End named{kPublic, static_cast<uint16_t>(std::stoi(line.substr(before.size())))};
  CHECK(line == before + std::to_string(named.port) + "!\r\n");
  CHECK(admits(*nat, kData, named));
  for (const Text other :
       {"EPRT |2|::1|5001|\r\n", "EPRT |1|::1|5001|\r\n", "EPRT |1|192.168.226.135|5001\r\n",
        "EPRT |1|192.168.226|5001|\r\n", "EPRT |1|192.168.226.135|5001|x\r\n", "EPRT \r\n",
        "EPRT\r\n", "EPRT |1|192.168.226.135|65537|\r\n"}) {
    CHECK(ftp.commands(other) == other);
  }
}

TEST_CASE("FTP: what a PORT line may say") {
  auto nat = make(ftpConfig());
  Conversation ftp(*nat, kInside, kServer);
  ftp.greet();
  for (const Text other : {"PORT 192,168,226,136,19,137\r\n",    // another host's address
                           "PORT 192,168,226,135,0,22\r\n",      // a port that is not the user's
                           "PORT 192,168,226,135,3,255\r\n",     // 1023
                           "PORT 192,168,226,135,19,256\r\n",    // no octet
                           "PORT 192,168,226,135,19\r\n",        // too few
                           "PORT 192,168,226,135,19,137,1\r\n",  // too many
                           "PORT 192,168,226,135,19,137 x\r\n",  //
                           "PORT  192,168,226,135,19,137\r\n",   //
                           "PORT 192.168.226.135.19.137\r\n",    //
                           "PORT 192,168,226,0000000000000000135,19,137\r\n", "PORT \r\n",
                           "PORT\r\n", "PORT ,,,,,\r\n"}) {
    CHECK(ftp.commands(other) == other);
    CHECK(nat->stats.sessionsActive == 1);
  }
  CHECK(endpointIn(ftp.commands("port 192,168,226,135,4,0\r\n")).address == kPublic);  // 1024
  CHECK(nat->stats.sessionsActive == 2);
}

TEST_CASE("FTP: the newest port replaces one that was not used") {
  auto nat = make(ftpConfig());
  Conversation ftp(*nat, kInside, kServer);
  ftp.greet();
  const auto port = [&](uint16_t own) {
    return endpointIn(ftp.commands("PORT " + numbers({kInside.address, own}) + "\r\n"));
  };
  const End first = port(5001), second = port(5002);
  CHECK(nat->stats.sessionsActive == 2);
  CHECK_FALSE(admits(*nat, kData, first));
  CHECK(admits(*nat, kData, second));
  const End third = port(5003);
  CHECK(nat->stats.sessionsActive == 3);
  CHECK(port(5003) == third);
  CHECK(nat->stats.sessionsActive == 3);
  CHECK(admits(*nat, kData, third));
}

TEST_CASE("FTP: an expected session dies as an opening connection does") {
  Config c = ftpConfig();
  c.profiles[0].timeouts[static_cast<int>(Timeout::TcpOpening)] = 100 * kSecond;
  for (const uint64_t at : {99 * kSecond, 100 * kSecond}) {
    auto nat = make(c);
    Conversation ftp(*nat, kInside, kServer);
    ftp.greet();
    const End named = endpointIn(ftp.commands("PORT " + numbers({kInside.address, 5001}) + "\r\n"));
    CHECK(admits(*nat, kData, named, at) == (at < 100 * kSecond));
    nat->sweep(at + 7440 * kSecond, 1000);
    CHECK(nat->stats.sessionsActive == 0);
    CHECK(nat->stats.sessionsExpired + nat->stats.sessionsDeleted == nat->stats.sessionsCreated);
  }
}

TEST_CASE("FTP: every mapping and filtering, with shared ports and without") {
  for (int mapping = 0; mapping < 3; mapping++) {
    for (int filtering = 0; filtering < 3; filtering++) {
      for (const bool overloading : {false, true}) {
        Config c = ftpConfig();
        setAll(c.policies[0].mapping, static_cast<Behaviour>(mapping));
        setAll(c.policies[0].filtering, static_cast<Behaviour>(filtering));
        c.policies[0].overloading = overloading;
        c.outside = {{kPublic, 5000, 5063}, {ip(203, 0, 113, 2), 5000, 5063}};
        c.policies[0].pooling = Pooling::Arbitrary;
        auto nat = make(c);
        for (uint8_t host = 1; host < 20; host++) {
          const End own{ip(192, 168, 226, host), 5001};
          Conversation ftp(*nat, {own.address, 4000}, kServer);
          ftp.greet();
          const End named = endpointIn(ftp.commands("PORT " + numbers(own) + "\r\n"));
          CHECK(named.address == ftp.server.other.address);  // RFC 2577: no other host's
          const bool open = static_cast<Behaviour>(filtering) == Behaviour::EndpointIndependent &&
                            !(overloading && mapping != 0);
          CHECK(admits(*nat, {ip(198, 51, 100, 22), 20}, named) == open);
          CHECK(admits(*nat, kData, named));
          CHECK(sourceOf(pass(*nat, segment(own, kData, kSyn | kAck, 1, 2, ""))) == named);
        }
        nat->sweep(8000 * kSecond, 100'000);
        CHECK(nat->sessions().size() == 0);
      }
    }
  }
}

TEST_CASE("FTP: an existing binding serves, unless it is at another address") {
  Config c = ftpConfig();
  c.outside = {{kPublic, 5000, 5063}, {ip(203, 0, 113, 2), 6000, 6063}};
  c.policies[0].pooling = Pooling::Arbitrary;
  auto nat = make(c);
  const End own{kInside.address, 5001};
  const Bytes syn = pass(*nat, segment(own, {ip(198, 51, 100, 9), 80}, kSyn, 1, 0, ""));
  const End mapped = sourceOf(syn);
  bool same = false, other = false;
  for (uint16_t port = 4000; !same || !other; port++) {
    REQUIRE(port < 4050);
    Conversation ftp(*nat, {kInside.address, port}, kServer);
    ftp.greet();
    const Text line = "PORT " + numbers(own) + "\r\n", heard = ftp.commands(line);
    if (ftp.server.other.address == mapped.address) {
      CHECK(endpointIn(heard) == mapped);
      same = true;
    } else {
      CHECK(heard == line);
      other = true;
    }
  }
}

TEST_CASE("FTP: passive servers behind a forward") {
  Config c = ftpConfig();
  c.forwards = {{kTcp, kPublic, 2121, kInside.address, 21}};
  auto nat = make(c);
  const End remote{ip(198, 51, 100, 30), 40'000};
  Conversation ftp(*nat, remote, {kPublic, 2121}, {kInside.address, 21});
  ftp.greet();
  const auto answer = [&](const Text& before, uint16_t port, const Text& after) {
    const Text line = ftp.replies(before + numbers({kInside.address, port}) + after);
    REQUIRE(line.substr(0, before.size()) == before);
    CHECK(line.substr(line.size() - after.size()) == after);
    return endpointIn(line);
  };
  ftp.commands("PASV\r\n");
  const End named = answer("227 Entering Passive Mode (", 5001, ").\r\n");
  CHECK(named.address == kPublic);
  CHECK_FALSE(admits(*nat, {ip(198, 51, 100, 31), 40'001}, named));
  const Bytes data = pass(*nat, segment({remote.address, 40'001}, named, kSyn, 1, 0, ""));
  REQUIRE_FALSE(data.empty());
  CHECK(destinationOf(data) == End{kInside.address, 5001});
  ftp.commands("PASV\r\n");
  CHECK(answer("227 =", 5002, "\r\n").address == kPublic);
  ftp.commands("EPSV\r\n");
  const Text line = ftp.replies("229 Entering Extended Passive Mode (|||5003|)\r\n");
  const Text before = "229 Entering Extended Passive Mode (|||";
  const End extended{kPublic, static_cast<uint16_t>(std::stoi(line.substr(before.size())))};
  CHECK(line == before + std::to_string(extended.port) + "|)\r\n");
  CHECK(admits(*nat, {remote.address, 40'002}, extended));
  // The client's own PORT names itself.
  const Text port = "PORT " + numbers({remote.address, 40'003}) + "\r\n";
  CHECK(ftp.commands(port) == port);

  SUBCASE("only as an answer") {
    const Text unasked = "227 Entering (" + numbers({kInside.address, 5004}) + ")\r\n";
    CHECK(ftp.replies(unasked) == unasked);
    ftp.commands("PASV\r\n");
    const Text within = "211-Status\r\n" + unasked + "211 End\r\n";
    CHECK(ftp.replies(within) == within);
    CHECK(ftp.replies("502 no\r\n") == "502 no\r\n");
    CHECK(ftp.replies(unasked) == unasked);
    ftp.commands("EPSV\r\n");
    CHECK(ftp.replies(unasked) == unasked);
  }
  SUBCASE("only for itself, and no port of the system's") {
    for (const Text bad : {"227 (192,168,226,136,19,137)\r\n", "227 (192,168,226,135,0,22)\r\n"}) {
      ftp.commands("PASV\r\n");
      CHECK(ftp.replies(bad) == bad);
    }
    ftp.commands("EPSV\r\n");
    CHECK(ftp.replies("229 (|||22|)\r\n") == "229 (|||22|)\r\n");
  }
}

TEST_CASE("FTP: 1:1 mappings change the address alone, and need no port opened") {
  Config c = ftpConfig();
  const uint32_t own = ip(203, 0, 113, 9);
  c.statics = {{own, kInside.address}};
  auto nat = make(c);
  Conversation ftp(*nat, kInside, kServer);
  ftp.greet();
  CHECK(ftp.commands("PORT " + numbers({kInside.address, 5001}) + "\r\n") ==
        "PORT " + numbers({own, 5001}) + "\r\n");
  Conversation served(*nat, {kServerAddress, 40'000}, {own, 21}, {kInside.address, 21});
  served.greet();
  served.commands("PASV\r\n");
  CHECK(served.replies("227 (" + numbers({kInside.address, 5001}) + ")\r\n") ==
        "227 (" + numbers({own, 5001}) + ")\r\n");
  CHECK(nat->stats.sessionsActive == 2);
}

TEST_CASE("FTP: what keeps its length keeps its place") {
  Config c = ftpConfig();
  c.statics = {{ip(93, 0, 0, 1), ip(10, 0, 0, 1)}};
  c.inside = {{0x0a000000, 0xff000000}};
  auto nat = make(c);
  Conversation ftp(*nat, {ip(10, 0, 0, 1), 4000}, kServer);
  ftp.greet();
  Bytes line = ftp.client.say("PORT 10,0,0,1,19,137\r\n");
  CHECK(run(*nat, line).verdict == Verdict::Forwarded);
  CHECK(textOf(line) == "PORT 93,0,0,1,19,137\r\n");
  CHECK(isSound(line));
  line = ftp.client.say("PORT 010,0,0,1,19,137\r\n");
  CHECK(run(*nat, line).verdict == Verdict::Held);
}

TEST_CASE("FTP: lengths grow and shrink by every number of digits") {
  // The public address and the host's have all lengths; so both numberings drift apart and back.
  for (const uint32_t outside : {ip(9, 9, 9, 9), ip(99, 9, 9, 9), ip(199, 199, 199, 199)}) {
    for (const uint32_t inside : {ip(10, 1, 1, 1), ip(10, 10, 1, 1), ip(10, 100, 100, 100)}) {
      Config c = ftpConfig();
      c.inside = {{0x0a000000, 0xff000000}};
      c.outside = {{outside, 1024, 65535}};
      auto nat = make(c);
      Conversation ftp(*nat, {inside, 4000}, kServer);
      ftp.greet();
      Text expected = "USER anonymous\r\n";
      for (uint16_t port = 1024; port < 1060; port++) {
        const End own{inside, static_cast<uint16_t>(port * 7)};
        const Text line = ftp.commands("PORT " + numbers(own) + "\r\n");
        const End named = endpointIn(line);
        CHECK(line == "PORT " + numbers(named) + "\r\n");
        CHECK(named.address == outside);
        CHECK(admits(*nat, kData, named));
        ftp.replies("200 ok\r\n");
        CHECK(ftp.commands("NLST\r\n") == "NLST\r\n");
        expected += line + "NLST\r\n";
      }
      CHECK(ftp.server.heard == expected);
      CHECK(nat->stats.packetsIn == nat->stats.packetsOut);
      CHECK(nat->stats.packetsHeld == 0);
    }
  }
}

TEST_CASE("FTP: sent again, it is changed the same way") {
  auto nat = make(ftpConfig());
  Conversation ftp(*nat, kInside, kServer);
  ftp.greet();
  const Text own = "PORT " + numbers({kInside.address, 5001}) + "\r\n";
  const uint32_t user = ftp.client.next - 16, port = ftp.client.next;
  const Text all = "USER anonymous\r\n" + own + "NLST\r\n";
  const Bytes first = pass(*nat, ftp.client.say(own));
  const Text named = textOf(first);
  const int growth = static_cast<int>(named.size()) - static_cast<int>(own.size());
  REQUIRE(growth != 0);
  const Bytes later = pass(*nat, ftp.client.say("NLST\r\n"));
  CHECK(sequenceOf(later) == sequenceOf(first) + named.size());
  const uint64_t created = nat->stats.sessionsCreated;

  // Even when the port has been used by now.
  CHECK(admits(*nat, kData, endpointIn(named)));
  const Bytes again = pass(*nat, ftp.client.again(own, port));
  CHECK(textOf(again) == named);
  CHECK(sequenceOf(again) == sequenceOf(first));
  const Bytes before = pass(*nat, ftp.client.again("USER anonymous\r\n", user));
  CHECK(sequenceOf(before) == user);
  CHECK(textOf(before) == "USER anonymous\r\n");
  CHECK(nat->stats.sessionsCreated == created + 1);

  // However it is cut: the same bytes under the same numbers.
  const Text expected = "USER anonymous\r\n" + named + "NLST\r\n";
  const uint32_t size = static_cast<uint32_t>(all.size());
  for (uint32_t from = 0; from < size; from++) {
    for (uint32_t to = from + 1; to <= size; to++) {
      const Bytes piece = pass(*nat, ftp.client.again(all.substr(from, to - from), user + from));
      REQUIRE_FALSE(piece.empty());
      const Text text = textOf(piece);
      REQUIRE(expected.substr(sequenceOf(piece) - user, text.size()) == text);
      // What follows it follows without a gap.
      const Bytes next = pass(*nat, ftp.client.again("", user + to));
      REQUIRE(sequenceOf(next) == sequenceOf(piece) + text.size());
    }
  }
  // Before and after the change, what is acknowledged is what was sent.
  Peer& server = ftp.server;
  for (uint32_t n = 0; n <= expected.size(); n++) {
    server.received = user + n;
    const Bytes ack = pass(*nat, server.again("", server.next));
    const uint32_t told = ackOf(ack) - user;
    REQUIRE(told <= all.size());
    const bool withinChange = n > 21 && n < 16 + named.size() - 2;
    if (withinChange) {
      REQUIRE(told == 21);
    } else {
      REQUIRE(told == (n <= 21 ? n : n - static_cast<uint32_t>(growth)));
    }
  }
}

TEST_CASE("FTP: selective acknowledgements follow, at any place in the header") {
  auto nat = make(ftpConfig());
  Conversation ftp(*nat, kInside, kServer);
  ftp.greet();
  const Text own = "PORT " + numbers({kInside.address, 5001}) + "\r\n";
  const Text named = textOf(pass(*nat, ftp.client.say(own)));
  const uint32_t after = ftp.client.next, growth = static_cast<uint32_t>(named.size() - own.size());
  REQUIRE(growth != 0);
  ftp.server.received = after - static_cast<uint32_t>(own.size());
  for (const uint32_t pad : {0u, 1u, 2u, 3u}) {
    Bytes options(pad, 1);
    const uint32_t edges[] = {after + growth, after + growth + 6, after + growth + 100,
                              after + growth + 200};
    options.insert(options.end(), {5, 18});
    for (const uint32_t edge : edges) {
      for (int shift = 24; shift >= 0; shift -= 8) {
        options.push_back(static_cast<uint8_t>(edge >> shift));
      }
    }
    while (options.size() % 4 != 0) options.push_back(0);
    const Bytes ack = pass(*nat, ftp.server.again("", ftp.server.next, options));
    REQUIRE_FALSE(ack.empty());
    CHECK(ackOf(ack) == ftp.server.received);
    for (uint32_t i = 0; i < 4; i++) {
      CHECK(load32be(&ack[42 + pad + 4 * i]) == edges[i] - growth);
    }
  }
  // A block that ends in the options' middle, or beyond them.
  for (const Bytes& odd : {Bytes{5, 10, 0, 0}, Bytes{5, 200, 0, 0}, Bytes{1, 1, 1, 5},
                           Bytes{5, 0, 0, 0}, Bytes{5, 3, 0, 5}}) {
    CHECK_FALSE(pass(*nat, ftp.server.again("", ftp.server.next, odd)).empty());
  }
}

TEST_CASE("FTP: several commands in a segment") {
  auto nat = make(ftpConfig());
  Conversation ftp(*nat, kInside, kServer);
  ftp.greet();
  const Text one = numbers({kInside.address, 5001}), two = numbers({kInside.address, 5002});
  const Text line =
      ftp.commands("TYPE I\r\nPORT " + one + "\r\nNLST\r\nPORT " + two + "\r\nRETR x\r\n");
  const size_t at = line.find("PORT "), then = line.find("PORT ", at + 1);
  REQUIRE(then != Text::npos);
  const End first = endpointIn(line.substr(at)), second = endpointIn(line.substr(then));
  CHECK(line == "TYPE I\r\nPORT " + numbers(first) + "\r\nNLST\r\nPORT " + numbers(second) +
                    "\r\nRETR x\r\n");
  CHECK_FALSE(admits(*nat, kData, first));
  CHECK(admits(*nat, kData, second));
}

TEST_CASE("FTP: no more than a few changes wait for their acknowledgement") {
  auto nat = make(ftpConfig());
  Conversation ftp(*nat, kInside, kServer);
  ftp.greet();
  for (uint16_t i = 0; i < 8; i++) {
    const Text line = "PORT " + numbers({kInside.address, static_cast<uint16_t>(5000 + i)});
    const Bytes out = pass(*nat, ftp.client.say(line + "\r\n"));
    CHECK((textOf(out) == line + "\r\n") == (i >= SequenceShift::kEdits));
    ftp.server.hear(out);
  }
  REQUIRE_FALSE(pass(*nat, ftp.server.again("", ftp.server.next)).empty());
  const Text line = "PORT " + numbers({kInside.address, 5100}) + "\r\n";
  CHECK(endpointIn(ftp.commands(line)).address == kPublic);
}

TEST_CASE("FTP: only whole lines that begin where a line begins") {
  auto nat = make(ftpConfig());
  Conversation ftp(*nat, kInside, kServer);
  ftp.greet();
  const Text port = "PORT " + numbers({kInside.address, 5001});
  const auto untouched = [&](const Text& text) { return ftp.commands(text) == text; };
  CHECK(untouched(port));
  CHECK(untouched("\r\n"));
  CHECK(nat->stats.sessionsActive == 1);
  CHECK(untouched("SITE "));
  CHECK(untouched(port + "\r\n"));
  CHECK(untouched("NOOP\r"));
  CHECK(untouched("\n"));
  CHECK(untouched(port + "\r\n"));  // where that line began was not certain
  CHECK(nat->stats.sessionsActive == 1);
  CHECK(untouched("NOOP\n" + port + "\n"));  // no line ends so
  CHECK(untouched("\r\n"));
  CHECK(untouched("STAT \n" + port + "\r\n"));
  CHECK(nat->stats.sessionsActive == 1);
  CHECK_FALSE(untouched(port + "\r\n"));
  CHECK(nat->stats.sessionsActive == 2);
}

TEST_CASE("FTP: what is no FTP is never read again") {
  const Text port = "PORT " + numbers({kInside.address, 5001}) + "\r\n";
  const auto opens = [&](Conversation& ftp) {
    const Text heard = ftp.commands(port);
    return heard != port;
  };
  SUBCASE("who speaks first") {
    auto nat = make(ftpConfig());
    Conversation ftp(*nat, kInside, kServer);
    ftp.commands("USER anonymous\r\n");
    ftp.replies("220 ready\r\n");
    CHECK_FALSE(opens(ftp));
  }
  SUBCASE("a server that doesn't greet") {
    auto nat = make(ftpConfig());
    Conversation ftp(*nat, kInside, kServer);
    ftp.replies("200 ready\r\n");
    ftp.replies("220 ready\r\n");
    ftp.commands("USER anonymous\r\n");
    CHECK_FALSE(opens(ftp));
  }
  SUBCASE("HTTP, whose body has a PORT at a segment's start") {
    for (const Text first :
         {"POST / HTTP/1.1\r\nHost: 198.51.100.21:21\r\n\r\n", "GET / HTTP/1.1\r\n",
          "HEAD / HTTP/1.1\r\n", "PUT / HTTP/1.1\r\n", "OPTIONS * HTTP/1.1\r\n", "xxxx\r\n", "\r\n",
          "PORT 192,168,226,135,19,138\r\n", "USER", "RETR x\r\n"}) {
      auto nat = make(ftpConfig());
      Conversation ftp(*nat, kInside, kServer);
      ftp.replies("220 ready\r\n");
      CHECK(ftp.commands(first) == first);
      CHECK_FALSE(opens(ftp));
      ftp.commands("\r\n");
      ftp.commands("USER anonymous\r\n");
      CHECK_FALSE(opens(ftp));
      CHECK(nat->stats.sessionsActive == 1);
      // And it costs no more than any other: the fast path has it again.
      CHECK((nat->sessions()[0].flags & kWatched) == 0);
    }
  }
  SUBCASE("HTTP later") {
    for (const Text line : {"POST / HTTP/1.1\r\n", "GET /\r\n", "Host: x\r\n"}) {
      auto nat = make(ftpConfig());
      Conversation ftp(*nat, kInside, kServer);
      ftp.greet();
      ftp.commands(line);
      CHECK_FALSE(opens(ftp));
    }
  }
  SUBCASE("telnet's interrupt is FTP") {
    auto nat = make(ftpConfig());
    Conversation ftp(*nat, kInside, kServer);
    ftp.greet();
    ftp.commands(
        "\xff\xf4\xff\xf2"
        "ABOR\r\n");
    CHECK(opens(ftp));
  }
  SUBCASE("TLS") {
    for (const Text answer : {"234 go on\r\n", "334 more\r\n", "504 no\r\n"}) {
      auto nat = make(ftpConfig());
      Conversation ftp(*nat, kInside, kServer);
      ftp.greet();
      ftp.commands("AUTH TLS\r\n");
      ftp.replies(answer);
      CHECK(opens(ftp) == (answer[0] == '5'));
    }
  }
  SUBCASE("a stream with a gap") {
    auto nat = make(ftpConfig());
    Conversation ftp(*nat, kInside, kServer);
    ftp.greet();
    ftp.client.next += 6;  // lost on the way to the NAT
    pass(*nat, ftp.client.say("NOOP\r\n"));
    CHECK(textOf(pass(*nat, ftp.client.say(port))) == port);
  }
  SUBCASE("a stream that was not seen from its beginning") {
    auto nat = make(ftpConfig());
    Peer client{kInside, kServer, 1000}, server{kServer, {}, 5000};
    client.received = server.next;
    server.other = sourceOf(pass(*nat, client.again("", client.next)));
    server.received = client.next;
    pass(*nat, server.say("220 ready\r\n"));
    pass(*nat, client.say("USER anonymous\r\n"));
    CHECK(textOf(pass(*nat, client.say(port))) == port);
  }
}

TEST_CASE("FTP: a gap in what a remote server says changes nothing") {
  auto nat = make(ftpConfig());
  Conversation ftp(*nat, kInside, kServer);
  ftp.greet();
  ftp.server.next += 100;
  pass(*nat, ftp.server.say("226 done\r\n"));
  const Text port = "PORT " + numbers({kInside.address, 5001}) + "\r\n";
  CHECK(textOf(pass(*nat, ftp.client.say(port))) != port);
  ftp.server.received = ftp.client.next;
  pass(*nat, ftp.server.again("234 forged\r\n", ftp.server.next + 100'000));
  CHECK(textOf(pass(*nat, ftp.client.say(port))) != port);
  pass(*nat, ftp.server.say("234 go on\r\n"));
  CHECK(textOf(pass(*nat, ftp.client.say(port))) == port);
}

TEST_CASE("FTP: what can't be read for certain is left alone") {
  const Text port = "PORT " + numbers({kInside.address, 5001}) + "\r\n";
  auto nat = make(ftpConfig());
  Conversation ftp(*nat, kInside, kServer);
  ftp.greet();
  const Bytes line = ftp.client.say(port);
  Bytes packet = line;
  const auto size = static_cast<uint32_t>(packet.size());
  const auto untouched = [&](uint32_t length, uint32_t wire, bool partial) {
    const Result result = nat->translate({packet.data(), length, wire, partial}, 1, 0);
    return result.verdict == Verdict::Forwarded && textOf(packet) == port &&
           nat->stats.sessionsActive == 1;
  };
  SUBCASE("a wrong checksum") {
    packet[40] = 'p';
    const uint16_t wrong = load16be(&packet[36]);
    packet[40] = 'P';
    store16be(&packet[36], static_cast<uint16_t>(wrong + 1));
    CHECK(untouched(size, size, false));
    CHECK_FALSE(isSound(packet));
    CHECK(textOf(pass(*nat, line)) != port);  // and nothing was learnt from it
  }
  SUBCASE("a partial checksum") { CHECK(untouched(size, size, true)); }
  SUBCASE("a cut capture") { CHECK(untouched(size - 1, size, false)); }
  SUBCASE("a fragment") {
    store16be(&packet[kIpFragment], 0x2000);
    seal(packet);
    CHECK(untouched(size, size, false));
  }
  SUBCASE("segmentation offload") {
    store16be(&packet[kIpTotal], 0);
    store16be(&packet[kIpChecksum], 0);
    store16be(&packet[kIpChecksum], static_cast<uint16_t>(~slowSum(packet.data(), kIpHeader)));
    CHECK(untouched(size, size, false));
  }
  SUBCASE("no room to grow") {
    Config c = ftpConfig();
    c.outsideMtu = size + Edit::kMost - 1;
    auto narrow = make(c);
    Conversation other(*narrow, kInside, kServer);
    other.greet();
    CHECK(other.commands(port) == port);
    CHECK(narrow->stats.sessionsActive == 1);
    c.outsideMtu++;
    narrow = make(c);
    Conversation wide(*narrow, kInside, kServer);
    wide.greet();
    CHECK(wide.commands(port) != port);
  }
}

TEST_CASE("FTP: a connection that begins again is read anew") {
  auto nat = make(ftpConfig());
  const Text port = "PORT " + numbers({kInside.address, 5001}) + "\r\n";
  {
    Conversation ftp(*nat, kInside, kServer);
    ftp.greet();
    CHECK(ftp.commands(port) != port);
    pass(*nat, segment(kInside, kServer, kRst | kAck, ftp.client.next, ftp.client.received, ""));
  }
  Conversation ftp(*nat, kInside, kServer);
  CHECK(ftp.server.received == 1001);
  CHECK(ftp.commands(port) == port);  // before the greeting
}

TEST_CASE("FTP: limits hold for expected sessions") {
  Config c = ftpConfig();
  c.policies[0].sessionLimit = 1;
  auto nat = make(c);
  Conversation ftp(*nat, kInside, kServer);
  ftp.greet();
  const Text port = "PORT " + numbers({kInside.address, 5001}) + "\r\n";
  CHECK(ftp.commands(port) == port);
  // And whoever wants room may take theirs.
  c.policies[0].sessionLimit = 0;
  c.sessionLimit = 2;
  c.evict = true;
  nat = make(c);
  Conversation other(*nat, kInside, kServer);
  other.greet();
  const End named = endpointIn(other.commands(port));
  CHECK_FALSE(pass(*nat, segment(kNeighbour, kServer, kSyn, 1, 0, "")).empty());
  CHECK(nat->stats.sessionsEvicted == 1);
  CHECK_FALSE(admits(*nat, kData, named));
}

TEST_CASE("FTP: another config takes the streams over") {
  Config c = ftpConfig();
  auto nat = make(c);
  Conversation ftp(*nat, kInside, kServer);
  ftp.greet();
  const Text port = "PORT " + numbers({kInside.address, 5001}) + "\r\n";
  const Text named = ftp.commands(port);
  REQUIRE(named.size() != port.size());
  for (const bool still : {true, false}) {
    c.ftp = still;
    auto next = make(c);
    next->adopt(*nat);
    nat = std::move(next);
    const Bytes again = pass(*nat, ftp.client.say("NLST\r\n"));
    ftp.server.hear(again);
    CHECK(ftp.server.heard.substr(ftp.server.heard.size() - 6) == "NLST\r\n");
    const Bytes ack = pass(*nat, ftp.server.again("", ftp.server.next));
    CHECK(ackOf(ack) == ftp.client.next);
  }
  CHECK(admits(*nat, kData, endpointIn(named)));
  CHECK(textOf(pass(*nat, ftp.client.say(port))) == port);
}

TEST_CASE("FTP: any bytes may be said") {
  Random random({21, 22});
  const Text words[] = {"PORT ", "\r\n", "\r", "\n", "220-", "229 (|||5001|)", "5", ",", "|", "("};
  const Text lines[2][6] = {{"PORT 192,168,226,135,19,137\r\n", "EPRT |1|192.168.226.135|5001|\r\n",
                             "PASV\r\n", "EPSV\r\n", "USER x\r\n", "NOOP\r\n"},
                            {"227 (192,168,226,135,19,137)\r\n", "229 (|||5001|)\r\n", "200 ok\r\n",
                             "550 no\r\n", "211-x\r\n", "211 x\r\n"}};
  uint64_t changed = 0;
  for (int round = 0; round < 3000; round++) {
    Config c = ftpConfig();
    c.forwards = {{kTcp, kPublic, 21, kInside.address, 21}};
    auto nat = make(c);
    const bool inside = random.below(2) == 0;
    Conversation ftp =
        inside ? Conversation(*nat, kInside, kServer)
               : Conversation(*nat, {kServerAddress, 999}, {kPublic, 21}, {kInside.address, 21});
    if (random.below(8) != 0) ftp.greet();
    Peer* peers[] = {&ftp.client, &ftp.server};
    for (int step = 0; step < 30; step++) {
      const uint32_t who = random.below(2);
      Text text;
      for (uint32_t i = random.below(4); i != 0; i--) {
        if (random.below(60) == 0) text += static_cast<char>(random.below(256));
        if (random.below(20) == 0) text += words[random.below(std::size(words))];
        text += lines[who][random.below(6)];
      }
      Peer &from = *peers[who], &to = *peers[who ^ 1];
      const Bytes sent =
          random.below(4) == 0 ? from.again(text, from.next - random.below(60)) : from.say(text);
      const Bytes heard = pass(*nat, sent);
      REQUIRE_FALSE(heard.empty());
      if (sequenceOf(heard) + textOf(heard).size() != sequenceOf(sent) + text.size()) changed++;
      if (random.below(2) == 0) {
        to.received = sequenceOf(heard) + static_cast<uint32_t>(textOf(heard).size());
      }
      REQUIRE(nat->stats.sessionsActive <= 2);
    }
    CHECK(nat->stats.packetsIn == nat->stats.packetsOut);
  }
  CHECK(changed > 1000);
}

// PPTP

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

TEST_CASE("FTP: an ICMP error quotes the numbers that its receiver sent") {
  auto nat = make(ftpConfig());
  Conversation ftp(*nat, kInside, kServer);
  ftp.greet();
  REQUIRE(ftp.commands("PORT " + numbers({kInside.address, 5001}) + "\r\n").size() != 30);
  const Bytes sent = ftp.client.say("NLST\r\n"), seen = pass(*nat, sent);
  REQUIRE(sequenceOf(seen) != sequenceOf(sent));
  for (const size_t octets : {28u, 40u, 46u}) {
    Bytes error = icmpError(ip(192, 0, 2, 1), kPublic, kUnreachable, 4, seen, octets);
    REQUIRE(run(*nat, error).verdict == Verdict::Forwarded);
    CHECK(isSound(error));
    Bytes quoted(error.begin() + 28, error.end());
    CHECK(sequenceOf(quoted) == sequenceOf(sent));
    if (octets > 40) CHECK(load16be(&quoted[36]) == load16be(&sent[36]));
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
