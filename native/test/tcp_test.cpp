// TCP tracking: what counts by its sequence numbers, and what restarts the idle time
// (RFC 5382; RFC 7857, section 2; RFC 9293, section 3.10.7).
#include "test/support.h"

using namespace napt;
using namespace napt::test;

namespace {

constexpr uint64_t kOpening = 30 * kSecond, kClosing = 100 * kSecond, kResetTime = 240 * kSecond;

Config timed() {
  Config c = config();
  uint64_t* timeouts = c.profiles[0].timeouts;
  timeouts[static_cast<int>(Timeout::TcpOpening)] = kOpening;
  timeouts[static_cast<int>(Timeout::TcpClosing)] = kClosing;
  timeouts[static_cast<int>(Timeout::TcpReset)] = kResetTime;
  return c;
}

/// A SYN with options before the window scale, if one is offered (0 to 255).
Bytes synWith(End from, End to, uint8_t flags, uint32_t sequence, uint32_t ack, int scale,
              Bytes before = {}) {
  Bytes options = std::move(before);
  if (scale >= 0) {
    for (const int byte : {3, 3, scale}) options.push_back(static_cast<uint8_t>(byte));
  }
  while (options.size() % 4 != 0) options.push_back(0);
  Bytes packet = tcp(from, to, flags, sequence, ack, options.size());
  packet[32] = static_cast<uint8_t>((20 + options.size()) / 4 << 4);
  std::copy(options.begin(), options.end(), packet.begin() + 40);
  seal(packet);
  return packet;
}

/// One connection: inside from 100, outside from 500, windows of 1,000.
struct Connection {
  std::unique_ptr<Translator> nat;
  End outside{};

  explicit Connection(const Config& c) : nat(make(c)) {}

  Result sendOut(Bytes packet, uint64_t now = 0) {
    const Result result = run(*nat, packet, now);
    if (result.verdict == Verdict::Forwarded) outside = sourceOf(packet);
    return result;
  }
  bool out(uint8_t flags, uint32_t sequence, uint32_t ack, uint64_t now = 0, size_t payload = 0) {
    return sendOut(tcp(kInside, kRemote, flags, sequence, ack, payload), now).verdict ==
           Verdict::Forwarded;
  }
  bool in(uint8_t flags, uint32_t sequence, uint32_t ack, uint64_t now = 0, size_t payload = 0) {
    Bytes packet = tcp(kRemote, outside, flags, sequence, ack, payload);
    return run(*nat, packet, now).verdict == Verdict::Forwarded;
  }
  void open(int ours = -1, int theirs = -1, Bytes before = {}) {
    sendOut(synWith(kInside, kRemote, kSyn, 100, 0, ours, std::move(before)));
    Bytes answer = synWith(kRemote, outside, kSyn | kAck, 500, 101, theirs);
    REQUIRE(run(*nat, answer).verdict == Verdict::Forwarded);
    REQUIRE(out(kAck, 101, 501));
    REQUIRE(phase() == TcpPhase::Established);
  }
  TcpPhase phase() { return tcpPhase(nat->sessions()[0].state); }
  uint64_t endsAt() { return nat->deadlineOf(0); }
  /// Whether an ICMP error about a segment with this sequence number comes through.
  Reason errorAbout(uint32_t sequence) {
    const Bytes sent = tcp(outside, kRemote, kAck, sequence);
    return send(*nat, icmpError(ip(192, 0, 2, 1), kPublic, kUnreachable, 1, sent)).reason;
  }
  /// The same for the other direction: from the inside host about what it got.
  Reason errorFromInside(uint32_t sequence) {
    const Bytes got = tcp(kRemote, kInside, kAck, sequence);
    return send(*nat, icmpError(kInside.address, kRemote.address, kUnreachable, 1, got)).reason;
  }
};

}  // namespace

TEST_CASE("TCP: which RST counts") {
  Connection c(timed());
  SUBCASE("at the edge of the window, and a window before") {
    c.open();
    CHECK(c.in(kRst, 501 + 1000, 0));
    CHECK(c.phase() == TcpPhase::Established);
    CHECK(c.in(kRst, 501 - 1001, 0));
    CHECK(c.phase() == TcpPhase::Established);
    SUBCASE("edge") { CHECK(c.in(kRst, 501 + 999, 0)); }
    SUBCASE("before") { CHECK(c.in(kRst, 501 - 1000, 0)); }
    CHECK(c.phase() == TcpPhase::Reset);
  }
  SUBCASE("with window scales of both sides") {
    c.open(7, 7);
    REQUIRE(c.out(kAck, 101, 501));
    CHECK(c.in(kRst, 501 + 128'001, 0));
    CHECK(c.phase() == TcpPhase::Established);
    CHECK(c.in(kRst, 501 + 100'000, 0));
    CHECK(c.phase() == TcpPhase::Reset);
  }
  SUBCASE("with window scales, as the window moves on") {
    c.open(7, 7);
    CHECK(c.in(kAck, 501, 101, 0, 1000));
    CHECK(c.out(kAck, 101, 1501));
    CHECK(c.in(kRst, 1501 + 128'001, 0));
    CHECK(c.phase() == TcpPhase::Established);
    CHECK(c.in(kRst, 1501 + 127'900, 0));
    CHECK(c.phase() == TcpPhase::Reset);
  }
  SUBCASE("one side's window scale is none (RFC 7323, section 2.2)") {
    c.open(7, -1);
    REQUIRE(c.out(kAck, 101, 501));
    CHECK(c.in(kRst, 501 + 50'000, 0));
    CHECK(c.phase() == TcpPhase::Established);
  }
  SUBCASE("the window of a SYN is not scaled") {
    c.sendOut(synWith(kInside, kRemote, kSyn, 100, 0, 7));
    CHECK(send(*c.nat, synWith(kRemote, c.outside, kSyn | kAck, 500, 101, 7)).verdict ==
          Verdict::Forwarded);
    CHECK(c.out(kRst, 101 + 50'000, 0));
    CHECK(c.phase() == TcpPhase::Opening);
    CHECK(c.out(kRst, 101 + 999, 0));
    CHECK(c.phase() == TcpPhase::Reset);
  }
  SUBCASE("options before the window scale, a scale beyond 14") {
    c.open(200, 200, {1, 2, 4, 5, 180, 1});
    REQUIRE(c.out(kAck, 101, 501));
    CHECK((c.nat->sessions()[0].scales & 15) == 14);
    CHECK(c.in(kRst, 501 + 10'000'000, 0));
    CHECK(c.phase() == TcpPhase::Reset);
  }
  SUBCASE("from who never spoke: only an answer") {
    CHECK(c.out(kSyn, 100, 0));
    CHECK(c.in(kRst | kAck, 0, 100));
    CHECK(c.phase() == TcpPhase::Opening);
    CHECK(c.in(kRst, 0, 101));  // no ACK
    CHECK(c.phase() == TcpPhase::Opening);
    CHECK(c.in(kRst | kAck, 0, 101));
    CHECK(c.phase() == TcpPhase::Reset);
  }
  SUBCASE("after a new attempt with a lower number, by that one") {
    CHECK(c.out(kSyn, 9000, 0));
    CHECK(c.out(kSyn, 100, 0));
    CHECK(c.in(kRst | kAck, 0, 9001));
    CHECK(c.phase() == TcpPhase::Opening);
    CHECK(c.in(kRst | kAck, 0, 101));
    CHECK(c.phase() == TcpPhase::Reset);
  }
  SUBCASE("of a connection that was picked up: near what was sent") {
    CHECK(c.out(kAck, 101, 501));
    CHECK(c.in(kAck, 501, 101));
    CHECK(c.in(kRst, 501 + 5'000'000, 0));
    CHECK(c.phase() == TcpPhase::Established);
    CHECK(c.in(kRst, 501 + 900'000, 0));
    CHECK(c.phase() == TcpPhase::Reset);
  }
}

TEST_CASE("TCP: liberal takes RST and FIN whatever their numbers") {
  for (const bool liberal : {false, true}) {
    Config config = timed();
    config.policies[0].tcpLiberal = liberal;
    Connection c(config);
    c.open();
    CHECK(c.in(kFin | kAck, 501 + 100'000, 101));
    CHECK(c.phase() == (liberal ? TcpPhase::HalfClosed : TcpPhase::Established));
    CHECK(c.in(kRst, 501 - 100'000, 0));
    CHECK((c.phase() == TcpPhase::Reset) == liberal);
    CHECK((c.errorAbout(101 + 1'000'000) == Reason::None) == liberal);
  }
}

TEST_CASE("TCP: what a RST does to the idle time") {
  Connection c(timed());
  SUBCASE("opening: nothing") {
    CHECK(c.out(kSyn, 100, 0));
    CHECK(c.in(kRst | kAck, 0, 101, 10 * kSecond));
    CHECK(c.phase() == TcpPhase::Reset);
    CHECK(c.endsAt() == kOpening);
  }
  SUBCASE("established: shortens it, once") {
    c.open();
    CHECK(c.in(kRst, 501, 0, 10 * kSecond));
    CHECK(c.endsAt() == 10 * kSecond + kResetTime);
    CHECK(c.in(kRst, 501, 0, 20 * kSecond));
    CHECK(c.endsAt() == 10 * kSecond + kResetTime);
    // What the connection sends next takes it back to where it was (RFC 7857, section 2.2).
    CHECK(c.out(kAck, 101, 501, 30 * kSecond));
    CHECK(c.phase() == TcpPhase::Established);
    CHECK(c.endsAt() == (30 + 7440) * kSecond);
  }
  SUBCASE("closing: nothing") {
    c.open();
    CHECK(c.out(kFin | kAck, 101, 501));
    CHECK(c.in(kFin | kAck, 501, 101));
    REQUIRE(c.phase() == TcpPhase::Closing);
    CHECK(c.in(kRst, 502, 0, 50 * kSecond));
    CHECK(c.endsAt() == kClosing);
  }
}

TEST_CASE("TCP: FINs") {
  Connection c(timed());
  c.open();
  SUBCASE("one out of the window does not count") {
    CHECK(c.in(kFin | kAck, 501 + 100'000, 101));
    CHECK(c.in(kFin | kAck, 501 + 1000, 101));
    CHECK(c.out(kFin | kAck, 101 + 1000, 501));
    CHECK(c.phase() == TcpPhase::Established);
  }
  SUBCASE("time-wait needs both acknowledged") {
    CHECK(c.out(kFin | kAck, 101, 501));
    CHECK(c.phase() == TcpPhase::HalfClosed);
    CHECK(c.in(kAck, 501, 101));  // not of the FIN
    CHECK(c.in(kFin | kAck, 501, 101));
    CHECK(c.phase() == TcpPhase::Closing);
    CHECK(c.in(kAck, 502, 102));
    CHECK(c.phase() == TcpPhase::Closing);
    CHECK(c.out(kAck, 102, 501));  // an old one
    CHECK(c.phase() == TcpPhase::Closing);
    CHECK(c.out(kAck, 102, 502));
    CHECK(c.phase() == TcpPhase::TimeWait);
  }
}

TEST_CASE("TCP: a stray SYN in an open connection changes nothing, not even the idle time") {
  Connection c(timed());
  c.open();
  CHECK(c.in(kSyn, 77'000, 0, 100 * kSecond));
  CHECK(c.out(kSyn, 77'000, 0, 100 * kSecond));
  CHECK(c.phase() == TcpPhase::Established);
  CHECK(c.endsAt() == 7440 * kSecond);
}

TEST_CASE("TCP: SYNs in the remote's name do not spoil a handshake") {
  Connection c(timed());
  const auto blind = [&](uint8_t flags, uint32_t sequence, int scale) {
    const Bytes syn = synWith(kRemote, c.outside, flags, sequence, 0x12345678, scale);
    CHECK(send(*c.nat, syn).verdict == Verdict::Forwarded);  // the inside host sorts it out
  };
  const auto answer = [&] {
    const Bytes syn = synWith(kRemote, c.outside, kSyn | kAck, 500, 101, 7);
    REQUIRE(send(*c.nat, syn).verdict == Verdict::Forwarded);
  };
  c.sendOut(synWith(kInside, kRemote, kSyn, 100, 0, 7));
  SUBCASE("before the answer: a SYN, and another one") {
    blind(kSyn, 0x70000000, -1);
    blind(kSyn, 0x30000000, 14);
    answer();
  }
  SUBCASE("before the answer: with an acknowledgement of nothing that was sent") {
    blind(kSyn | kAck, 0x70000000, -1);
    answer();
  }
  SUBCASE("after it") {
    answer();
    blind(kSyn, 0x70000000, 14);
    blind(kSyn | kAck, 0x70000000, -1);
  }
  REQUIRE(c.out(kAck, 101, 501));
  CHECK(c.phase() == TcpPhase::Established);
  CHECK(c.nat->sessions()[0].scales == 0x77);
  CHECK(c.in(kRst, 501 + 128'001, 0));
  CHECK(c.phase() == TcpPhase::Established);
  CHECK(c.in(kRst, 501 + 100'000, 0));
  CHECK(c.phase() == TcpPhase::Reset);
}

TEST_CASE("TCP: of two SYNs to a forward the one counts that its host answers") {
  Config config = timed();
  config.forwards = {{kTcp, kPublic, 80, kInside.address, 8080}};
  auto nat = make(config);
  const End outside{kPublic, 80}, server{kInside.address, 8080};
  const auto passes = [&](const Bytes& packet) {
    return send(*nat, packet).verdict == Verdict::Forwarded;
  };
  CHECK(passes(tcp(kRemote, outside, kSyn, 500)));
  CHECK(passes(tcp(kRemote, outside, kSyn, 0x70000000)));
  CHECK(passes(tcp(server, kRemote, kSyn | kAck, 100, 501)));
  CHECK(passes(tcp(kRemote, outside, kAck, 0x70000001, 101)));
  CHECK(tcpPhase(nat->sessions()[0].state) == TcpPhase::Opening);
  CHECK(passes(tcp(kRemote, outside, kAck, 501, 101)));
  CHECK(tcpPhase(nat->sessions()[0].state) == TcpPhase::Established);
}

TEST_CASE("TCP: both sides may reopen in time-wait") {
  for (const bool inside : {true, false}) {
    Connection c(timed());
    c.open();
    CHECK(c.out(kFin | kAck, 101, 501));
    CHECK(c.in(kFin | kAck, 501, 102));
    CHECK(c.out(kAck, 102, 502));
    REQUIRE(c.phase() == TcpPhase::TimeWait);
    // Later than a connection may take to open.
    const uint64_t later = 200 * kSecond;
    CHECK((inside ? c.out(kSyn, 9000, 0, later) : c.in(kSyn, 9000, 0, later)));
    CHECK(c.phase() == TcpPhase::Opening);
    CHECK(c.endsAt() == later + kOpening);
    const uint64_t soon = later + kSecond;
    CHECK((inside ? c.in(kSyn | kAck, 20, 9001, soon) : c.out(kSyn | kAck, 20, 9001, soon)));
    CHECK((inside ? c.out(kAck, 9001, 21, soon) : c.in(kAck, 9001, 21, soon)));
    CHECK(c.phase() == TcpPhase::Established);
    CHECK(c.nat->stats.sessionsCreated == 1);
  }
}

TEST_CASE("TCP: what is far from all that the remote has sent does not refresh") {
  Connection c(timed());
  c.open();
  constexpr uint32_t kReach = 65535;
  uint64_t now = 10 * kSecond;
  const auto refreshes = [&](uint32_t sequence) {
    now += kSecond;
    CHECK(c.in(kAck, sequence, 101, now));
    return c.endsAt() == now + 7440 * kSecond;
  };
  CHECK(refreshes(501 + kReach));
  CHECK(refreshes(501 - kReach));
  CHECK_FALSE(refreshes(501 + kReach + 1));
  CHECK_FALSE(refreshes(501 - kReach - 1));
}

TEST_CASE("TCP: what was refused by the receiver's window does not move it") {
  Connection c(timed());
  c.open();
  // Beyond what the remote allows: nobody on the path can have believed it.
  CHECK(c.out(kAck, 101 + 1'000'000, 501, 0, 10));
  CHECK(c.errorAbout(101) == Reason::None);
  CHECK(c.errorAbout(101 + 1'000'000) == Reason::IcmpOutOfWindow);
}

TEST_CASE("TCP: ICMP errors only about what is in flight") {
  Connection c(timed());
  SUBCASE("of either side") {
    c.open();
    CHECK(c.out(kAck, 101, 501, 0, 100));
    CHECK(c.errorAbout(101) == Reason::None);
    CHECK(c.errorAbout(201) == Reason::None);
    CHECK(c.errorAbout(202) == Reason::IcmpOutOfWindow);
    CHECK(c.errorAbout(201u - 2 * 65535) == Reason::None);
    CHECK(c.errorAbout(201u - 2 * 65535 - 1) == Reason::IcmpOutOfWindow);
    CHECK(c.errorFromInside(501) == Reason::None);
    CHECK(c.errorFromInside(502) == Reason::IcmpOutOfWindow);
  }
  SUBCASE("TCP options are no data") {
    c.open();
    Bytes packet = tcp(kInside, kRemote, kAck, 101, 501, 12);
    packet[32] = 0x80;  // all of it is options
    seal(packet);
    c.sendOut(packet);
    CHECK(c.errorAbout(101) == Reason::None);
    CHECK(c.errorAbout(102) == Reason::IcmpOutOfWindow);
  }
  SUBCASE("nothing of a side that never spoke") {
    Config config = timed();
    config.forwards = {{kTcp, kPublic, 80, kInside.address, 8080}};
    auto nat = make(config);
    const End outside{kPublic, 80};
    REQUIRE(send(*nat, tcp(kRemote, outside, kSyn, 500)).verdict == Verdict::Forwarded);
    const Bytes never = tcp(outside, kRemote, kAck, 0);
    CHECK(send(*nat, icmpError(ip(192, 0, 2, 1), kPublic, kUnreachable, 1, never)).reason ==
          Reason::IcmpOutOfWindow);
  }
  SUBCASE("too short to tell is not believed") {
    c.open();
    const Bytes sent = tcp(c.outside, kRemote, kAck, 77'000'000);
    CHECK(send(*c.nat, icmpError(ip(192, 0, 2, 1), kPublic, kUnreachable, 1, sent, 24)).reason ==
          Reason::IcmpEmbedded);
  }
}

TEST_CASE("TCP: who may open") {
  Config config = timed();
  setAll(config.policies[0].filtering, Behaviour::EndpointIndependent);
  SUBCASE("from outside a SYN alone") {
    Connection c(config);
    CHECK(c.out(kSyn, 100, 0));
    const End other{ip(198, 51, 100, 8), 1234};
    for (const int flags : {kSyn | kAck, kAck + 0, kRst + 0, kFin | kAck}) {
      CHECK(send(*c.nat, tcp(other, c.outside, static_cast<uint8_t>(flags))).reason ==
            Reason::TcpNoSession);
    }
    CHECK(send(*c.nat, tcp(other, c.outside, kSyn)).verdict == Verdict::Forwarded);
    CHECK(c.nat->stats.sessionsCreated == 2);
    CHECK((c.nat->sessions()[1].state & kBegunOutside) != 0);
  }
  SUBCASE("from inside anything, unless pick-up is off") {
    for (const bool pickup : {true, false}) {
      config.policies[0].tcpPickup = pickup;
      Connection c(config);
      CHECK(c.out(kAck, 100, 1) == pickup);
      CHECK(c.out(kSyn, 100, 0));
    }
  }
}
