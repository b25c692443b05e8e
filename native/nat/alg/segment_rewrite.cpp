#include "nat/alg/segment_rewrite.h"

#include <algorithm>

namespace napt {

namespace {
constexpr uint32_t kTcpUrgent = 18;
constexpr uint8_t kUrg = 32;
constexpr uint8_t kEnd = 0, kNothing = 1, kSack = 5;  // options

/// A TCP header whose checksum follows what is written.
struct Header {
  uint8_t* tcp;
  Delta delta = 0;

  void write32(uint32_t at, uint32_t value) {
    const uint32_t word = swap32(value);
    const Delta change = delta32(load<uint32_t>(tcp + at), word);
    // At an odd place the bytes weigh the other way round in the sum.
    delta = combine(delta, (at & 1) == 0 ? change : swap16(change));
    store(tcp + at, word);
  }
  void write16(uint32_t at, uint16_t value) {
    delta = combine(delta, delta16(load<uint16_t>(tcp + at), swap16(value)));
    store16be(tcp + at, value);
  }
};

void renumberSack(Header& header, uint32_t end, const SequenceShift& shift) {
  for (uint32_t at = kTcpHeader; at < end;) {
    const uint8_t kind = header.tcp[at];
    if (kind == kEnd) return;
    if (kind == kNothing) {
      at++;
      continue;
    }
    if (at + 1 >= end || header.tcp[at + 1] < 2) return;
    const uint32_t next = at + header.tcp[at + 1];
    if (kind == kSack) {
      for (uint32_t block = at + 2; block + 8 <= std::min(next, end); block += 8) {
        header.write32(block, shift.toSender(load32be(header.tcp + block), true));
        header.write32(block + 4, shift.toSender(load32be(header.tcp + block + 4)));
      }
    }
    at = next;
  }
}
}  // namespace

void renumber(const PacketView& packet, const Parsed& parsed, const SequenceShift& own,
              const SequenceShift& other) {
  const uint32_t here = parsed.end - parsed.header;
  if (here < kTcpHeader || (own.isIdentity() && other.isIdentity())) return;
  Header header{packet.data + parsed.header};
  const uint8_t flags = header.tcp[kTcpFlags];
  const uint32_t sequence = load32be(header.tcp + kTcpSequence);
  header.write32(kTcpSequence, own.toReceiver(sequence));
  if ((flags & kUrg) != 0) {
    const uint32_t pointer = load16be(header.tcp + kTcpUrgent);
    header.write16(kTcpUrgent, static_cast<uint16_t>(own.lengthOf(sequence, pointer)));
  }
  if ((flags & kAck) != 0) {
    header.write32(kTcpAck, other.toSender(load32be(header.tcp + kTcpAck)));
    renumberSack(header, std::min((header.tcp[12] >> 4) * 4u, here), other);
  }
  if (packet.partial) return;
  uint8_t* checksum = header.tcp + kTcpChecksum;
  store(checksum, adjust(load<uint16_t>(checksum), header.delta));
}

void rewriteText(const PacketView& to, const Parsed& parsed, const uint8_t* payload,
                 uint32_t length, const SequenceShift& own) {
  uint8_t* tcp = to.data + parsed.header;
  const uint32_t sequence = load32be(tcp + kTcpSequence);
  const uint32_t header = parsed.total - length, after = own.lengthOf(sequence, length);
  const Delta without = reverse(sumBytes(payload, length));
  own.apply(sequence, payload, length, to.data + header);
  const auto total = static_cast<uint16_t>(header + after);
  const auto was = static_cast<uint16_t>(parsed.total);
  store(to.data + kIpChecksum,
        adjust(load<uint16_t>(to.data + kIpChecksum), delta16(swap16(was), swap16(total))));
  store16be(to.data + kIpTotal, total);
  const uint16_t checksum = load<uint16_t>(tcp + kTcpChecksum);
  const Delta lengths = delta16(swap16(static_cast<uint16_t>(was - parsed.header)),
                                swap16(static_cast<uint16_t>(total - parsed.header)));
  const uint64_t delta = uint64_t{without} + sumBytes(to.data + header, after) + lengths;
  store(tcp + kTcpChecksum,
        to.partial ? adjustPartial(checksum, lengths) : adjust(checksum, fold(delta)));
}

}  // namespace napt
