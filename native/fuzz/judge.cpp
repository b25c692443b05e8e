#include "fuzz/judge.h"

#include <cstdio>
#include <cstdlib>

namespace napt::fuzz {

namespace {

uint32_t sourceOf(const Bytes& p) { return load<uint32_t>(&p[kIpSource]); }
uint32_t destinationOf(const Bytes& p) { return load<uint32_t>(&p[kIpDestination]); }
uint16_t fragmentOf(const Bytes& p) { return load16be(&p[kIpFragment]); }

/// One's complement numbers: 0 and 0xffff are the same.
uint32_t residue(uint32_t sum) { return sum % 0xffff; }

/// A part of a packet that one checksum covers.
struct Covered {
  size_t from, length[2];  // as far as it is there; before and after
  uint32_t initial[2];     // likewise: of the pseudo-header
  bool whole;              // nothing of it is cut off
};

/// The checksum that covers this part verifies after if it did before, and is as wrong if not.
void sameSum(const Bytes& before, const Bytes& after, const Covered& part, const char* what) {
  const uint16_t was = checksum(&before[part.from], part.length[0], part.initial[0]);
  const uint16_t is = checksum(&after[part.from], part.length[1], part.initial[1]);
  require(residue(was) == residue(is), what);
  if (part.whole && was == 0xffff) require(is == 0xffff, what);
}

/// A transport message of a packet, or of a quoted one, that lies at `ip`.
struct Message {
  size_t ip, header, end, total;
  uint8_t protocol;

  size_t at() const { return ip + header; }
  size_t here() const { return end - at(); }
};

/// What may differ between a packet before and after.
class Changes {
 public:
  Changes(const Packet& before, const Bytes& after)
      : before_(before.bytes), after_(after), allowed_(after.size()), partial_(before.partial) {}

  void allow(size_t from, size_t count) {
    for (size_t i = from; i < from + count && i < allowed_.size(); i++) allowed_[i] = true;
  }
  void done() const {
    for (size_t i = 0; i < after_.size(); i++) {
      require(allowed_[i] || (i < before_.size() && before_[i] == after_[i]),
              "a byte was changed that a NAT leaves alone");
    }
  }

  void header(size_t ip, size_t length, const char* what) {
    allow(ip + kIpChecksum, 10);
    sameSum(before_, after_, {ip, {length, length}, {0, 0}, true}, what);
  }

  /// Ports, identifier or call id, and the checksum. `m` is of before, `n` of after.
  void transport(const Message& m, const Message& n, const char* what) {
    if (m.protocol == kGre) return allow(m.at() + kGreCallId, 2);
    const bool query = m.protocol == kIcmp;
    if (!query && !coversAddresses(m.protocol)) return;
    const size_t check = checksumOffset(m.protocol);
    allow(m.at() + (query ? kIcmpId : 0), query ? 2 : 4);
    if (m.here() < check + 2) return;
    allow(m.at() + check, 2);
    const uint16_t was = load16be(&before_[m.at() + check]), is = load16be(&after_[m.at() + check]);
    const uint32_t from = query ? 0 : pseudoHeader(&before_[m.ip], m.protocol, m.total - m.header);
    const uint32_t to = query ? 0 : pseudoHeader(&after_[n.ip], m.protocol, n.total - n.header);
    if (partial_ && !query && m.ip == 0) {
      require(residue(was + 0x1fffe - residue(from)) == residue(is + 0x1fffe - residue(to)), what);
      return;
    }
    const bool none = m.protocol == kUdp || m.protocol == kUdpLite;
    if (none) require((was == 0) == (is == 0), "UDP: a checksum where none was, or none any more");
    if (none && was == 0) return;
    // What changes is covered however far UDP-Lite's and DCCP's checksums reach, so the sum over
    // all keeps its residue; only where it must be all of the packet does it verify.
    const bool all = m.protocol != kUdpLite && m.protocol != kDccp;
    sameSum(before_, after_,
            {m.at(), {m.here(), n.here()}, {from, to}, all && m.end == m.ip + m.total}, what);
  }

  /// A SYN's segment sizes are at most `most`, as far as its list of options goes.
  void segmentSizes(const Message& m, uint32_t most) {
    const size_t at = m.at();
    if (m.protocol != kTcp || m.here() < kTcpHeader || (before_[at + kTcpFlags] & kSyn) == 0)
      return;
    const size_t length = (before_[at + 12] >> 4) * 4u;
    const bool fragmented = (fragmentOf(before_) & 0x3fff) != 0;
    if (length > m.total - m.header && !fragmented) return;
    const size_t end = at + std::min(length, m.here());
    for (size_t next = at + kTcpHeader; next < end && before_[next] != 0;) {
      if (before_[next] == 1) {
        next++;
        continue;
      }
      if (next + 1 == end || before_[next + 1] < 2 || next + before_[next + 1] > end) return;
      if (before_[next] == 2 && before_[next + 1] == 4) {
        const uint32_t was = load16be(&before_[next + 2]);
        require(load16be(&after_[next + 2]) == std::min(was, most), "a segment size");
        allow(next + 2, 2);
      }
      next += before_[next + 1];
    }
  }

 private:
  const Bytes& before_;
  const Bytes& after_;
  std::vector<bool> allowed_;
  bool partial_;
};

/// The message of the packet that starts at `ip`, up to `end`.
Message messageAt(const Bytes& p, size_t ip, size_t end, size_t wire) {
  Message m{};
  m.ip = ip;
  m.header = (p[ip] & 15u) * 4;
  m.total = load16be(&p[ip + kIpTotal]);
  if (m.total == 0) m.total = wire;
  m.end = std::min(end, ip + m.total);
  m.protocol = p[ip + kIpProtocol];
  return m;
}

/// The packet that pieces were cut from: the first one's header around all of their payload.
Bytes joined(const Bytes& before, const std::vector<Bytes>& pieces) {
  const uint16_t fragment = fragmentOf(before);
  Bytes whole = pieces[0];
  const size_t header = (whole[0] & 15u) * 4;
  whole.resize(header);
  for (size_t i = 0; i < pieces.size(); i++) {
    const Bytes& p = pieces[i];
    const size_t own = (p[0] & 15u) * 4;
    require(p.size() >= own && load16be(&p[kIpTotal]) == p.size(), "a piece: its length");
    const bool last = i + 1 == pieces.size();
    const size_t at = (fragment & 0x1fffu) + (whole.size() - header) / 8;
    require((whole.size() - header) % 8 == 0 && (fragmentOf(p) & 0x1fffu) == at, "a piece: offset");
    require(((fragmentOf(p) & 0x2000) != 0) == (!last || (fragment & 0x2000) != 0),
            "a piece: more");
    require(std::equal(p.begin() + kIpSource, p.begin() + kIpHeader, whole.begin() + kIpSource) &&
                load<uint16_t>(&p[kIpId]) == load<uint16_t>(&whole[kIpId]) &&
                p[kIpTtl] == whole[kIpTtl] && p[kIpProtocol] == whole[kIpProtocol],
            "a piece: header");
    require(
        residue(checksum(p.data(), own)) == residue(checksum(before.data(), (before[0] & 15u) * 4)),
        "a piece: header checksum");
    whole.insert(whole.end(), p.begin() + static_cast<long>(own), p.end());
  }
  const uint16_t change = combine(
      delta16(load<uint16_t>(&whole[kIpTotal]), swap16(static_cast<uint16_t>(whole.size()))),
      delta16(load<uint16_t>(&whole[kIpFragment]), swap16(fragment)));
  store16be(&whole[kIpTotal], static_cast<uint16_t>(whole.size()));
  store16be(&whole[kIpFragment], fragment);
  store(&whole[kIpChecksum], adjust(load<uint16_t>(&whole[kIpChecksum]), change));
  return whole;
}

}  // namespace

void fail(const char* what) {
  std::fflush(stdout);
  std::fprintf(stderr, "fault: %s\n", what);
  std::abort();
}

bool Judge::isExempt(uint32_t remote) const {
  for (const Exemption& e : config_.exemptions) {
    if ((swap32(remote) & e.mask) == (e.network & e.mask)) return true;
  }
  return false;
}

/// Whether an ALG may have read and changed this.
bool Judge::isRead(const Bytes& p) const {
  const size_t header = (p[0] & 15u) * 4;
  if (p[kIpProtocol] != kTcp || (fragmentOf(p) & 0x1fff) != 0 || p.size() < header + 4)
    return false;
  const auto of = [](uint16_t port) { return port == 21 || port == 1723; };
  return of(load16be(&p[header])) || of(load16be(&p[header + 2]));
}

void Judge::inPlace(const Packet& before, const Bytes& after, const Result& result) const {
  const bool dropped = result.verdict == Verdict::Dropped;
  require(dropped == (result.reason != Reason::None), "a drop has a reason, and only a drop");
  require(result.verdict != Verdict::Punted, "punted");
  if (before.fromOutside && before.bytes.size() >= kIpHeader && !dropped) {
    require(!isInside(config_, sourceOf(before.bytes)), "an inside source from outside");
  }
  if (result.verdict == Verdict::Held) return;  // the engine's, until it comes out
  if (result.verdict != Verdict::Forwarded) {
    require(before.bytes == after, "changed without being forwarded");
    if (dropped) return;
    const uint32_t from = sourceOf(after), to = destinationOf(after);
    if (isInside(config_, from) && !isInside(config_, to)) {
      const uint32_t net = to & 0xff;
      const bool unroutable = net == 0 || net == 127 || net >= 224;
      require(isExempt(to) || (config_.passUnmatched && unroutable),
              "passed outside with an inside source");
    }
    return;
  }
  require(after.size() >= kIpHeader, "forwarded less than a header");
  direction(before.bytes, after, result.direction);
  rewritten(before, after, result.direction);
}

void Judge::direction(const Bytes& before, const Bytes& after, Direction direction) const {
  require(direction != Direction::None, "forwarded nowhere");
  const uint32_t source = sourceOf(after), destination = destinationOf(after);
  if (direction == Direction::Inbound) {
    require(source == sourceOf(before), "inbound, with another source");
    require(!isInside(config_, source), "inbound, from inside");
  } else {
    require(isInside(config_, sourceOf(before)), "outbound, not from inside");
    require(isOwn(config_, source), "outbound, without a public source");
  }
  if (direction == Direction::Outbound) {
    require(destination == destinationOf(before), "outbound, to another destination");
    require(!isInside(config_, destination) && !isOwn(config_, destination), "outbound, to inside");
  } else {
    require(isOwn(config_, destinationOf(before)), "inbound, not to an own address");
    require(isInside(config_, destination), "inbound, to no inside host");
  }
}

/// The packet that an error quotes is as the error's receiver had sent it.
void Judge::quotation(const Bytes& after, size_t ip, Direction direction) const {
  const uint32_t source = load<uint32_t>(&after[ip + kIpSource]);
  const uint32_t destination = load<uint32_t>(&after[ip + kIpDestination]);
  if (direction != Direction::Inbound) {
    require(isOwn(config_, destination), "an error quotes a destination that is not public");
  }
  if (direction == Direction::Outbound) {
    require(!isInside(config_, source), "an error quotes an inside source to the outside");
  } else {
    require(source == destinationOf(after), "an error quotes another's packet");
  }
}

void Judge::rewritten(const Packet& before, const Bytes& after, Direction direction) const {
  const Bytes& was = before.bytes;
  const uint8_t ttl = was[kIpTtl];
  require(after[kIpTtl] == ttl - (config_.decrementTtl ? 1 : 0) && after[kIpTtl] != 0, "TTL");
  Changes changes(before, after);
  const Message m = messageAt(was, 0, was.size(), before.wire);
  const Message n = messageAt(after, 0, after.size(), before.wire);
  // RFC 6864: the identification of an atomic packet is left alone.
  if ((fragmentOf(was) & 0x7fff) != 0x4000) changes.allow(kIpId, 2);
  changes.allow(kIpTtl, 1);
  const bool text = isRead(was) || isRead(after);
  if (text) {
    changes.allow(kIpTotal, 2);
    changes.allow(m.at() + 4, after.size());
  }
  require(m.header == n.header && (text || m.total == n.total), "another length");
  changes.header(0, m.header, "the header's checksum");
  if ((fragmentOf(was) & 0x1fff) != 0) return changes.done();
  if (m.protocol != kIcmp || !isIcmpError(was[m.at()])) {
    changes.transport(m, n, "the transport's checksum");
    const auto known = [](uint32_t mtu) { return mtu == 0 ? ~0u : mtu; };
    const uint32_t mtu = std::min(known(config_.insideMtu), known(config_.outsideMtu));
    if (config_.clampMss && mtu != ~0u) changes.segmentSizes(m, mtu - 40);
    return changes.done();
  }
  changes.allow(m.at() + kIcmpChecksum, 2);
  sameSum(was, after, {m.at(), {m.here(), m.here()}, {0, 0}, m.end == m.total},
          "the error's checksum");
  Message quoted = messageAt(was, m.at() + kIcmpHeader, m.end, 0);
  if (load16be(&was[quoted.ip + kIpTotal]) < quoted.header) quoted.end = m.end;
  // It is quoted as its sender knew it, so with the identification and numbers that it had given.
  changes.allow(quoted.ip + kIpId, 2);
  if (quoted.protocol == kTcp) changes.allow(quoted.at() + kTcpSequence, 4);
  changes.header(quoted.ip, quoted.header, "the quoted header's checksum");
  changes.transport(quoted, quoted, "the quoted transport's checksum");
  quotation(after, quoted.ip, direction);
  changes.done();
}

void Judge::released(const Packet& before, const std::vector<Bytes>& pieces, bool toInside) const {
  for (const Bytes& piece : pieces) require(piece.size() >= kIpHeader, "released: its length");
  const Bytes& was = before.bytes;
  const size_t total = std::min<size_t>(
      was.size(), load16be(&was[kIpTotal]) == 0 ? before.wire : load16be(&was[kIpTotal]));
  // What lay behind the packet in its frame was not kept.
  Packet kept = before;
  kept.bytes.resize(total);
  if (pieces.size() == 1 && pieces[0] == kept.bytes &&
      isExempt(toInside ? sourceOf(was) : destinationOf(was))) {
    return;
  }
  const bool cut = pieces.size() > 1;
  const Bytes after = cut ? joined(was, pieces) : pieces[0];
  if (cut) {
    const uint32_t mtu = std::max(68u, toInside ? config_.insideMtu : config_.outsideMtu);
    for (const Bytes& piece : pieces) require(piece.size() <= mtu, "a piece that is too big");
    require((fragmentOf(was) & 0x4000) == 0, "DF, and cut");
  }
  const Direction way = !toInside                          ? Direction::Outbound
                        : isInside(config_, sourceOf(was)) ? Direction::Hairpin
                                                           : Direction::Inbound;
  direction(kept.bytes, after, way);
  if (cut && before.partial) return;  // the checksum was completed
  rewritten(kept, after, way);
}

void Judge::originated(const Bytes& cause, const Bytes& error, bool toInside) const {
  require(error.size() > kIpHeader + kIcmpHeader && error.size() <= 576, "error: length");
  require(error[0] == 0x45 && load16be(&error[kIpTotal]) == error.size(), "error: header");
  require(error[kIpProtocol] == kIcmp && isIcmpError(error[kIpHeader]), "error: no error");
  require(checksum(error.data(), kIpHeader) == 0xffff, "error: header checksum");
  require(checksum(&error[kIpHeader], error.size() - kIpHeader) == 0xffff, "error: checksum");
  require(isOwn(config_, sourceOf(error)), "error: not from an own address");
  require(destinationOf(error) == sourceOf(cause), "error: not to the sender");
  require(isInside(config_, destinationOf(error)) == toInside, "error: to the wrong side");
  const size_t quoted = error.size() - kIpHeader - kIcmpHeader;
  require(
      quoted <= cause.size() && std::equal(cause.begin(), cause.begin() + static_cast<long>(quoted),
                                           error.begin() + kIpHeader + kIcmpHeader),
      "error: quotes something else");
}

}  // namespace napt::fuzz
