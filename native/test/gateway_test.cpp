// The gateway's loop between two ports that are memory, with other threads that ask it things.
#include "gateway/gateway.h"

#include <sys/eventfd.h>
#include <unistd.h>

#include <chrono>
#include <deque>

#include "test/support.h"

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

  const uint8_t* hardwareAddress() const override { return kInsideMac.data(); }
  uint32_t mtu() const override { return 1500; }
  int descriptor() const override { return ready_; }
  uint8_t* memory() const override { return const_cast<uint8_t*>(memory_.data()); }
  size_t memorySize() const override { return memory_.size(); }
  uint32_t receive(Frame* frames, uint32_t most) override {
    const std::lock_guard lock(mutex_);
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
      box.inside->deliver(framed(kInsideMac, kHostMac, udp(kHost, {ip(203, 0, 113, 77), 53})));
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
