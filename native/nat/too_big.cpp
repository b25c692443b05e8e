// Packets larger than the MTU of where they go ("mtu"; RFC 4787, REQ-13; RFC 5508, section 7.1).
//
// Without DF a packet is translated, then cut, and its pieces are put out at once and in order
// (REQ-13a); it is held for no time, and counts as one that went out. With DF it is dropped, and
// its sender told the MTU (RFC 1191, section 4). Such a packet makes and refreshes no session; but
// it is looked up, so that what would be refused anyway is refused for that reason, unanswered.
//
// Passed packets are left alone, and so are those that segmentation offload cuts later, or whose
// total length is 0 for it. What a capture has cut off can't be split, so such a packet stays in
// one piece.
#include "nat/translator.h"
#include "packet/fragment.h"

namespace napt {

/// The MTU that a packet exceeds, or 0.
uint32_t Translator::exceededMtu(const PacketView& packet, bool toInside) const {
  if (packet.segmented) return 0;
  const uint32_t given = toInside ? config_.insideMtu : config_.outsideMtu;
  const uint32_t mtu = std::max(given, kLeastMtu);
  return given != 0 && load16be(packet.data + kIpTotal) > mtu ? mtu : 0;
}

/// The MTU that a packet must be cut to, or 0 if it goes on in one piece.
uint32_t Translator::pieceMtu(const PacketView& packet, bool toInside) const {
  const bool whole = load16be(packet.data + kIpTotal) <= packet.length;
  return whole ? exceededMtu(packet, toInside) : 0;
}

/// Why a packet can't go on, whatever it is translated to.
Reason Translator::obstacleOf(const PacketView& packet, bool toInside) const {
  if (exceededMtu(packet, toInside) == 0) return Reason::None;
  if ((load<uint16_t>(packet.data + kIpFragment) & kDontFragment) != 0) return Reason::TooBig;
  const uint32_t mtu = pieceMtu(packet, toInside);
  const bool room = mtu == 0 || Fragmenter(packet, mtu).count() <= store_.room();
  return room ? Reason::None : Reason::FragmentLimit;
}

/// A translated packet goes on: as it is, or in pieces through the outbox.
Verdict Translator::send(const PacketView& packet, const Parsed& parsed, bool toInside) {
  const uint32_t mtu = pieceMtu(packet, toInside);
  if (mtu == 0) return Verdict::Forwarded;
  if (parsed.kind == Kind::Flow) completeChecksum(packet, parsed);
  putPieces(packet, mtu, tag_, toInside);
  stats.byProtocol[std::min(portSpace(parsed.protocol), 3u)]++;
  stats.packetsOut++;
  stats.bytesOut += packet.length;
  return Verdict::Held;
}

/// Puts the pieces of a packet out. There must be room for them (`obstacleOf`).
void Translator::putPieces(const PacketView& packet, uint32_t mtu, uint32_t tag, bool toInside) {
  Fragmenter fragmenter(packet, mtu);
  for (uint32_t left = fragmenter.count(); left != 0; left--) {
    const uint32_t link = store_.take();
    StoredPacket& stored = store_[link];
    stored.length = stored.wire = fragmenter.next(store_.bytes(link));
    stored.tag = tag;
    stored.cause = tag_;
    stored.at = now_;
    stored.origin = Origin::Fragment;
    stored.toInside = toInside;
    outbox_.push(store_, link);
    stats.pieces++;
  }
  stats.fragmented++;
}

}  // namespace napt
