// Fragments on their way through the translator.
#include "nat/translator.h"

namespace napt {

Result Translator::fragment(const PacketView& packet, const Parsed& parsed, const Route& route,
                            uint32_t tag) {
  expireFragments();
  const DatagramKey key = DatagramKey::of(parsed);
  Datagram* datagram = fragments_.find(key);
  Result result;
  if (datagram != nullptr && datagram->state == DatagramState::Translated) {
    rewriteHeader(packet, datagram->to, config_.decrementTtl);
    result.verdict = Verdict::Forwarded;
    return result;
  }
  if (datagram != nullptr && datagram->state == DatagramState::Exempt) {
    result.verdict = Verdict::Passed;
    return result;
  }
  if (datagram != nullptr && datagram->state == DatagramState::Refused) {
    result.reason = Reason::FragmentRefused;
    return result;
  }
  const bool room = stats.packetsHeld < config_.fragmentLimit && packet.length != 0 &&
                    parsed.end <= PacketStore::kSlotBytes;
  const uint32_t link = room ? store_.take() : 0;
  if (link == 0) {
    result.reason = Reason::FragmentLimit;
    return result;
  }
  if (datagram == nullptr) {
    datagram = &beginDatagram(key);
    datagram->toInside = route.direction != Direction::Outbound;
  }
  StoredPacket& stored = store_[link];
  stored.length = parsed.end;
  stored.wire = parsed.total;
  stored.tag = tag;
  stored.origin = Origin::Fragment;
  std::memcpy(store_.bytes(link), packet.data, parsed.end);
  datagram->waiting.push(store_, link);
  stats.packetsHeld++;
  result.verdict = Verdict::Held;
  return result;
}

/// The first fragment was decided: the others follow it.
void Translator::firstFragment(const Parsed& parsed, const Route& route, const Result& result,
                               const Endpoints& to) {
  expireFragments();
  const DatagramKey key = DatagramKey::of(parsed);
  Datagram* datagram = fragments_.find(key);
  if (datagram == nullptr) datagram = &beginDatagram(key);
  const bool exempt = result.verdict == Verdict::Passed;
  if (result.verdict != Verdict::Forwarded && !exempt) {
    // A refused copy can't undo what an accepted one allowed.
    if (datagram->state == DatagramState::Translated) return;
    datagram->state = DatagramState::Refused;
    discardWaiting(*datagram, Reason::FragmentRefused);
    return;
  }
  datagram->state = exempt ? DatagramState::Exempt : DatagramState::Translated;
  datagram->to = to;
  if (!exempt) datagram->toInside = route.direction != Direction::Outbound;
  while (!datagram->waiting.empty()) {
    const uint32_t link = datagram->waiting.pop(store_);
    StoredPacket& stored = store_[link];
    if (!exempt) rewriteHeader(store_.view(link), to, config_.decrementTtl);
    stored.at = now_;
    stored.cause = tag_;
    stored.toInside = datagram->toInside;
    outbox_.push(store_, link);
    stats.packetsHeld--;
    stats.packetsOut++;
    if (exempt) stats.packetsPassed++;
    stats.bytesOut += stored.length;
  }
}

Datagram& Translator::beginDatagram(const DatagramKey& key) {
  if (fragments_.full()) endDatagram(*fragments_.oldest(), Reason::FragmentLimit);
  return fragments_.begin(key, now_);
}

void Translator::endDatagram(Datagram& datagram, Reason reason) {
  discardWaiting(datagram, reason);
  fragments_.end(datagram);
}

/// Held fragments die. The caller, who may keep more of their frames, gets word of each.
void Translator::discardWaiting(Datagram& datagram, Reason reason) {
  while (!datagram.waiting.empty()) {
    const uint32_t link = datagram.waiting.pop(store_);
    StoredPacket& stored = store_[link];
    stored.length = 0;
    stored.at = now_;
    stored.cause = tag_;
    stored.origin = Origin::Discarded;
    outbox_.push(store_, link);
    stats.packetsHeld--;
    stats.drops[static_cast<uint32_t>(reason)]++;
  }
}

/// All datagrams have the same timeout, so the oldest end first.
void Translator::expireFragments() {
  for (Datagram* oldest = fragments_.oldest();
       oldest != nullptr && now_ - oldest->began >= config_.fragmentTimeout;
       oldest = fragments_.oldest()) {
    endDatagram(*oldest, Reason::FragmentTimeout);
  }
}

}  // namespace napt
