// Making room for a new session at the cost of one that nobody would miss, where the config wants
// it (`whenFull: evict`). The default is to refuse the new one (RFC 6888, REQ-11d).
//
// Only sessions that are not assured may go: connections that were never established, and flows
// that only one side ever sent to. A few are looked at for each new session, so it costs an
// attacker as much to displace as to be displaced.
#include "nat/translator.h"

namespace napt {

namespace {
constexpr uint32_t kSample = 64, kPortSample = 16;
}  // namespace

/// Whether both sides have taken part, or its host asked for it: such a session is never evicted.
bool Translator::isAssured(uint32_t slot) const {
  const Session& s = sessions_[slot];
  if (isAnchor(s)) return true;
  switch (s.protocol) {
    case kTcp:
      return (s.state & kTcpEstablished) == kTcpEstablished;
    case kDccp:
    case kSctp:
      return (s.state & 3) == 3;
    default:
      return sessions_.packets(slot, kOut) != 0 && sessions_.packets(slot, kIn) != 0;
  }
}

bool Translator::makeRoom(const Opening& opening, Reason reason) {
  if (reason == Reason::SessionLimit) return evictSession(opening);
  return reason == Reason::PortsExhausted && evictBinding(opening);
}

/// Evicts the longest idle of a few sessions.
bool Translator::evictSession(const Opening& opening) {
  const uint32_t used = sessions_.used();
  uint32_t oldest = SessionTable::kNone;
  for (uint32_t i = 0; i < kSample && i < used; i++) {
    if (++evictionHand_ >= used) evictionHand_ = 0;
    const Session& s = sessions_[evictionHand_];
    const bool needed = evictionHand_ == opening.head || evictionHand_ == opening.outbound;
    if (s.protocol == 0 || needed || isAssured(evictionHand_)) continue;
    if (oldest == SessionTable::kNone || s.last < sessions_[oldest].last) oldest = evictionHand_;
  }
  if (oldest == SessionTable::kNone) return false;
  removeSession(oldest, EventType::SessionEvicted);
  return true;
}

/// Evicts the longest idle of a few bindings whose port the host could have.
bool Translator::evictBinding(const Opening& opening) {
  const uint32_t space = portSpace(opening.key.protocol());
  const uint32_t hostSlot = bindings_.hosts.find(opening.key.inside());
  const bool known = hostSlot != Hosts::kNone;
  uint32_t address = random_.below(addresses_.pool());
  if (known && bindings_.hosts[hostSlot].isPaired) address = bindings_.hosts[hostSlot].paired;
  uint32_t low = addresses_[address].low, high = addresses_[address].high;
  if (bindings_.givesBlocks()) {
    if (!known || bindings_.hosts[hostSlot].blocks == 0) return false;
    const PortBlock& block = bindings_.block(bindings_.hosts[hostSlot].blocks);
    address = block.address;
    low = block.low;
    high = block.high;
  }
  if (space == kNoPortSpace || low > high) return false;
  const uint32_t count = high - low + 1, start = random_.below(count);
  uint32_t oldest = SessionTable::kNone;
  for (uint32_t i = 0; i < kPortSample && i < count; i++) {
    const uint32_t port = low + (start + i) % count;
    const uint32_t entry = *bindings_.entry(space, address, static_cast<uint16_t>(port));
    if (entry == 0 || (entry & (PortMap::kForward | PortMap::kShared)) != 0) continue;
    // A binding with several sessions has seen some use.
    if (isAssured(entry - 1) || sessions_.links(entry - 1).bindingNext != 0) continue;
    if (oldest == SessionTable::kNone || sessions_[entry - 1].last < sessions_[oldest].last) {
      oldest = entry - 1;
    }
  }
  if (oldest == SessionTable::kNone) return false;
  removeSession(oldest, EventType::SessionEvicted);
  bindings_.hurry(space, address);  // or the port would only rest
  return true;
}

}  // namespace napt
