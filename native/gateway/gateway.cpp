#include "gateway/gateway.h"

#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "nat/batch.h"

namespace napt {

namespace {
/// How often expiry is looked after when traffic does not.
constexpr uint64_t kTidyEvery = 100 * kMillisecond;

GatewaySide otherOf(GatewaySide side) { return side == kInside ? kOutside : kInside; }

uint32_t destinationOf(const Frame& frame) {
  return load<uint32_t>(frame.data + kEthernetHeader + kIpDestination);
}

/// The largest of the packets that a super-packet is cut into when it leaves; 0 when it is none, or
/// of a kind that is not known.
uint32_t segmentOf(const Frame& frame) {
  if (frame.offload.gsoType == 0) return 0;
  const uint8_t* ip = frame.data + kEthernetHeader;
  const uint32_t here = frame.length - kEthernetHeader, header = (ip[0] & 15u) * 4;
  const bool tcp = ip[kIpProtocol] == kTcp;
  if (!tcp && ip[kIpProtocol] != kUdp) return 0;
  if (here < header + (tcp ? kTcpHeader : kUdpHeader)) return 0;
  return header + (tcp ? (ip[header + 12] >> 4) * 4u : kUdpHeader) + frame.offload.gsoSize;
}
}  // namespace

Gateway::Gateway(std::shared_ptr<SharedTranslator> shared, uint64_t clock, Joined inside,
                 Joined outside, GatewayHooks hooks)
    : shared_(std::move(shared)),
      clock_(clock),
      sides_{std::move(inside), std::move(outside)},
      hooks_(std::move(hooks)),
      wake_(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
  shared_->taps.isLive = true;
}

Gateway::~Gateway() {
  stop();
  shared_->taps.isLive = false;
  if (wake_ >= 0) close(wake_);
}

void Gateway::start() {
  thread_ = std::thread([this] { run(); });
}

void Gateway::stop() {
  if (!thread_.joinable()) return;
  stopping_ = true;
  eventfd_write(wake_, 1);
  thread_.join();
}

void Gateway::run() {
  while (!stopping_.load(std::memory_order_relaxed)) {
    const uint32_t done = pump(kInside) + pump(kOutside);
    if (now() - tidied_ >= kTidyEvery) tidy();
    if (hasInjected_.load(std::memory_order_acquire)) sendInjected();
    if (done == 0) waitForFrames();
  }
}

void Gateway::waitForFrames() {
  pollfd waits[] = {{sides_[kInside].port->descriptor(), POLLIN, 0},
                    {sides_[kOutside].port->descriptor(), POLLIN, 0},
                    {wake_, POLLIN, 0}};
  poll(waits, 3, busyPoll_ ? 0 : static_cast<int>(kTidyEvery / kMillisecond));
  if (waits[2].revents != 0) {
    eventfd_t woken = 0;
    eventfd_read(wake_, &woken);
  }
  for (const GatewaySide side : {kInside, kOutside}) {
    if ((waits[side].revents & (POLLERR | POLLHUP | POLLNVAL)) == 0) continue;
    sides_[side].port->recover();
    // What stays broken must not keep a core busy.
    timespec pause{0, 10 * kMillisecond};
    nanosleep(&pause, nullptr);
  }
}

/// Handles a burst that came in on a side; how many frames it had.
uint32_t Gateway::pump(GatewaySide from) {
  Port& port = *sides_[from].port;
  Frame received[kBurst];
  const uint32_t all = port.receive(received, kBurst);
  if (all == 0) return 0;
  const uint64_t begun = monotonic();
  lookForTaps();
  count_ = 0;
  for (uint32_t i = 0; i < all; i++) {
    if (admit(from, received[i])) frames_[count_++] = received[i];
  }
  if (count_ != 0) {
    translate(from);
    dispatch();
  }
  sides_[otherOf(from)].port->flush();
  port.flush();
  counters_.burstFrames[from].add(all);
  counters_.burstTime[from].add(monotonic() - begun);
  if (tapped_) showBurst(from);
  emitted_.clear();
  port.release();
  return all;
}

/// Whether a frame has a packet for the translator.
bool Gateway::admit(GatewaySide from, const Frame& frame) {
  const Network& network = sides_[from].network;
  const bool whole = frame.length >= kEthernetHeader;
  const uint16_t type = whole ? load16be(frame.data + kEtherType) : uint16_t{0};
  const bool ours = whole && isFor(frame.data, network.mac);
  if (type == kEtherArp && (ours || isGroup(frame.data))) {
    punt(from, 0, frame);
    return false;
  }
  if (type != kEtherIpv4 || frame.length < kEthernetHeader + kIpHeader) {
    counters_.foreign.add(1);
    return false;
  }
  const uint32_t destination = destinationOf(frame);
  const bool local = ours && destination == network.local && destination != 0;
  const bool toAll = isGroup(frame.data) && destination == 0xffffffff;
  if (local || toAll) {
    punt(from, 0, frame);
    return false;
  }
  if (!ours) counters_.foreign.add(1);
  return ours;
}

void Gateway::translate(GatewaySide from) {
  Port& port = *sides_[from].port;
  const uint32_t mtu = mtus_[otherOf(from)].load(std::memory_order_relaxed);
  for (uint32_t i = 0; i < count_; i++) {
    const Frame& frame = frames_[i];
    const bool partial = (frame.offload.flags & Offload::kNeedsChecksum) != 0;
    // Whose segments are too long is too long itself, so that its sender is told.
    const uint32_t segment = segmentOf(frame);
    const bool fits = segment != 0 && (mtu == 0 || segment <= mtu);
    Descriptor& d = descriptors_[i];
    d = {};
    d.offset = static_cast<uint32_t>(frame.data + kEthernetHeader - port.memory());
    d.length = frame.length - kEthernetHeader;
    d.flags = (partial ? kPartialChecksum : 0u) | (fits ? kSegmented : 0u) |
              (from == kOutside ? kFromOutside : 0u);
  }
  if (tapped_) keepForTaps(from);
  const std::lock_guard lock(shared_->mutex);
  if (shared_->nat == nullptr) {
    count_ = 0;
    return;
  }
  Translator& nat = *shared_->nat;
  nat.translateBatch(descriptors_, count_, port.memory(), port.memorySize(), now());
  if (tapped_) tapBurst_.meet(nat, descriptors_, count_);
  if (nat.pending() != 0) collect(nat);
}

/// Takes what the translator puts out itself: fragments, errors of its own.
void Gateway::collect(Translator& nat) {
  nat.take([this](const StoredPacket& packet, const uint8_t* bytes) {
    if (packet.origin == Origin::Discarded) return;
    Made& made = emitted_.emplace_back();
    made.to = packet.toInside ? kInside : kOutside;
    made.kind = tapKindOf(packet, bytes);
    made.bytes.resize(kEthernetHeader + packet.length);
    store16be(made.bytes.data() + kEtherType, kEtherIpv4);
    std::memcpy(made.bytes.data() + kEthernetHeader, bytes, packet.length);
  });
}

void Gateway::dispatch() {
  const std::lock_guard lock(neighboursMutex_);
  sent_ = 0;
  for (uint32_t i = 0; i < count_; i++) {
    const uint32_t verdict = descriptors_[i].verdict;
    const auto kind = static_cast<Verdict>(verdict & 0xff);
    const auto direction = static_cast<Direction>(verdict >> 8 & 0xff);
    if (kind != Verdict::Forwarded && kind != Verdict::Passed) continue;
    if (direction == Direction::None) continue;  // passed within the network that it came from
    const GatewaySide to = direction == Direction::Outbound ? kOutside : kInside;
    sent_ |= uint64_t{transmit(to, frames_[i])} << i;
  }
  for (Made& made : emitted_) made.sent = transmit(made.to, made.frame());
}

/// Sends a translated packet to its next hop; whether there is one that is known.
bool Gateway::transmit(GatewaySide to, const Frame& frame) {
  const Network& network = sides_[to].network;
  const uint32_t hop = network.nextHop(destinationOf(frame));
  if (hop == 0) {
    counters_.unroutable.add(1);
    return false;
  }
  const Mac* mac = neighbours_[to].find(hop);
  if (mac == nullptr) {
    punt(to, hop, frame);
    return false;
  }
  address(frame.data, *mac, network.mac);
  sides_[to].port->send(frame);
  return true;
}

/// Ends what is due where no traffic pays for it, and sends what time has brought out.
void Gateway::tidy() {
  constexpr uint32_t kBudget = 4096;
  tidied_ = now();
  if (links_.changed()) hooks_.links();
  count_ = 0;
  {
    const std::lock_guard lock(shared_->mutex);
    if (shared_->nat == nullptr) return;
    shared_->nat->sweep(tidied_, kBudget);
    if (shared_->nat->pending() != 0) collect(*shared_->nat);
  }
  if (emitted_.empty()) return;
  lookForTaps();
  dispatch();
  for (Joined& side : sides_) side.port->flush();
  if (tapped_) showBurst(kInside);
  emitted_.clear();
}

void Gateway::inject(GatewaySide side, const Frame& frame, bool route, TapKind kind) {
  {
    const std::lock_guard lock(injectedMutex_);
    injected_.push_back(
        {side, route, frame.offload, kind, true, {frame.data, frame.data + frame.length}});
  }
  if (!hasInjected_.exchange(true, std::memory_order_release)) eventfd_write(wake_, 1);
}

void Gateway::sendInjected() {
  std::vector<Made> made;
  {
    const std::lock_guard lock(injectedMutex_);
    hasInjected_.store(false, std::memory_order_relaxed);
    made.swap(injected_);
  }
  {
    const std::lock_guard lock(neighboursMutex_);
    for (Made& one : made) {
      if (one.route) {
        one.sent = transmit(one.to, one.frame());
      } else {
        sides_[one.to].port->send(one.frame());
      }
    }
  }
  for (Joined& side : sides_) side.port->flush();
  lookForTaps();
  if (tapped_) showMade(made);
}

void Gateway::punt(GatewaySide side, uint32_t hop, const Frame& frame) {
  if (tapped_ && hop == 0) {
    shared_->taps.show(tapBurst_.demand(),
                       [&](auto&& show) { show(sighted(side, false, TapKind::Own, frame)); });
  }
  const Punts::Added added = punts_.add(side, hop, frame);
  (added == Punts::kFull ? counters_.puntsLost : counters_.punted).add(1);
  if (added == Punts::kFirst) hooks_.punts();
}

/// Whether anybody looks on at the burst that begins.
void Gateway::lookForTaps() {
  tapped_ = shared_->taps.any();
  if (!tapped_) return;
  tapBurst_.begin(shared_->taps.demand());
  seenAt_ = wallClock();
}

/// A frame as a tap is shown it: what is on the wire of it.
Tapped Gateway::sighted(GatewaySide side, bool left, TapKind kind, const Frame& frame) const {
  const uint32_t unseen = sides_[side].port->unseen();
  Tapped seen{};
  seen.side = side == kInside ? kTapInside : kTapOutside;
  seen.left = left;
  seen.kind = kind;
  seen.link = unseen == 0 ? TapLink::Ethernet : TapLink::Ipv4;
  seen.bytes = frame.data + unseen;
  seen.captured = seen.length = frame.length - unseen;
  seen.time = seenAt_;
  seen.wall = true;
  return seen;
}

/// Keeps the burst's frames as they came.
void Gateway::keepForTaps(GatewaySide from) {
  for (uint32_t i = 0; i < count_; i++) {
    const Tapped came = sighted(from, false, TapKind::Translated, frames_[i]);
    tapBurst_.keep(i, came.bytes, came.captured);
  }
}

/// Shows a burst that is done: each frame as it came, and as it left.
void Gateway::showBurst(GatewaySide from) {
  shared_->taps.show(tapBurst_.demand(), [&](auto&& show) {
    for (uint32_t i = 0; i < count_; i++) {
      const uint32_t result = descriptors_[i].verdict;
      Tapped seen = sighted(from, false, TapKind::Translated, frames_[i]);
      seen.result = result;
      seen.session = tapBurst_.session(i);
      if (static_cast<Verdict>(result & 0xff) != Verdict::Dropped) {
        seen.bytes = tapBurst_.bytes(i);
        seen.captured = tapBurst_.captured(i);
      }
      show(seen);
      if ((sent_ >> i & 1) == 0) continue;
      const auto direction = static_cast<Direction>(result >> 8 & 0xff);
      seen = sighted(direction == Direction::Outbound ? kOutside : kInside, true,
                     TapKind::Translated, frames_[i]);
      seen.result = result;
      seen.session = tapBurst_.session(i);
      show(seen);
    }
  });
  showMade(emitted_);
}

/// Shows frames that did not come from a port.
void Gateway::showMade(std::vector<Made>& list) {
  if (list.empty()) return;
  shared_->taps.show(tapBurst_.demand(), [&](auto&& show) {
    for (Made& made : list) {
      if (made.sent) show(sighted(made.to, true, made.kind, made.frame()));
    }
  });
}

void Gateway::setNetwork(GatewaySide side, uint32_t prefix, uint32_t mask, uint32_t router) {
  const std::lock_guard lock(neighboursMutex_);
  Network& network = sides_[side].network;
  network.prefix = prefix;
  network.mask = mask;
  network.router = router;
  neighbours_[side].forgetAll();
}

void Gateway::setNeighbour(GatewaySide side, uint32_t address, const Mac& mac) {
  const std::lock_guard lock(neighboursMutex_);
  neighbours_[side].set(address, mac);
}

void Gateway::forgetNeighbour(GatewaySide side, uint32_t address) {
  const std::lock_guard lock(neighboursMutex_);
  neighbours_[side].forget(address);
}

}  // namespace napt
