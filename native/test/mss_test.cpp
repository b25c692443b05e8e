// MSS clamping: what `clampMss` does to SYNs, by both paths (batch_test.cpp compares the same).
#include "packet/tcp_options.h"
#include "test/support.h"

using namespace napt;
using namespace napt::test;

namespace {

constexpr uint16_t kMost = 1360;
const Bytes kMss{2, 4, 0x05, 0xb4};

/// A segment with options, a multiple of four bytes of them.
Bytes withOptions(uint8_t flags, const Bytes& options, size_t payload = 0) {
  Bytes packet = tcp(kInside, kRemote, flags, 1000, 0, payload);
  packet.insert(packet.begin() + kIpHeader + kTcpHeader, options.begin(), options.end());
  packet[kIpHeader + 12] = static_cast<uint8_t>((kTcpHeader + options.size()) / 4 << 4);
  store16be(&packet[kIpTotal], static_cast<uint16_t>(packet.size()));
  seal(packet);
  return packet;
}

/// Clamps a copy of which `here` bytes are there, in memory of just that size.
Bytes clamped(const Bytes& packet, size_t here, bool partial = false) {
  Bytes copy(packet.begin(), packet.begin() + static_cast<std::ptrdiff_t>(here));
  copy.shrink_to_fit();
  const auto size = static_cast<uint32_t>(copy.size());
  const PacketView view{copy.data(), size, static_cast<uint32_t>(packet.size()), partial};
  const Parsed parsed = parse(view, false, Protocols::traditional());
  if (parsed.kind == Kind::Flow) clampMss(view, parsed, kMost);
  return copy;
}
Bytes clamped(const Bytes& packet) { return clamped(packet, packet.size()); }

}  // namespace

TEST_CASE("mss: lowered wherever it lies, with a checksum that is right") {
  for (const uint8_t flags : {uint8_t{kSyn}, static_cast<uint8_t>(kSyn | kAck)}) {
    for (uint32_t before = 0; before <= 36; before++) {
      CAPTURE(before);
      Bytes options(before, 1);
      options.insert(options.end(), {2, 4, 0xfe, 0xdc});
      options.resize((options.size() + 3) / 4 * 4);
      const Bytes syn = withOptions(flags, options, 3);
      const Bytes out = clamped(syn);
      CHECK(load16be(&out[kIpHeader + kTcpHeader + before + 2]) == kMost);
      CHECK(isSound(out));
      // Nothing but the option and the checksum.
      Bytes again = out;
      store16be(&again[kIpHeader + kTcpHeader + before + 2], 0xfedc);
      seal(again);
      CHECK(again == syn);
    }
  }
}

TEST_CASE("mss: a wrong checksum stays as wrong") {
  const auto error = [](const Bytes& packet) {
    Bytes right = packet;
    seal(right);
    const auto field = [](const Bytes& p) { return load16be(&p[kIpHeader + kTcpChecksum]); };
    return (field(packet) + 0xffffu - field(right)) % 0xffff;
  };
  Bytes syn = withOptions(kSyn, kMss);
  syn[kIpHeader + kTcpChecksum] ^= 0x40;
  const Bytes out = clamped(syn);
  CHECK(load16be(&out[kIpHeader + kTcpHeader + 2]) == kMost);
  CHECK(error(syn) != 0);
  CHECK(error(out) == error(syn));
}

TEST_CASE("mss: a partial checksum is of the pseudo-header alone") {
  const Bytes syn = withOptions(kSyn, kMss);
  const Bytes out = clamped(syn, syn.size(), true);
  Bytes expected = syn;
  store16be(&expected[kIpHeader + kTcpHeader + 2], kMost);
  CHECK(out == expected);
}

TEST_CASE("mss: what fits, or is no SYN's option, stays") {
  const Bytes lists[] = {
      {},
      {2, 4, 0x05, 0x50},                 // 1360
      {2, 4, 0, 0},                       // nothing
      {253, 4, 0xff, 0xff},               // another option
      {2, 3, 0xff, 0xff},                 // of another length
      {2, 5, 0xff, 0xff, 0xff, 0, 0, 0},  // of another length
      {0, 2, 4, 0xff, 0xff, 0, 0, 0},     // behind the end
      {3, 0, 2, 4, 0xff, 0xff, 0, 0},     // behind what makes no sense
      {3, 1, 2, 4, 0xff, 0xff, 0, 0},
      {1, 1, 2, 4},  // cut by the header's end
      {1, 1, 1, 2},  // and so its length
      {4, 9, 2, 4},  // beyond the header's end
      {5, 255, 2, 4},
  };
  for (const Bytes& options : lists) {
    const Bytes syn = withOptions(kSyn, options, 8);
    CHECK(clamped(syn) == syn);
  }
  const Bytes data = withOptions(kAck, kMss, 8);
  CHECK(clamped(data) == data);
  Bytes other = udp(kInside, kRemote, 40);
  other[kIpHeader + 12] = 0x60;
  other[kIpHeader + kTcpFlags] = kSyn;
  other[kIpHeader + kTcpHeader] = 2;
  other[kIpHeader + kTcpHeader + 1] = 4;
  other[kIpHeader + kTcpHeader + 2] = 0xff;
  CHECK(clamped(other) == other);
}

TEST_CASE("mss: every one that is offered, as a receiver may take any") {
  const Bytes out = clamped(withOptions(kSyn, {2, 4, 0x05, 0xb4, 2, 4, 0xff, 0xff}));
  CHECK(load16be(&out[kIpHeader + kTcpHeader + 2]) == kMost);
  CHECK(load16be(&out[kIpHeader + kTcpHeader + 6]) == kMost);
  CHECK(isSound(out));
}

TEST_CASE("mss: cut anywhere, it changes when it is whole and nothing else is read") {
  const Bytes syn = withOptions(kSyn, {1, 1, 2, 4, 0xff, 0xff, 3, 3, 7, 0, 0, 0}, 4);
  constexpr size_t kEnd = kIpHeader + kTcpHeader + 6;
  for (size_t here = 0; here <= syn.size(); here++) {
    CAPTURE(here);
    const Bytes out = clamped(syn, here);
    const bool whole = here >= kEnd;
    if (whole) CHECK(load16be(&out[kEnd - 2]) == kMost);
    if (!whole) CHECK(std::equal(out.begin(), out.end(), syn.begin()));
  }
}

TEST_CASE("mss: a header longer than its segment is none, unless the rest of it comes later") {
  Bytes syn = withOptions(kSyn, {2, 4, 0xff, 0xff, 1, 1, 1, 1});
  store16be(&syn[kIpTotal], static_cast<uint16_t>(syn.size() - 4));
  sealHeader(syn);
  CHECK(clamped(syn) == syn);
  store16be(&syn[kIpFragment], 0x2000);
  sealHeader(syn);
  CHECK(load16be(&clamped(syn)[kIpHeader + kTcpHeader + 2]) == kMost);
}

TEST_CASE("mss: the smaller of the MTUs that are known, less 40") {
  const auto after = [](uint32_t inside, uint32_t outside, bool on) {
    Config c = config();
    c.insideMtu = inside;
    c.outsideMtu = outside;
    c.clampMss = on;
    auto slow = make(c), fast = make(c);
    Bytes a = withOptions(kSyn, {2, 4, 0xff, 0xff}), b = a;
    const auto size = static_cast<uint32_t>(a.size());
    REQUIRE(slow->translateSlowly({a.data(), size, size, false}, 1, 0).verdict ==
            Verdict::Forwarded);
    REQUIRE(run(*fast, b).verdict == Verdict::Forwarded);
    REQUIRE(a == b);
    REQUIRE(isSound(a));
    return load16be(&a[kIpHeader + kTcpHeader + 2]);
  };
  CHECK(after(1500, 1400, true) == 1360);
  CHECK(after(1400, 1500, true) == 1360);
  CHECK(after(1492, 0, true) == 1452);
  CHECK(after(0, 576, true) == 536);
  CHECK(after(0, 0, true) == 0xffff);
  CHECK(after(1500, 1400, false) == 0xffff);
  CHECK(after(0, 68, true) == 28);
  CHECK(after(0, 65535, true) == 65495);
}

TEST_CASE("mss: a SYN that is dropped keeps it") {
  Config c = config();
  c.outsideMtu = 1400;
  c.clampMss = true;
  c.sessionLimit = 1;
  auto nat = make(c);
  REQUIRE(send(*nat, udp(kNeighbour, kRemote)).verdict == Verdict::Forwarded);
  Bytes syn = withOptions(kSyn, kMss);
  const Bytes before = syn;
  REQUIRE(run(*nat, syn).verdict == Verdict::Dropped);
  CHECK(syn == before);
}

TEST_CASE("mss: of a SYN that is cut to pieces, and of one that an ALG watches") {
  Config c = config();
  c.outsideMtu = 68;
  c.clampMss = true;
  auto nat = make(c);
  Bytes syn = fragmentable(withOptions(kSyn, {2, 4, 0xff, 0xff}, 60), 7);
  REQUIRE(run(*nat, syn).verdict == Verdict::Held);
  bool first = true;
  nat->take([&](const StoredPacket&, const uint8_t* bytes) {
    if (first) CHECK(load16be(bytes + kIpHeader + kTcpHeader + 2) == 28);
    first = false;
  });
  CHECK(!first);

  c.outsideMtu = 1400;
  c.ftp = true;
  auto watching = make(c);
  Bytes control = withOptions(kSyn, kMss);
  store16be(&control[kIpHeader + 2], 21);
  seal(control);
  REQUIRE(run(*watching, control).verdict == Verdict::Forwarded);
  CHECK(load16be(&control[kIpHeader + kTcpHeader + 2]) == kMost);
  CHECK(isSound(control));
}
