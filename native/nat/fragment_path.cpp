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
    result.reason = obstacle_;
    if (obstacle_ != Reason::None) return result;
    rewriteHeader(packet, datagram->to, takesHop(packet));
    result.verdict =
        datagram->toSibling ? Verdict::Punted : send(packet, parsed, datagram->toInside);
    return result;
  }
  if (datagram != nullptr && datagram->state == DatagramState::Exempt) {
    result.verdict = Verdict::Passed;
    return result;
  }
  if (datagram != nullptr && datagram->state != DatagramState::Waiting) {
    result.reason = Reason::FragmentRefused;
    return result;
  }
  // The oldest that waits makes room, so that a flood of orphans harms whoever waits longer.
  Datagram* oldest = fragments_.oldestWaiting();
  const bool full = stats.packetsHeld >= config_.fragmentLimit;
  if (full && oldest != nullptr && oldest != datagram && store_.room() != 0) {
    endDatagram(*oldest, Reason::FragmentLimit);
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
  stored.hairpinned = packet.hairpinned;
  stored.waited = true;
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
  if (datagram->state == DatagramState::Disputed) return;
  const bool exempt = result.verdict == Verdict::Passed;
  if (result.verdict == Verdict::Dropped) {
    // A refused copy can't undo what an accepted one allowed.
    if (datagram->state == DatagramState::Translated) return;
    fragments_.decide(*datagram, DatagramState::Refused);
    discardWaiting(*datagram, Reason::FragmentRefused);
    return;
  }
  const bool elsewhere =
      datagram->state == DatagramState::Translated &&
      (exempt || to.source != datagram->to.source || to.destination != datagram->to.destination);
  if (elsewhere || (datagram->state == DatagramState::Exempt && !exempt)) {
    // One of the two first fragments is forged. The rest must not go to the wrong host.
    fragments_.decide(*datagram, DatagramState::Disputed);
    return;
  }
  fragments_.decide(*datagram, exempt ? DatagramState::Exempt : DatagramState::Translated);
  datagram->to = to;
  if (!exempt) {
    datagram->toInside = route.direction != Direction::Outbound;
    datagram->toSibling = route.toSibling;
  }
  while (!datagram->waiting.empty()) {
    release(datagram->waiting.pop(store_), *datagram);
  }
}

/// A held fragment goes the way of its datagram's first one, if it isn't too big for that.
void Translator::release(uint32_t link, const Datagram& datagram) {
  const PacketView packet = store_.view(link);
  const bool passed = datagram.state == DatagramState::Exempt;
  const Reason obstacle = passed ? Reason::None : obstacleOf(packet, datagram.toInside);
  if (obstacle != Reason::None) {
    discard(link, obstacle);
    return;
  }
  const bool onward = !passed && datagram.toSibling;
  stats.packetsHeld--;
  if (!onward) {
    stats.packetsOut++;
    stats.bytesOut += packet.length;
  }
  if (passed) {
    stats.packetsPassed++;
  } else {
    rewriteHeader(packet, datagram.to, takesHop(packet));
    if (!onward) stats.byProtocol[std::min(portSpace(packet.data[kIpProtocol]), 3u)]++;
  }
  StoredPacket& stored = store_[link];
  stored.toSibling = onward;
  const uint32_t mtu = passed || onward ? 0 : pieceMtu(packet, datagram.toInside);
  if (mtu != 0) {
    putPieces(packet, mtu, stored.tag, datagram.toInside);
    store_.give(link);
    return;
  }
  stored.at = now_;
  stored.cause = tag_;
  stored.toInside = datagram.toInside;
  outbox_.push(store_, link);
}

Datagram& Translator::beginDatagram(const DatagramKey& key) {
  if (fragments_.full()) endDatagram(*fragments_.oldest(), Reason::FragmentLimit);
  return fragments_.begin(key, now_);
}

void Translator::endDatagram(Datagram& datagram, Reason reason) {
  discardWaiting(datagram, reason);
  fragments_.end(datagram);
}

void Translator::discardWaiting(Datagram& datagram, Reason reason) {
  while (!datagram.waiting.empty()) discard(datagram.waiting.pop(store_), reason);
}

/// A held fragment dies. The caller, who may keep more of its frame, gets word of it.
void Translator::discard(uint32_t link, Reason reason) {
  StoredPacket& stored = store_[link];
  stored.length = 0;
  stored.at = now_;
  stored.cause = tag_;
  stored.origin = Origin::Discarded;
  outbox_.push(store_, link);
  stats.packetsHeld--;
  stats.drops[static_cast<uint32_t>(reason)]++;
}

/// All datagrams have the same timeout, so the oldest end first.
void Translator::expireFragments() {
  for (Datagram* oldest = fragments_.oldest();
       oldest != nullptr && now_ - oldest->began >= config_.fragmentTimeout;
       oldest = fragments_.oldest()) {
    endDatagram(*oldest, Reason::FragmentTimeout);
  }
}

/// Takes over the datagrams. Where this config would not have its fragments go, none goes any more.
void Translator::adoptFragments(Translator& old) {
  fragments_ = std::move(old.fragments_);
  const bool sameExemptions = config_.exemptions == old.config_.exemptions;
  fragments_.each([&](Datagram& d) {
    if (!mayStay(d, sameExemptions)) fragments_.decide(d, DatagramState::Refused);
  });
}

/// Whether what was decided of a datagram is still right, as far as that can be told by addresses.
bool Translator::mayStay(const Datagram& d, bool sameExemptions) const {
  const DatagramKey& key = d.key;
  const bool fromInside = inside_.contains(key.source);
  if (d.state == DatagramState::Exempt) {
    const uint32_t remote = fromInside ? key.destination : key.source;
    return sameExemptions || exemptions_.judge(remote, key.protocol, 0, false) == Exempt::Yes;
  }
  if (d.state != DatagramState::Translated) return true;
  const auto isOf = [this](uint32_t number, uint32_t host) {
    if (number == PublicAddresses::kNone) return false;
    PublicEndpoint fixed;
    const bool mapped = bindings_.findPermanent(Key::of(host, 0, 0, 0, kIcmp), fixed);
    return mapped ? fixed.address == number : !addresses_[number].isStatic;
  };
  const uint32_t own = addresses_.find(key.destination);
  const bool source =
      fromInside ? isOf(addresses_.find(d.to.source), key.source) : d.to.source == key.source;
  if (d.toSibling) return source && own != PublicAddresses::kNone && !siblings_.empty();
  const bool destination = d.toInside
                               ? inside_.contains(d.to.destination) && isOf(own, d.to.destination)
                               : fromInside && own == PublicAddresses::kNone;
  return source && destination;
}

}  // namespace napt
