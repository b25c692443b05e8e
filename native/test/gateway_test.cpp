// The gateway's loop between two ports that are memory, with other threads that ask it things.
#include "gateway/gateway.h"

#include <sys/eventfd.h>
#include <unistd.h>

#include <chrono>
#include <deque>

#include "test/tap_reader.h"

using namespace napt;
using namespace napt::test;

namespace {

constexpr uint32_t kSlot = 2048, kSlots = 64;
constexpr Mac kInsideMac{2, 0, 0, 0, 1, 1}, kOutsideMac{2, 0, 0, 0, 2, 1};
constexpr Mac kHostMac{2, 0, 0, 0, 1, 9}, kRemoteMac{2, 0, 0, 0, 2, 9};
constexpr uint32_t kGateway = ip(192, 168, 226, 2), kServer = ip(203, 0, 113, 9);

/// What the world puts on a port, and what comes out of it.
class MemoryPort final : public Port {
 public:
  MemoryPort() : memory_(size_t{kSlot} * kSlots), ready_(eventfd(0, EFD_SEMAPHORE)) {}
  ~MemoryPort() override { close(ready_); }

  void deliver(Bytes frame) {
    const std::lock_guard lock(mutex_);
    arriving_.push_back(std::move(frame));
    eventfd_write(ready_, 1);
  }
  std::vector<Bytes> taken() {
    const std::lock_guard lock(mutex_);
    return left_;
  }
  size_t count() {
    const std::lock_guard lock(mutex_);
    return left_.size();
  }
  /// How often frames were asked for.
  size_t looks() {
    const std::lock_guard lock(mutex_);
    return looks_;
  }

  const uint8_t* hardwareAddress() const override { return kInsideMac.data(); }
  uint32_t mtu() const override { return 1500; }
  int descriptor() const override { return ready_; }
  uint8_t* memory() const override { return const_cast<uint8_t*>(memory_.data()); }
  size_t memorySize() const override { return memory_.size(); }
  uint32_t receive(Frame* frames, uint32_t most) override {
    const std::lock_guard lock(mutex_);
    looks_++;
    uint32_t n = 0;
    for (; n < std::min(most, kSlots) && !arriving_.empty(); n++) {
      const Bytes& frame = arriving_.front();
      frames[n] = {memory() + size_t{n} * kSlot, static_cast<uint32_t>(frame.size()), {}};
      std::memcpy(frames[n].data, frame.data(), frame.size());
      arriving_.pop_front();
      eventfd_t one = 0;
      eventfd_read(ready_, &one);
    }
    counters_.received.add(n);
    return n;
  }
  void release() override {}
  void send(const Frame& frame) override {
    const std::lock_guard lock(mutex_);
    left_.emplace_back(frame.data, frame.data + frame.length);
    counters_.sent.add(1);
  }
  void flush() override {}
  void recover() override {}
  const PortCounters& counters() override { return counters_; }

 private:
  std::mutex mutex_;
  std::deque<Bytes> arriving_;
  std::vector<Bytes> left_;
  size_t looks_ = 0;
  std::vector<uint8_t> memory_;
  const int ready_;
  PortCounters counters_;
};

Bytes framed(const Mac& to, const Mac& from, const Bytes& packet, uint16_t type = kEtherIpv4) {
  Bytes frame(kEthernetHeader);
  address(frame.data(), to, from);
  store16be(frame.data() + kEtherType, type);
  frame.insert(frame.end(), packet.begin(), packet.end());
  return frame;
}

Bytes packetOf(const Bytes& frame) { return {frame.begin() + kEthernetHeader, frame.end()}; }

/// Waits for what another thread does; there is no clock that would make it fail.
template <class Is>
void until(Is is) {
  while (!is()) std::this_thread::sleep_for(std::chrono::milliseconds(1));
}

struct Box {
  std::unique_ptr<Translator> nat = make(config());
  std::shared_ptr<SharedTranslator> shared = std::make_shared<SharedTranslator>();
  MemoryPort *inside = nullptr, *outside = nullptr;
  std::atomic<uint32_t> woken = 0;
  std::unique_ptr<Gateway> gateway;

  Box() {
    shared->nat = nat.get();
    auto in = std::make_unique<MemoryPort>(), out = std::make_unique<MemoryPort>();
    inside = in.get();
    outside = out.get();
    constexpr uint32_t kMask = ip(255, 255, 255, 0);
    gateway = std::make_unique<Gateway>(
        shared, monotonic(),
        Joined{{kGateway, kGateway & kMask, kMask, 0, kInsideMac}, std::move(in)},
        Joined{{0, kPublic & kMask, kMask, kServer, kOutsideMac}, std::move(out)},
        GatewayHooks{[this] { woken++; }, [] {}});
    gateway->setNeighbour(GatewaySide::kInside, ip(192, 168, 226, 135), kHostMac);
    gateway->setNeighbour(GatewaySide::kOutside, kServer, kRemoteMac);
    gateway->start();
  }
};

const End kHost{ip(192, 168, 226, 135), 4000}, kService{kServer, 53};

}  // namespace

TEST_CASE("gateway: busy polling looks for frames without any to wake it, and translates") {
  Box box;
  box.gateway->setBusyPoll(true);
  // A thread that sleeps between would look ten times a second.
  until([&] { return box.inside->looks() > 2000; });
  box.inside->deliver(framed(kInsideMac, kHostMac, udp(kHost, kService)));
  until([&] { return box.outside->count() == 1; });
}

TEST_CASE("gateway: packets go to their next hop, translated, and answers come back") {
  Box box;
  box.inside->deliver(framed(kInsideMac, kHostMac, udp(kHost, kService)));
  until([&] { return box.outside->count() == 1; });
  const Bytes out = box.outside->taken().at(0);
  CHECK(isFor(out.data(), kRemoteMac));
  CHECK(std::equal(kOutsideMac.begin(), kOutsideMac.end(), out.begin() + 6));
  const End mapping = sourceOf(packetOf(out));
  CHECK(mapping.address == kPublic);
  CHECK(isSound(packetOf(out)));

  box.outside->deliver(framed(kOutsideMac, kRemoteMac, udp(kService, mapping)));
  until([&] { return box.inside->count() == 1; });
  const Bytes in = box.inside->taken().at(0);
  CHECK(isFor(in.data(), kHostMac));
  CHECK((destinationOf(packetOf(in)) == kHost));

  // By the router, as it lies beyond.
  box.inside->deliver(framed(kInsideMac, kHostMac, udp(kHost, kRemote)));
  until([&] { return box.outside->count() == 2; });
  CHECK(isFor(box.outside->taken().at(1).data(), kRemoteMac));
}

TEST_CASE("gateway: what is for TypeScript is punted, what is for others is left alone") {
  Box box;
  box.inside->deliver(framed({2, 9, 9, 9, 9, 9}, kHostMac, udp(kHost, kService)));
  box.inside->deliver(framed(kInsideMac, kHostMac, Bytes(28), kEtherArp));
  box.inside->deliver(framed(kInsideMac, kHostMac, udp(kHost, {kGateway, 67})));
  const End unknown{ip(203, 0, 113, 77), 53};
  box.inside->deliver(framed(kInsideMac, kHostMac, udp(kHost, unknown)));
  std::vector<Punt> punts;
  until([&] {
    for (Punt& punt : box.gateway->takePunts()) punts.push_back(std::move(punt));
    return punts.size() == 3;
  });
  CHECK(box.woken >= 1);
  CHECK(load16be(punts[0].frame.data() + kEtherType) == kEtherArp);
  CHECK((destinationOf(packetOf(punts[1].frame)) == End{kGateway, 67}));
  CHECK((punts[2].side == GatewaySide::kOutside && punts[2].hop == unknown.address));
  CHECK(sourceOf(packetOf(punts[2].frame)).address == kPublic);
  CHECK(box.gateway->counters().foreign.get() == 1);
  CHECK(box.outside->count() == 0);
}

TEST_CASE("gateway: one host that asks without end leaves the others room; so does one hop") {
  Box box;
  constexpr uint32_t kFlood = 1000;
  const End other{ip(192, 168, 226, 136), 4000}, unknown{ip(203, 0, 113, 77), 53};
  for (uint32_t i = 0; i < kFlood; i++) {
    box.inside->deliver(framed(kInsideMac, kHostMac, udp(kHost, {kGateway, 53})));
    box.inside->deliver(framed(kInsideMac, kHostMac, udp(kHost, unknown)));
  }
  box.inside->deliver(framed(kInsideMac, kHostMac, udp(other, {kGateway, 53})));
  Bytes arp(28);
  store(arp.data() + 14, ip(192, 168, 226, 137));
  box.inside->deliver(framed(kInsideMac, kHostMac, arp, kEtherArp));
  until([&] { return box.inside->counters().received.get() == 2 * kFlood + 2; });
  box.gateway->stop();
  const std::vector<Punt> punts = box.gateway->takePunts();
  REQUIRE(punts.size() == 2 * Punts::kShare + 2);
  CHECK(sourceOf(packetOf(punts[2 * Punts::kShare].frame)).address == other.address);
  CHECK(load16be(punts.back().frame.data() + kEtherType) == kEtherArp);
  CHECK(box.gateway->counters().punted.get() == punts.size());
  CHECK(box.gateway->counters().puntsLost.get() == 2 * kFlood + 2 - punts.size());
}

TEST_CASE(
    "gateway: who asks is known by the packet's source, or by ARP's; room once taken is room") {
  Punts punts;
  const auto add = [&](const Bytes& packet, uint16_t type, uint32_t hop = 0) {
    Bytes bytes = framed(kInsideMac, kHostMac, packet, type);
    return punts.add(GatewaySide::kInside, hop,
                     {bytes.data(), static_cast<uint32_t>(bytes.size()), {}});
  };
  const auto arp = [](uint32_t sender) {
    Bytes packet(28, 0xff);
    store(packet.data() + 14, sender);
    return packet;
  };
  for (int round = 0; round < 2; round++) {
    CHECK(add(arp(kHost.address), kEtherArp) == Punts::kFirst);
    for (uint32_t i = 1; i < Punts::kShare; i++) {
      CHECK(add(arp(kHost.address), kEtherArp) == Punts::kMore);
    }
    CHECK(add(arp(kHost.address), kEtherArp) == Punts::kFull);
    CHECK(add(udp(kHost, {kGateway, 53}), kEtherIpv4) == Punts::kFull);
    CHECK(add(arp(kHost.address + ip(0, 0, 0, 1)), kEtherArp) == Punts::kMore);
    CHECK(add(udp(kHost, {kGateway, 53}), kEtherIpv4, kServer) == Punts::kMore);
    CHECK(add(Bytes(17), kEtherArp) == Punts::kMore);
    CHECK(punts.take().size() == Punts::kShare + 3);
  }
  // Whose address is cut off is nobody, whatever lies behind.
  for (uint32_t i = 0; i <= Punts::kShare; i++) {
    Bytes bytes = framed(kInsideMac, kHostMac, arp(ip(10, 0, 0, uint8_t(i))), kEtherArp);
    const auto added = punts.add(GatewaySide::kInside, 0, {bytes.data(), kEthernetHeader + 17, {}});
    CHECK((added == Punts::kFull) == (i == Punts::kShare));
  }
  punts.take();
  for (uint32_t i = 0; i < Punts::kMost; i++)
    CHECK(add(arp(ip(10, 0, 0, uint8_t(i))), kEtherArp) != Punts::kFull);
  CHECK(add(arp(ip(10, 0, 1, 1)), kEtherArp) == Punts::kFull);
}

TEST_CASE("gateway: its counters, neighbours and punts are anybody's at any time") {
  Box box;
  constexpr uint32_t kFrames = 2000;
  std::atomic<bool> done = false;
  std::thread asks([&] {
    Bytes own = framed(kHostMac, kInsideMac, Bytes(46), kEtherArp);
    while (!done) {
      box.gateway->setNeighbour(GatewaySide::kOutside, ip(203, 0, 113, 77), kRemoteMac);
      box.gateway->forgetNeighbour(GatewaySide::kOutside, ip(203, 0, 113, 77));
      box.gateway->setMtu(GatewaySide::kOutside, 1400);
      box.gateway->inject(GatewaySide::kInside, {own.data(), static_cast<uint32_t>(own.size()), {}},
                          false);
      static_cast<void>(box.gateway->counters().burstTime[GatewaySide::kInside].sum());
      box.gateway->takePunts();
      TapReader seen;
      box.shared->taps.close(box.shared->taps.open(std::move(seen.tap)));
      while (seen.next())
        ;
      const std::lock_guard lock(box.shared->mutex);
      SessionCensus census{};
      box.nat->countSessions(0, census);
    }
  });
  for (uint32_t i = 0; i < kFrames; i++) {
    box.inside->deliver(
        framed(kInsideMac, kHostMac,
               udp({kHost.address, static_cast<uint16_t>(4000 + i % 50)}, kService)));
    if (i % 10 == 0) {
      const uint32_t hop = ip(203, 0, 113, 77) + i / 10 % 4;
      box.inside->deliver(framed(kInsideMac, kHostMac, udp(kHost, {hop, 53})));
    }
  }
  until([&] { return box.inside->counters().received.get() == kFrames * 11 / 10; });
  until([&] { return box.outside->count() >= kFrames; });
  done = true;
  asks.join();
  box.gateway->stop();
  const auto& frames = box.gateway->counters().burstFrames[GatewaySide::kInside];
  CHECK(frames.sum() == kFrames * 11 / 10);
  CHECK(box.gateway->counters().puntsLost.get() == 0);
}

TEST_CASE("gateway: taps are shown frames as they came and as they left, and what became of them") {
  Box box;
  CHECK(box.shared->taps.isLive);
  TapReader all, drops({{true, true}, true, false, 40});
  box.shared->taps.open(std::move(all.tap));
  box.shared->taps.open(std::move(drops.tap));
  std::vector<std::pair<TapRecord, Bytes>> seen;
  const auto waitFor = [&](size_t count) {
    until([&] {
      while (all.next()) seen.emplace_back(all.record, all.bytes);
      return seen.size() >= count;
    });
    REQUIRE(seen.size() == count);
  };
  const auto isSeen = [&](size_t i, TapSide side, bool left, TapKind kind, const Bytes& frame) {
    const TapRecord& r = seen.at(i).first;
    CHECK(r.side == side);
    CHECK((r.left != 0) == left);
    CHECK(r.kind == kind);
    CHECK(r.link == TapLink::Ethernet);
    CHECK(r.wall == 1);
    CHECK(r.time > uint64_t{1'700'000'000} * kSecond);
    CHECK(r.length == frame.size());
    CHECK(seen[i].second == frame);
  };
  const auto verdictOf = [&](size_t i) {
    return static_cast<Verdict>(seen[i].first.result & 0xff);
  };

  const Bytes out = framed(kInsideMac, kHostMac, udp(kHost, kService));
  box.inside->deliver(out);
  waitFor(2);
  isSeen(0, kTapInside, false, TapKind::Translated, out);
  isSeen(1, kTapOutside, true, TapKind::Translated, box.outside->taken().at(0));
  for (const size_t i : {0u, 1u}) {
    CHECK(verdictOf(i) == Verdict::Forwarded);
    CHECK(seen[i].first.session.protocol == kUdp);
    CHECK(seen[i].first.session.inside == kHost.address);
    CHECK(seen[i].first.session.remote == kServer);
  }

  const Bytes stray = framed(kOutsideMac, kRemoteMac, udp(kService, {kPublic, 9}));
  box.outside->deliver(stray);
  waitFor(3);
  isSeen(2, kTapOutside, false, TapKind::Translated, stray);
  CHECK(verdictOf(2) == Verdict::Dropped);
  CHECK(seen[2].first.session.protocol == 0);

  // Its next hop is not known yet: it leaves when TypeScript sends it.
  const Bytes early = framed(kInsideMac, kHostMac, udp(kHost, {ip(203, 0, 113, 77), 53}));
  box.inside->deliver(early);
  waitFor(4);
  isSeen(3, kTapInside, false, TapKind::Translated, early);
  Bytes waited = early, own = framed(kHostMac, kInsideMac, Bytes(46), kEtherArp);
  box.gateway->inject(GatewaySide::kOutside,
                      {waited.data(), static_cast<uint32_t>(waited.size()), {}}, false,
                      TapKind::Delayed);
  waitFor(5);
  isSeen(4, kTapOutside, true, TapKind::Delayed, waited);

  box.inside->deliver(framed(kInsideMac, kHostMac, Bytes(46), kEtherArp));
  waitFor(6);
  isSeen(5, kTapInside, false, TapKind::Own, framed(kInsideMac, kHostMac, Bytes(46), kEtherArp));
  box.gateway->inject(GatewaySide::kInside, {own.data(), static_cast<uint32_t>(own.size()), {}},
                      false);
  waitFor(7);
  isSeen(6, kTapInside, true, TapKind::Own, own);

  // By its next hop, and to none.
  Bytes routed = framed(kHostMac, kInsideMac, udp(kService, kHost));
  box.gateway->inject(GatewaySide::kInside,
                      {routed.data(), static_cast<uint32_t>(routed.size()), {}}, true);
  waitFor(8);
  isSeen(7, kTapInside, true, TapKind::Own, routed);
  Bytes nowhere = framed(kHostMac, kInsideMac, udp(kService, kRemote));
  box.gateway->inject(GatewaySide::kInside,
                      {nowhere.data(), static_cast<uint32_t>(nowhere.size()), {}}, true);
  until([&] { return box.gateway->counters().unroutable.get() == 1; });

  REQUIRE(drops.next());
  CHECK(drops.bytes == Bytes(stray.begin(), stray.begin() + 40));
  CHECK(drops.record.length == stray.size());
  CHECK(!drops.next());
  box.gateway.reset();
  CHECK(!box.shared->taps.isLive);
  while (all.next()) seen.emplace_back(all.record, all.bytes);
  CHECK(seen.size() == 8);
}

TEST_CASE("gateway: taps are shown what the NAT puts out itself, and hairpinned packets inside") {
  Box box;
  {
    const std::lock_guard lock(box.shared->mutex);
    Config c = config();
    c.icmpErrors = true;
    setAll(c.policies[0].filtering, Behaviour::EndpointIndependent);
    box.nat = make(c);
    box.shared->nat = box.nat.get();
  }
  TapReader all;
  box.shared->taps.open(std::move(all.tap));
  std::vector<TapRecord> seen;
  const auto waitFor = [&](size_t count) {
    until([&] {
      while (all.next()) seen.push_back(all.record);
      return seen.size() >= count;
    });
    REQUIRE(seen.size() == count);
  };
  Bytes dying = udp(kHost, kService);
  dying[kIpTtl] = 1;
  seal(dying);
  box.inside->deliver(framed(kInsideMac, kHostMac, dying));
  waitFor(2);
  CHECK(seen[1].kind == TapKind::Originated);
  CHECK(seen[1].side == kTapInside);
  CHECK(seen[1].left == 1);

  box.inside->deliver(framed(kInsideMac, kHostMac, udp(kHost, kService)));
  until([&] { return box.outside->count() == 1; });
  const End mapping = sourceOf(packetOf(box.outside->taken().at(0)));
  box.inside->deliver(framed(kInsideMac, kHostMac, udp({kHost.address, 5000}, mapping)));
  waitFor(6);
  CHECK(seen[4].side == kTapInside);
  CHECK(seen[4].left == 0);
  CHECK(seen[5].side == kTapInside);
  CHECK(seen[5].left == 1);
}
