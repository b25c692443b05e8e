#include "test/conversation.h"

using namespace napt;
using namespace napt::test;

namespace {

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
  for (const Text other : {"EPRT |2|::1|5001|\r\n", "EPRT |2|192.168.226.135|5001|\r\n",
                           "EPRT |1|::1|5001|\r\n", "EPRT |1|192.168.226.135|5001\r\n",
                           "EPRT |1|192.168.226|5001|\r\n", "EPRT |1|192.168.226.135|5001|x\r\n",
                           "EPRT \r\n", "EPRT\r\n", "EPRT |1|192.168.226.135|65537|\r\n"}) {
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
  CHECK(endpointIn(ftp.commands("PORT 00192,00168,00226,00135,00004,00000\r\n")).address ==
        kPublic);
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

TEST_CASE("FTP: what is expected opens no more than its port, and not for longer") {
  constexpr End own{kInside.address, 5001}, other{ip(198, 51, 100, 22), 80};
  const auto opens = [&](Translator& nat) {
    const Bytes syn = pass(nat, segment(own, other, kSyn, 1, 0, ""));
    REQUIRE_FALSE(pass(nat, segment(other, sourceOf(syn), kSyn | kAck, 1, 2, "")).empty());
    REQUIRE_FALSE(pass(nat, segment(own, other, kAck, 2, 2, "")).empty());
    Conversation ftp(nat, kInside, kServer);
    ftp.greet();
    const End named = endpointIn(ftp.commands("PORT " + numbers(own) + "\r\n"));
    return std::pair(sourceOf(syn), named);
  };
  SUBCASE("the same binding's other sessions live on") {
    Config c = ftpConfig();
    const uint64_t idle = c.profiles[0].timeouts[static_cast<int>(Timeout::TcpOpening)];
    for (const uint64_t at : {idle - 1, idle}) {
      auto nat = make(c);
      const auto [bound, named] = opens(*nat);
      CHECK(bound == named);
      CHECK(admits(*nat, kData, named, at) == (at < idle));
    }
  }
  SUBCASE("the same inside port has other public ones") {
    Config c = ftpConfig();
    setAll(c.policies[0].mapping, Behaviour::AddressAndPortDependent);
    auto nat = make(c);
    const auto [bound, named] = opens(*nat);
    CHECK_FALSE(bound == named);
    CHECK_FALSE(admits(*nat, kData, bound));
    CHECK(admits(*nat, kData, named));
  }
}

TEST_CASE("FTP: a batch reads what single packets do") {
  auto single = make(ftpConfig()), batched = make(ftpConfig());
  Conversation one(*single, kInside, kServer), two(*batched, kInside, kServer);
  one.greet();
  two.greet();
  const Text line = "PORT " + numbers({kInside.address, 5001}) + "\r\n";
  Bytes packet = two.client.say(line);
  Descriptor d{0, static_cast<uint32_t>(packet.size()), 0, 0, 0, 0, 1, 0};
  batched->translateBatch(&d, 1, packet.data(), packet.size(), 0);
  Text said = textOf(packet);
  batched->take([&](const StoredPacket& p, const uint8_t* bytes) {
    said = textOf(Bytes(bytes, bytes + p.length));
  });
  CHECK(said == one.commands(line));
  CHECK(batched->stats.sessionsActive == 2);
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

  SUBCASE("nobody outside opens ports by naming the inside host") {
    const Text forged = "PORT " + numbers({kInside.address, 5001}) + "\r\n";
    CHECK(ftp.commands(forged) == forged);
    Conversation out(*nat, kInside, kServer);
    out.greet();
    const uint64_t sessions = nat->stats.sessionsActive;
    for (const Text& passive :
         {"227 (" + numbers({kInside.address, 5001}) + ")\r\n", Text("229 (|||5001|)\r\n")}) {
      out.commands(passive[2] == '7' ? "PASV\r\n" : "EPSV\r\n");
      CHECK(out.replies(passive) == passive);
    }
    CHECK(nat->stats.sessionsActive == sessions);
  }
  SUBCASE("only as an answer") {
    const Text unasked = "227 Entering (" + numbers({kInside.address, 5004}) + ")\r\n";
    CHECK(ftp.replies(unasked) == unasked);
    ftp.commands("PASV\r\n");
    CHECK(answer("227 (", 5005, ")\r\n").address == kPublic);
    CHECK(ftp.replies(unasked) == unasked);
    ftp.commands("PASV\r\n");
    const Text begun = unasked.substr(0, unasked.size() - 2);
    CHECK(ftp.replies(begun) == begun);
    CHECK(ftp.replies("\r\n") == "\r\n");
    const Text several = "227-Entering (" + numbers({kInside.address, 5004}) + ")\r\n227 so\r\n";
    CHECK(ftp.replies(several) == several);
    const Text within = "211-Status\r\n" + unasked + "211 End\r\n";
    CHECK(ftp.replies(within) == within);
    ftp.commands("PASV\r\n");
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
  SUBCASE("a first command that can't be read") {
    auto nat = make(ftpConfig());
    Conversation ftp(*nat, kInside, kServer);
    ftp.replies("220 ready\r\n");
    ftp.commands("USE");
    ftp.commands("R anonymous\r\n");
    ftp.commands("USER anonymous\r\n");
    CHECK_FALSE(opens(ftp));
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
  SUBCASE("several segments in one") {
    const PacketView several{packet.data(), size, size, true, false, false, true};
    CHECK(nat->translate(several, 1, 0).verdict == Verdict::Forwarded);
    CHECK(textOf(packet) == port);
    CHECK(nat->stats.sessionsActive == 1);
  }
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

TEST_CASE("FTP: a session counts both directions as their senders do") {
  auto nat = make(ftpConfig());
  Conversation ftp(*nat, kInside, kServer);
  ftp.greet();
  for (uint16_t port = 5001; port < 5004; port++) {
    ftp.commands("PORT " + numbers({kInside.address, port}) + "\r\n");
  }
  Peer &client = ftp.client, &server = ftp.server;
  REQUIRE(client.next != server.received);
  const auto end = [&](Peer& from, Peer& to) {
    const Bytes fin = segment(from.self, from.other, kFin | kAck, from.next++, from.received, "");
    REQUIRE_FALSE(pass(*nat, fin).empty());
    to.received++;
    REQUIRE_FALSE(pass(*nat, to.again("", to.next)).empty());
  };
  end(client, server);
  CHECK(tcpPhase(nat->sessions()[0].state) == TcpPhase::HalfClosed);
  end(server, client);
  CHECK(tcpPhase(nat->sessions()[0].state) == TcpPhase::TimeWait);
}

TEST_CASE("FTP: urgent data stay where they are") {
  auto nat = make(ftpConfig());
  Conversation ftp(*nat, kInside, kServer);
  ftp.greet();
  const Text port = "PORT " + numbers({kInside.address, 5001}) + "\r\n";
  Bytes packet = ftp.client.say(port + "ABOR\r\n");
  packet[33] |= 32;
  store16be(&packet[38], static_cast<uint16_t>(port.size()));
  seal(packet);
  const Bytes heard = pass(*nat, packet);
  CHECK(textOf(heard).substr(load16be(&heard[38])) == "ABOR\r\n");
  CHECK(heard.size() != packet.size());
}

TEST_CASE("FTP: nobody acknowledges what was not sent") {
  auto nat = make(ftpConfig());
  Conversation ftp(*nat, kInside, kServer);
  ftp.greet();
  Text lines[SequenceShift::kEdits], heard[SequenceShift::kEdits];
  uint32_t from[SequenceShift::kEdits];
  for (uint16_t i = 0; i < SequenceShift::kEdits; i++) {
    lines[i] = "PORT " + numbers({kInside.address, static_cast<uint16_t>(5001 + i)}) + "\r\n";
    from[i] = ftp.client.next;
    heard[i] = textOf(pass(*nat, ftp.client.say(lines[i])));
    CHECK(heard[i] != lines[i]);
    Peer forger = ftp.server;
    forger.received = ftp.client.next + 1000;
    pass(*nat, forger.again("", forger.next));
  }
  CHECK(textOf(pass(*nat, ftp.client.say("PORT 192,168,226,135,19,150\r\n"))) ==
        "PORT 192,168,226,135,19,150\r\n");
  for (size_t i = 0; i < SequenceShift::kEdits; i++) {
    CHECK(textOf(pass(*nat, ftp.client.again(lines[i], from[i]))) == heard[i]);
  }
}

TEST_CASE("FTP: where there is no room to put a changed segment out, it is dropped") {
  auto nat = make(ftpConfig());
  Conversation ftp(*nat, kInside, kServer);
  ftp.greet();
  const Text port = "PORT " + numbers({kInside.address, 5001}) + "\r\n";
  const Bytes sent = ftp.client.say(port);
  Result result;
  uint32_t held = 0;
  do {
    Bytes packet = sent;
    result = run(*nat, packet);
    held += result.verdict == Verdict::Held;
    CHECK(packet == sent);
  } while (result.verdict == Verdict::Held && held < 100'000);
  CHECK(result.reason == Reason::FragmentLimit);
  CHECK(nat->pending() == held);
  CHECK(nat->stats.packetsIn == nat->stats.packetsOut + 1);
  nat->take([](const StoredPacket&, const uint8_t*) {});
  CHECK(textOf(pass(*nat, sent)) != port);
}

TEST_CASE("FTP: hairpinned control connections are not read") {
  Config c = ftpConfig();
  c.forwards = {{kTcp, kPublic, 21, kNeighbour.address, 21}};
  auto nat = make(c);
  REQUIRE_FALSE(pass(*nat, segment(kInside, {kPublic, 21}, kSyn, 1, 0, "")).empty());
  CHECK(nat->stats.sessionsActive == 2);
  for (uint32_t slot : {0u, 1u}) CHECK((nat->sessions()[slot].flags & kWatched) == 0);
}

TEST_CASE("FTP: connections beyond the most that can be watched go unread") {
  Config c = ftpConfig();
  c.outside = {{kPublic, 1024, 65535}, {ip(203, 0, 113, 2), 1024, 65535}};
  auto nat = make(c);
  const auto open = [&](uint32_t i) {
    const End from{ip(192, 168, 226, static_cast<uint8_t>(i % 200)),
                   static_cast<uint16_t>(1000 + i / 200)};
    Bytes syn = tcp(from, kServer, kSyn);
    const Result result = run(*nat, syn);
    REQUIRE(result.verdict == Verdict::Forwarded);
    return result.session - 1;
  };
  for (uint32_t i = 0; i < Watches::kMost; i++) {
    REQUIRE((nat->sessions()[open(i)].flags & kWatched) != 0);
  }
  CHECK((nat->sessions()[open(Watches::kMost)].flags & kWatched) == 0);
  nat->deleteSession(7);
  CHECK((nat->sessions()[open(Watches::kMost + 1)].flags & kWatched) != 0);
}

/// Leaves a packet's checksum to the card.
static void makePartial(Bytes& packet) {
  const auto length = static_cast<uint32_t>(packet.size() - kIpHeader);
  store16be(&packet[36], slowSum(&packet[kIpSource], 8, kTcp + length));
}

TEST_CASE(
    "FTP: commands with a partial checksum are read; where the length changes it is made whole") {
  for (const uint16_t port : {uint16_t{5001}, uint16_t{50000}}) {
    auto nat = make(ftpConfig());
    Conversation ftp(*nat, kInside, kServer);
    ftp.greet();
    const Text line = "PORT " + numbers({kInside.address, port}) + "\r\n";
    Bytes packet = ftp.client.say(line);
    makePartial(packet);
    const auto size = static_cast<uint32_t>(packet.size());
    const Result result = nat->translate({packet.data(), size, size, true}, 1, 0);
    CHECK(nat->stats.sessionsActive == 2);
    Bytes out = packet;
    if (result.verdict == Verdict::Held) {
      nat->take([&](const StoredPacket& stored, const uint8_t* bytes) {
        out.assign(bytes, bytes + stored.length);
      });
      CHECK(isSound(out));
    } else {
      REQUIRE(result.verdict == Verdict::Forwarded);
      Bytes same = out;
      makePartial(same);
      CHECK(out == same);
    }
    CHECK(textOf(out) != line);
  }
}

TEST_CASE("FTP: a partial checksum doesn't cover the numbers") {
  auto nat = make(ftpConfig());
  Conversation ftp(*nat, kInside, kServer);
  ftp.greet();
  ftp.commands("PORT " + numbers({kInside.address, 5001}) + "\r\n");
  REQUIRE(ftp.client.next != ftp.server.received);
  Bytes packet = ftp.client.say("NLST\r\n");
  makePartial(packet);
  const auto size = static_cast<uint32_t>(packet.size());
  REQUIRE(nat->translate({packet.data(), size, size, true}, 1, 0).verdict == Verdict::Forwarded);
  CHECK(sequenceOf(packet) == ftp.server.received);
  Bytes same = packet;
  makePartial(same);
  CHECK(packet == same);
}
