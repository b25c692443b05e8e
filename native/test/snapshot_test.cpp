// Snapshots: what comes back of sessions, when, and what does not (Translator::save, restore). That
// packets then do what they would have done anyway, test/model shows; that no state comes of it
// which is not sound, the fuzzer.
#include "nat/snapshot.h"

#include "test/conversation.h"

using namespace napt;
using namespace napt::test;

namespace {

constexpr uint64_t kStart = uint64_t{1} << 57;  // as the addon's clock
constexpr uint32_t kPublic2 = ip(203, 0, 113, 2), kMapped = ip(192, 168, 226, 200);
constexpr End kOther{ip(198, 51, 100, 8), 53};

Bytes saved(Translator& nat, uint64_t now, size_t room = 1 << 20) {
  Bytes out, piece(room);
  uint32_t next = 0;
  do {
    const SnapshotPiece done = nat.save(next, now, piece.data(), piece.size());
    out.insert(out.end(), piece.begin(), piece.begin() + static_cast<std::ptrdiff_t>(done.bytes));
    next = done.next;
  } while (next != 0);
  return out;
}

Restored restore(Translator& nat, const Bytes& records, uint64_t now = kStart,
                 uint64_t passed = 0) {
  Restored sum;
  for (const bool first : {true, false}) {
    for (size_t at = 0;;) {
      const Restored one =
          nat.restore(records.data() + at, records.size() - at, first, {now, passed});
      if (one.bytes == 0) break;
      at += one.bytes;
      sum.sessions += one.sessions;
      sum.expired += one.expired;
      sum.refused += one.refused;
    }
    sum.bytes = 0;
  }
  return sum;
}

/// Opens a TCP connection; gives its public endpoint.
End connect(Translator& nat, uint64_t now, End inside = kInside, End remote = kRemote) {
  Bytes syn = tcp(inside, remote, kSyn, 1000);
  REQUIRE(run(nat, syn, now).verdict == Verdict::Forwarded);
  const End outside = sourceOf(syn);
  REQUIRE(send(nat, tcp(remote, outside, kSyn | kAck, 5000, 1001), now).verdict ==
          Verdict::Forwarded);
  REQUIRE(send(nat, tcp(inside, remote, kAck, 1001, 5001), now).verdict == Verdict::Forwarded);
  return outside;
}

const Session& tcpSession(Translator& nat) {
  const uint32_t slot = nat.findSession(
      Key::of(kInside.address, kRemote.address, swap16(kInside.port), swap16(kRemote.port), kTcp));
  REQUIRE(slot != SessionTable::kNone);
  return nat.sessions()[slot];
}

SessionRecord& recordAt(Bytes& records, size_t index = 0) {
  return reinterpret_cast<SessionRecord*>(records.data())[index];
}

}  // namespace

TEST_CASE("snapshot: endpoint, counters, age and time left come back") {
  const Config c = config();
  auto nat = make(c);
  const End outside = mapped(*nat, kInside, kRemote, kStart + 10 * kSecond);
  for (int i = 0; i < 65540; i++) {
    REQUIRE(mapped(*nat, kInside, kRemote, kStart + 20 * kSecond) == outside);
  }
  const Bytes records = saved(*nat, kStart + 50 * kSecond);
  REQUIRE(records.size() == sizeof(SessionRecord));

  auto next = make(c);
  const uint64_t now = kStart + kSecond;  // another clock
  const Restored sum = restore(*next, records, now, 100 * kSecond);
  CHECK(sum.sessions == 1);
  CHECK(sum.expired == 0);
  CHECK(sum.refused == 0);
  CHECK(next->now() == now);
  CHECK(next->stats.sessionsActive == 1);
  CHECK(next->stats.sessionsCreated == 1);
  CHECK(next->stats.sessionsPeak == 1);
  CHECK(next->sessions().packets(0, kOut) == 65541);
  CHECK(next->sessions().bytes(0, kOut) == nat->sessions().bytes(0, kOut));
  // It was idle for 30 s, and then 100 s have passed.
  CHECK(next->deadlineOf(0) == now + (300 - 130) * kSecond);
  // To the clock's grain of 134 ms, twice.
  const uint64_t created = uint64_t{next->sessions().links(0).created} << 27;
  CHECK(created + (uint64_t{2} << 27) > now - 140 * kSecond);
  CHECK(created < now - 140 * kSecond + (uint64_t{2} << 27));
  CHECK(delivered(*next, kRemote, outside, now) == kInside);
  CHECK(mapped(*next, kInside, kOther, now) == outside);
  CHECK(mapped(*next, kNeighbour, kRemote, now).port != outside.port);
  CHECK(delivered(*next, kRemote, outside, now + 170 * kSecond - 1) == kInside);
}

TEST_CASE("snapshot: gone is what would be gone, to the nanosecond") {
  auto nat = make(config());
  const End outside = mapped(*nat, kInside, kRemote, kStart);
  const Bytes records = saved(*nat, kStart + 100 * kSecond);
  for (const bool over : {false, true}) {
    auto next = make(config());
    const Restored sum = restore(*next, records, kStart + 7, 200 * kSecond - (over ? 0 : 1));
    CHECK(sum.sessions == (over ? 0 : 1));
    CHECK(sum.expired == (over ? 1 : 0));
    CHECK(sum.refused == 0);
    CHECK((delivered(*next, kRemote, outside, kStart + 7) == kInside) == !over);
  }
  CHECK(saved(*nat, kStart + 300 * kSecond).empty());
}

TEST_CASE("snapshot: times far away do no harm") {
  auto nat = make(config());
  REQUIRE(mapped(*nat, kInside, kRemote, kStart).port != 0);
  const Bytes records = saved(*nat, kStart);
  CHECK(restore(*make(config()), records, kStart, ~uint64_t{0}).expired == 1);
  CHECK(restore(*make(config()), records, 0, 400 * kSecond).sessions == 1);  // idle since 0
  Bytes far = records;
  recordAt(far).last = INT64_MAX;
  CHECK(restore(*make(config()), far, kStart).refused == 1);
  recordAt(far).last = INT64_MIN;
  CHECK(restore(*make(config()), far, kStart).expired == 1);
  Bytes changed = records;
  for (const int32_t age : {INT32_MIN, INT32_MAX}) {
    recordAt(changed).age = age;
    CHECK(restore(*make(config()), changed, kStart).sessions == 1);
  }
}

TEST_CASE("snapshot: TCP goes on in both directions, and a guesser gets no further than before") {
  auto nat = make(config());
  const End outside = connect(*nat, kStart);
  auto next = make(config());
  REQUIRE(restore(*next, saved(*nat, kStart + kSecond), kStart, kSecond).sessions == 1);
  CHECK(std::memcmp(&tcpSession(*next).end, &tcpSession(*nat).end, 20) == 0);
  CHECK(tcpSession(*next).window[kOut] == tcpSession(*nat).window[kOut]);
  CHECK(send(*next, tcp(kRemote, outside, kRst, 5001 + 0x10000000), kStart).verdict ==
        Verdict::Forwarded);
  CHECK(tcpPhase(tcpSession(*next).state) == TcpPhase::Established);
  CHECK(send(*next, tcp(kRemote, outside, kAck, 5001, 1001, 40), kStart).verdict ==
        Verdict::Forwarded);
  CHECK(send(*next, tcp(kInside, kRemote, kAck, 1001, 5041, 40), kStart).verdict ==
        Verdict::Forwarded);
  CHECK(tcpSession(*next).end[kIn] == 5041);
  CHECK(next->stats.sessionsActive == 1);
  CHECK(send(*next, tcp(kRemote, outside, kRst, 5041), kStart).verdict == Verdict::Forwarded);
  CHECK(tcpPhase(tcpSession(*next).state) == TcpPhase::Reset);
}

TEST_CASE("snapshot: pieces of any size make the same") {
  auto nat = make(config());
  for (uint16_t i = 0; i < 50; i++) {
    REQUIRE(mapped(*nat, {kInside.address, static_cast<uint16_t>(4000 + i)}, kRemote, kStart).port);
  }
  const Bytes whole = saved(*nat, kStart);
  CHECK(whole.size() == 50 * sizeof(SessionRecord));
  CHECK(saved(*nat, kStart, kLargestRecord) == whole);
  CHECK(saved(*nat, kStart, 1000) == whole);
}

TEST_CASE("snapshot: all sorts of sessions") {
  Config c = config();
  for (const uint8_t protocol : {kUdpLite, kDccp, kSctp, kGre, kEsp}) c.protocols.add(protocol);
  c.forwards = {{kTcp, kPublic, 80, kInside.address, 8080}};
  c.statics = {{kPublic2, kMapped}};
  setAll(c.policies[0].filtering, Behaviour::EndpointIndependent);
  auto nat = make(c);
  const auto passes = [](Translator& to, Bytes packet) {
    return run(to, packet, kStart).verdict == Verdict::Forwarded ? packet : Bytes{};
  };
  const auto other = [](uint8_t protocol) {
    Bytes body(40, 1);
    body[8] = 1;  // DCCP: a Response; SCTP: a tag
    return ipv4(protocol, kInside.address, kRemote.address, body);
  };
  const End target = mapped(*nat, kNeighbour, kOther, kStart);
  const std::vector<Bytes> packets{udp(kInside, kRemote),
                                   udp(kInside, kOther),
                                   echo(kInside.address, kRemote.address, 77),
                                   other(kUdpLite),
                                   other(kDccp),
                                   other(kSctp),
                                   other(kGre),
                                   other(kEsp),
                                   tcp(kOther, {kPublic, 80}, kSyn, 7),
                                   udp({kMapped, 5}, kRemote),
                                   echo(kRemote.address, kPublic2, 9),
                                   udp(kInside, target)};  // hairpinned
  std::vector<Bytes> before;
  for (const Bytes& packet : packets) before.push_back(passes(*nat, packet));
  auto next = make(c);
  const Restored sum = restore(*next, saved(*nat, kStart));
  CHECK(sum.sessions == nat->stats.sessionsActive);
  CHECK(sum.refused == 0);
  for (size_t i = 0; i < packets.size(); i++) {
    CAPTURE(i);
    CHECK(!before[i].empty());
    CHECK(passes(*next, packets[i]) == before[i]);
  }
  CHECK(next->stats.sessionsActive == sum.sessions);
  CHECK(next->stats.sessionsCreated == sum.sessions);
}

TEST_CASE("snapshot: a control connection whose text was changed goes on, and is read on") {
  Config c = config();
  c.ftp = true;
  auto nat = make(c);
  Conversation ftp(*nat, kInside, {kServerAddress, 21});
  ftp.greet();
  const Text port = "PORT 192,168,226,135,20,1\r\n";
  REQUIRE(ftp.commands(port) != port);
  REQUIRE(ftp.server.received != ftp.client.next);  // the two count differently
  auto next = make(c);
  const Restored sum = restore(*next, saved(*nat, 0), 0);
  CHECK(sum.sessions == 2);  // what is expected, too
  const std::vector<Bytes> packets{
      ftp.server.say("200 yes\r\n"), ftp.client.say("NOOP\r\n"),
      ftp.client.again(port, ftp.client.next - 6 - static_cast<uint32_t>(port.size())),
      ftp.client.say("PORT 192,168,226,135,30,1\r\n")};
  for (const Bytes& packet : packets) {
    const Bytes expected = pass(*nat, packet), out = pass(*next, packet);
    CHECK_FALSE(expected.empty());
    // Another port may be opened, of the same number of digits or not.
    const bool opens = &packet == &packets.back();
    if (opens) CHECK(textOf(out).substr(0, 17) == "PORT 203,0,113,1,");
    if (!opens) CHECK(out == expected);
    CHECK(sequenceOf(out) == sequenceOf(expected));
    CHECK(ackOf(out) == ackOf(expected));
  }
}

TEST_CASE("snapshot: an explicit mapping comes back with whom it lets in") {
  auto nat = make(config());
  MappingRequest request{kUdp, kInside.address, swap16(kInside.port), 100 * kSecond};
  request.filters = 1;
  request.filter[0] = {kOther.address, 0xffffffff, 0};
  const Granted granted = nat->map(request, kStart);
  REQUIRE(granted.reason == Reason::None);
  const End outside{granted.outside, granted.outsidePort};
  auto next = make(config());
  REQUIRE(restore(*next, saved(*nat, kStart), kStart, 40 * kSecond).sessions == 1);
  const Granted again = next->findMapping(kUdp, kInside.address, swap16(kInside.port));
  CHECK(again.outsidePort == granted.outsidePort);
  CHECK(again.until == kStart + 60 * kSecond);
  CHECK(delivered(*next, kOther, outside, kStart) == kInside);
  CHECK(delivered(*next, kRemote, outside, kStart).port == 0);
}

TEST_CASE("snapshot: a binding is explicit with all of its sessions, or with none") {
  const Config c = config();
  auto nat = make(c);
  const End outside = mapped(*nat, kInside, kRemote, kStart);
  const Bytes before = saved(*nat, kStart);
  REQUIRE(nat->map({kUdp, kInside.address, swap16(kInside.port), 100 * kSecond}, kStart).reason ==
          Reason::None);
  REQUIRE(mapped(*nat, kInside, kOther, kStart) == outside);
  const Bytes after = saved(*nat, kStart);
  REQUIRE(after.size() == 3 * sizeof(SessionRecord));
  // A snapshot whose first piece was taken before the host asked, and the second one thereafter.
  Bytes records = before;
  records.insert(records.end(), after.begin() + sizeof(SessionRecord), after.end());
  auto next = make(c);
  const Restored sum = restore(*next, records);
  CHECK(sum.sessions == 1);
  CHECK(sum.refused == 2);
  CHECK(restore(*make(c), after).sessions == 3);
}

TEST_CASE("snapshot: what the config does not allow stays away") {
  Config c = config();
  auto nat = make(c);
  const End outside = mapped(*nat, kInside, kRemote, kStart);
  REQUIRE(mapped(*nat, kNeighbour, kRemote, kStart).port != 0);
  REQUIRE(mapped(*nat, kInside, kOther, kStart) == outside);
  const Bytes records = saved(*nat, kStart);
  const auto outcome = [&](const Config& to) {
    auto next = make(to);
    const Restored sum = restore(*next, records);
    CHECK(sum.sessions + sum.refused == 3);
    CHECK(next->stats.sessionsActive == sum.sessions);
    return sum.sessions;
  };
  CHECK(outcome(c) == 3);
  SUBCASE("a host is not inside") {
    c.inside = {{0xc0a8e288, 0xfffffff8}};  // .136 to .143
    CHECK(outcome(c) == 1);
  }
  SUBCASE("the public address is another") {
    c.outside[0].address = kPublic2;
    CHECK(outcome(c) == 0);
  }
  SUBCASE("the table is smaller") {
    c.sessionLimit = 2;
    CHECK(outcome(c) == 2);
  }
  SUBCASE("a host may have fewer sessions") {
    c.policies[0].sessionLimit = 1;
    CHECK(outcome(c) == 2);
  }
  SUBCASE("a host may have fewer ports") {
    c.policies[0].portLimits[0] = 1;
    CHECK(outcome(c) == 3);  // two of them share one
  }
  SUBCASE("the port is a forward's") {
    c.forwards = {{kUdp, kPublic, outside.port, kMapped, 80}};
    CHECK(outcome(c) == 1);
  }
}

TEST_CASE("snapshot: a host may have fewer ports than it had") {
  Config c = config();
  auto nat = make(c);
  for (uint16_t port = 4000; port < 4004; port++) {
    REQUIRE(mapped(*nat, {kInside.address, port}, kRemote, kStart).port != 0);
  }
  c.policies[0].portLimits[2] = 3;
  auto next = make(c);
  const Restored sum = restore(*next, saved(*nat, kStart));
  CHECK(sum.sessions == 3);
  CHECK(sum.refused == 1);
}

TEST_CASE("snapshot: who is there already stays, with its flow and its port") {
  auto nat = make(config());
  const End outside = mapped(*nat, kInside, kRemote, kStart);
  const Bytes records = saved(*nat, kStart);
  CHECK(restore(*nat, records).refused == 1);  // the flow has a session
  CHECK(nat->stats.sessionsActive == 1);

  Config narrow = config();
  narrow.outside[0].low = narrow.outside[0].high = outside.port;
  narrow.policies[0].parity = false;
  auto next = make(narrow);
  REQUIRE(mapped(*next, kNeighbour, kRemote, kStart) == outside);
  CHECK(restore(*next, records).refused == 1);  // the port is the neighbour's
  CHECK(delivered(*next, kRemote, outside, kStart) == kNeighbour);
}

TEST_CASE("snapshot: a shared endpoint is one host's for each remote, whichever its other is") {
  Config c = config();
  setAll(c.policies[0].mapping, Behaviour::AddressDependent);
  c.policies[0].overloading = true;
  c.policies[0].pooling = Pooling::Arbitrary;
  c.outside = {{kPublic, 5000, 5000}, {kPublic2, 5000, 5000}};
  auto nat = make(c);
  REQUIRE(mapped(*nat, kInside, kRemote, kStart).port == 5000);
  Bytes records;
  const auto add = [&](End inside, uint16_t remotePort, uint32_t publicAddress) {
    Bytes one = saved(*nat, kStart);
    recordAt(one).inside = inside.address;
    recordAt(one).remotePort = swap16(remotePort);
    recordAt(one).publicAddress = publicAddress;
    records.insert(records.end(), one.begin(), one.end());
  };
  add(kInside, 1, kPublic);
  add(kNeighbour, 1, kPublic2);
  add(kInside, 2, kPublic2);  // where the neighbour has this remote
  add(kInside, 3, kPublic);
  auto next = make(c);
  const Restored sum = restore(*next, records);
  CHECK(sum.sessions == 3);
  CHECK(sum.refused == 1);
  CHECK(delivered(*next, {kRemote.address, 1}, {kPublic2, 5000}, kStart) == kNeighbour);
  CHECK(delivered(*next, {kRemote.address, 3}, {kPublic, 5000}, kStart) == kInside);
}

TEST_CASE("snapshot: records that packets can't have made are refused") {
  Config c = config();
  c.protocols.add(kEsp);
  c.protocols.add(kGre);
  c.protocols.add(kSctp);
  c.pptp = true;
  auto nat = make(c);
  REQUIRE(mapped(*nat, kInside, kRemote, kStart).port != 0);
  const Bytes records = saved(*nat, kStart);
  const auto refuses = [&](auto change) {
    Bytes changed = records;
    change(recordAt(changed));
    const Restored sum = restore(*make(c), changed);
    return sum.refused == 1 && sum.sessions == 0;
  };
  CHECK_FALSE(refuses([](SessionRecord&) {}));
  CHECK(refuses([](SessionRecord& r) { r.protocol = 0; }));
  CHECK(refuses([](SessionRecord& r) { r.remote = 0; }));
  CHECK(refuses([](SessionRecord& r) { r.timeout = 200; }));
  CHECK(refuses([](SessionRecord& r) { r.timeout = static_cast<uint8_t>(Timeout::Explicit); }));
  CHECK(refuses([](SessionRecord& r) { r.flags |= kExpected; }));
  CHECK(refuses([](SessionRecord& r) {
    r.flags |= kExplicit;
    r.remote = 0;
  }));
  const auto anchor = [](SessionRecord& r, uint8_t filters) {
    r.flags |= kExplicit;
    r.remote = r.remotePort = 0;
    r.timeout = static_cast<uint8_t>(Timeout::Explicit);
    r.last = int64_t{kSecond};
    r.state = filters;
  };
  CHECK_FALSE(refuses([&](SessionRecord& r) { anchor(r, 2); }));
  CHECK(refuses([&](SessionRecord& r) { anchor(r, 3); }));
  const auto esp = [](SessionRecord& r) {
    r.protocol = kEsp;
    r.timeout = static_cast<uint8_t>(Timeout::Esp);
    r.insidePort = r.remotePort = r.publicPort = 0;
  };
  CHECK_FALSE(refuses(esp));
  CHECK(refuses([&](SessionRecord& r) {
    esp(r);
    r.remotePort = 1;
  }));
  CHECK(refuses([&](SessionRecord& r) {
    esp(r);
    r.insidePort = r.publicPort = 1;
  }));
  CHECK(refuses([&](SessionRecord& r) {
    esp(r);
    r.publicPort = 1;
  }));
  CHECK(refuses([&](SessionRecord& r) {
    esp(r);
    r.flags |= kExplicit;
  }));
  CHECK(refuses([&](SessionRecord& r) {
    esp(r);
    r.protocol = kGre;
    r.timeout = static_cast<uint8_t>(Timeout::Gre);
    r.end[kOut] = 5;  // of a call only
  }));
  CHECK(refuses([](SessionRecord& r) {
    r.protocol = kSctp;
    r.timeout = static_cast<uint8_t>(Timeout::SctpTransitory);
    r.publicPort = static_cast<uint16_t>(r.insidePort + 1);  // it has its port outside, too
  }));
}

TEST_CASE("snapshot: edits that overlap are no stream's") {
  SequenceShift shift;
  shift.start(100);
  shift.add({200, 10, 20, {}});
  shift.add({210, 5, 1, {}});
  CHECK(shift.isSound());
  SequenceShift overlapping = shift;
  overlapping.add({214, 5, 1, {}});
  CHECK_FALSE(overlapping.isSound());
  SequenceShift empty = shift;
  empty.add({300, 0, 1, {}});
  CHECK_FALSE(empty.isSound());
  SequenceShift large = shift;
  large.add({300, 1, Edit::kMost + 1, {}});
  CHECK_FALSE(large.isSound());
  SequenceShift around = shift;
  around.add({200 + (1u << 30) + 1, 1, 1, {}});
  CHECK_FALSE(around.isSound());
  const uint32_t tooMany = SequenceShift::kEdits + 1;
  std::memcpy(reinterpret_cast<uint8_t*>(&shift) + 8, &tooMany, 4);
  CHECK_FALSE(shift.isSound());
}

TEST_CASE("snapshot: a control connection with edits that make no sense is not watched any more") {
  Config c = config();
  c.ftp = true;
  auto nat = make(c);
  const End server{kRemote.address, 21};
  connect(*nat, kStart, kInside, server);
  const auto isWatched = [&](const Bytes& records) {
    auto next = make(c);
    REQUIRE(restore(*next, records).sessions == 1);
    return (next->sessions()[0].flags & kWatched) != 0;
  };
  Bytes records = saved(*nat, kStart);
  REQUIRE(records.size() == kLargestRecord);
  CHECK(isWatched(records));
  auto watch = load<WatchRecord>(&records[sizeof(SessionRecord)]);
  watch.shift[kIn].add({1001, 0, 5, {}});
  store(&records[sizeof(SessionRecord)], watch);
  CHECK_FALSE(isWatched(records));
}

TEST_CASE("snapshot: cut anywhere, what is whole comes back and nothing else is read") {
  Config c = config();
  c.ftp = true;
  auto nat = make(c);
  REQUIRE(mapped(*nat, kNeighbour, kRemote, kStart).port != 0);
  connect(*nat, kStart, kInside, {kRemote.address, 21});
  const Bytes records = saved(*nat, kStart);
  REQUIRE(records.size() == sizeof(SessionRecord) + kLargestRecord);
  for (size_t size = 0; size <= records.size(); size++) {
    Bytes cut(records.begin(), records.begin() + static_cast<std::ptrdiff_t>(size));
    cut.shrink_to_fit();
    const uint32_t whole = size == records.size() ? 2 : size >= sizeof(SessionRecord) ? 1 : 0;
    CHECK(restore(*make(c), cut).sessions == whole);
  }
}
