#include "nat/tap.h"

#include <algorithm>
#include <bit>

#include "nat/translator.h"

namespace napt {

std::unique_ptr<Tap> Tap::over(uint8_t* memory, size_t length, const TapFilter& filter) {
  if (length < sizeof(Header) + kLeastRing) return nullptr;
  const size_t size = length - sizeof(Header);
  if (!std::has_single_bit(size) || size > uint32_t{1} << 30) return nullptr;
  return std::unique_ptr<Tap>(new Tap(memory, static_cast<uint32_t>(size), filter));
}

void Tap::show(const Tapped& packet) {
  if (!filter.wants(packet)) return;
  const uint32_t captured = std::min({packet.captured, filter.snaplen, kMostBytes});
  const uint32_t size = static_cast<uint32_t>(sizeof(TapRecord)) + ((captured + 7) & ~7u);
  const uint32_t at = written_ & (size_ - 1);
  const uint32_t rest = size_ - at;  // a record lies in one piece
  const uint32_t need = rest < size ? rest + size : size;
  const uint32_t read = std::atomic_ref(header_->read).load(std::memory_order_acquire);
  const uint32_t used = written_ - read;
  // The reader's word may be anything; what it says never leads out of the ring.
  if (used > size_ || size_ - used < need) {
    lost_++;
    std::atomic_ref(header_->lost).fetch_add(1, std::memory_order_relaxed);
    return;
  }
  uint8_t* to = ring_ + at;
  if (rest < size) {
    store<uint32_t>(to, 0);
    to = ring_;
  }
  TapRecord record{};
  record.size = size;
  record.captured = captured;
  record.length = packet.length;
  record.lost = lost_;
  record.time = packet.time;
  record.result = packet.result;
  record.tag = packet.tag;
  record.kind = packet.kind;
  record.side = packet.side;
  record.left = packet.left ? 1 : 0;
  record.link = packet.link;
  record.wall = packet.wall ? 1 : 0;
  if (packet.session != nullptr) record.session = *packet.session;
  std::memcpy(to, &record, sizeof record);
  std::memcpy(to + sizeof record, packet.bytes, captured);
  lost_ = 0;
  written_ += need;
  std::atomic_ref(header_->written).store(written_, std::memory_order_release);
}

void TapBurst::keep(uint32_t i, const uint8_t* bytes, uint32_t length) {
  const uint32_t kept = std::min({length, demand_.kept, Tap::kMostBytes});
  if (bytes_.size() < used_ + kept) bytes_.resize(2 * (used_ + kept));
  if (kept != 0) std::memcpy(bytes_.data() + used_, bytes, kept);
  starts_[i] = static_cast<uint32_t>(used_);
  used_ += kept;
  starts_[i + 1] = static_cast<uint32_t>(used_);
}

void TapBurst::meet(Translator& nat, const Descriptor* descriptors, uint32_t count) {
  for (uint32_t i = 0; i < count; i++) {
    const uint32_t link = descriptors[i].session;
    if (link == 0) {
      sessions_[i].protocol = 0;
      continue;
    }
    const Session& s = nat.sessions()[link - 1];
    sessions_[i] = {s.inside,     s.remote,     s.publicAddress, s.insidePort,
                    s.remotePort, s.publicPort, s.protocol};
  }
}

uint32_t Taps::open(std::unique_ptr<Tap> tap) {
  const std::lock_guard lock(mutex_);
  if (entries_.size() >= kMost) return 0;
  entries_.push_back({++newest_, std::move(tap)});
  count_ = entries_.size();
  return newest_;
}

void Taps::close(uint32_t number) {
  const std::lock_guard lock(mutex_);
  std::erase_if(entries_,
                [number](const Entry& entry) { return number == 0 || entry.number == number; });
  count_ = entries_.size();
}

TapDemand Taps::demand() {
  const std::lock_guard lock(mutex_);
  TapDemand demand{newest_, 0};
  for (const Entry& entry : entries_) {
    // A dropped packet stays as it came.
    if (entry.tap->filter.others) demand.kept = std::max(demand.kept, entry.tap->filter.snaplen);
  }
  return demand;
}

TapKind tapKindOf(const StoredPacket& packet, const uint8_t* bytes) {
  if (packet.origin == Origin::Icmp) return TapKind::Originated;
  if (packet.waited) return TapKind::Released;
  const uint16_t fragment = load<uint16_t>(bytes + kIpFragment);
  return (fragment & kFragmentMask) != 0 ? TapKind::Piece : TapKind::Rewritten;
}

}  // namespace napt
