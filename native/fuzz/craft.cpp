#include "fuzz/craft.h"

#include <cstdio>

#include "fuzz/scene.h"

namespace napt::fuzz {

namespace {

template <class T, size_t N>
constexpr T pick(const T (&table)[N], uint8_t byte) {
  return table[byte % N];
}

void put16(Bytes& to, uint32_t value) {
  to.push_back(static_cast<uint8_t>(value >> 8));
  to.push_back(static_cast<uint8_t>(value));
}
void put32(Bytes& to, uint32_t value) {
  put16(to, value >> 16);
  put16(to, value);
}
void put(Bytes& to, const char* text) {
  while (*text != 0) to.push_back(static_cast<uint8_t>(*text++));
}

constexpr uint32_t kOff[] = {0,      0,          0,          0,          1,     0xffffffff,
                             1000,   0xfffffc18, 65535,      0x00100000, 70000, 0x7fffffff,
                             0x8000, 0x80000000, 0x80000001, 12345};

/// A line of FTP. The address that it names is the sender's, or now and then another.
void ftp(Bytes& to, const Flow& flow, const Step& step) {
  const auto* a = reinterpret_cast<const uint8_t*>(&flow.from);
  const unsigned last = step.value == 255 ? 9u : a[3], port = 1024u * (step.where & 15u) + 1024;
  const auto line = [&](const char* format, auto... values) {
    char text[100];
    std::snprintf(text, sizeof text, format, values...);
    put(to, text);
  };
  switch (step.extra) {
    case 1:
      return put(to, "220 ready\r\n");
    case 2:
      return put(to, "USER anonymous\r\n");
    case 3:
      return line("PORT %u,%u,%u,%u,%u,%u\r\n", a[0], a[1], a[2], last, port >> 8, port & 255);
    case 4:
      return line("EPRT |1|%u.%u.%u.%u|%u|\r\n", a[0], a[1], a[2], last, port);
    case 5:
      return put(to, "PASV\r\n");
    case 6:
      return line("227 Passive (%u,%u,%u,%u,%u,%u)\r\n", a[0], a[1], a[2], last, port >> 8,
                  port & 255);
    case 7:
      return put(to, "EPSV\r\n");
    case 8:
      return line("229 Passive (|||%u|)\r\n", port);
    case 9:
      return put(to, "AUTH TLS\r\n");
    case 10:
      return put(to, "234 go on\r\n");
    case 11:
      return put(to, "220-one\r\n227 two (1,2,3,4,5,6)\r\n220 three\r\n");
    case 12:
      return line("NOOP\r\nPORT %u,%u,%u,%u,%u,%u\r\nPASV\r\n", a[0], a[1], a[2], last, port >> 8,
                  port & 255);
    case 13:
      return put(to, "PO");
    default:
      return line("RT %u,%u,%u,%u,9,9\r\n", a[0], a[1], a[2], last);
  }
}

/// A control message of PPTP with call ids (RFC 2637).
void pptp(Bytes& to, const Step& step) {
  struct Layout {
    uint8_t type;
    uint16_t size;
  };
  const auto layout = pick<Layout>(
      {{7, 168}, {8, 32}, {9, 220}, {10, 24}, {11, 28}, {12, 16}, {13, 148}, {15, 24}}, step.extra);
  const size_t at = to.size();
  put16(to, layout.size);
  put16(to, 1);
  put32(to, 0x1a2b3c4d);
  put16(to, layout.type);
  put16(to, 0);
  put16(to, portOf(step.where));
  put16(to, portOf(step.value));
  to.resize(at + layout.size);
}

/// Application data: what ALGs look for, or a pattern.
void payload(Bytes& to, const Flow& flow, const Step& step) {
  if (step.extra >= 1 && step.extra <= 14) return ftp(to, flow, step);
  if (step.extra >= 16 && step.extra < 32) return pptp(to, step);
  const uint32_t size = step.size < 240 ? step.size % 48 : (step.size - 238u) * 90;
  for (uint32_t i = 0; i < size; i++)
    to.push_back(static_cast<uint8_t>(step.extra == 0 ? 0 : i * 7));
}

void tcp(Bytes& to, const Flow& flow, const Step& step) {
  put16(to, flow.sourcePort);
  put16(to, flow.destinationPort);
  put32(to, flow.sequence);
  put32(to, flow.ack);
  const bool scaled = (step.flags & kSyn) != 0 && (step.window & 0x30) != 0;
  const size_t options = scaled ? 4 : (step.window & 0xc0) == 0xc0 ? 12 : 0;
  to.push_back(static_cast<uint8_t>((5 + options / 4) << 4));
  to.push_back(step.flags & 0x3f);
  put16(to, pick<uint32_t>({1000, 65535, 0, 1, 8192}, step.window & 7));
  put32(to, 0);
  if (scaled) {
    to.insert(to.end(), {1, 3, 3, static_cast<uint8_t>((step.window >> 4 & 3) * 5)});
  } else if (options != 0 && (step.flags & kSyn) != 0) {
    // Two segment sizes at odd places, around an option that may be of any length.
    to.insert(to.end(), {1, 2, 4, step.where, step.value, 3, static_cast<uint8_t>(3 + step.extra),
                         5, 2, 4, step.extra, step.where});
  } else if (options != 0) {
    to.insert(to.end(), {8, 10, step.where, step.value, 0, 0, 0, 0, 0, 0, step.extra, step.where});
  }
  if ((step.flags & (kSyn | kRst)) == 0) payload(to, flow, step);
}

void icmp(Bytes& to, const Flow& flow, const Step& step) {
  to.push_back(flow.icmpType);
  to.push_back((step.window & 0xf0) == 0xf0 ? step.value : uint8_t{0});
  put16(to, 0);
  put16(to, flow.sourcePort);
  put16(to, step.window & 1);
  payload(to, flow, step);
}

Bytes transport(const Flow& flow, const Step& step) {
  Bytes to;
  switch (flow.protocol) {
    case kTcp:
      tcp(to, flow, step);
      return to;
    case kIcmp:
      icmp(to, flow, step);
      return to;
    case kUdp:
    case kUdpLite:
      put16(to, flow.sourcePort);
      put16(to, flow.destinationPort);
      put32(to, 0);
      payload(to, flow, step);
      // UDP-Lite: how much the checksum covers (RFC 3828).
      store16be(&to[4], static_cast<uint16_t>(flow.protocol == kUdp ? to.size() : step.where % 32));
      return to;
    case kDccp:
      put16(to, flow.sourcePort);
      put16(to, flow.destinationPort);
      put32(to, 0x04000000 | (step.where & 15u) << 16);         // data offset, checksum coverage
      put32(to, uint32_t{1} << 24 | (step.flags & 15u) << 25);  // type, long sequence numbers
      put32(to, step.value);
      break;
    case kSctp:
      put16(to, flow.sourcePort);
      put16(to, flow.destinationPort);
      put32(to, flow.sequence);
      put32(to, 0x12345678);
      put32(to, uint32_t{step.flags} << 24 | (step.window & 1u) << 16 | 20);  // chunk
      put32(to, step.value % 4u);                                             // tag of an INIT
      break;
    case kGre:
      put32(to, pick<uint32_t>({0x3001880b, 0x2001880b, 0x2081880b, 0x20000800}, step.flags));
      put16(to, step.size);
      put16(to, flow.sourcePort);  // PPTP's call
      put32(to, step.value);
      break;
    case kEsp:
      put32(to, step.value);
      put32(to, step.window);
      break;
    default:
      break;
  }
  payload(to, flow, step);
  return to;
}

void sealHeader(Bytes& p) {
  const size_t header = (p[0] & 15u) * 4;
  if (header < kIpHeader || p.size() < header) return;
  store16be(&p[kIpChecksum], 0);
  store16be(&p[kIpChecksum], static_cast<uint16_t>(~checksum(p.data(), header)));
}

void sealTransport(Bytes& p) {
  const size_t header = (p[0] & 15u) * 4;
  const uint8_t protocol = p[kIpProtocol];
  if (p.size() < header + 8 || protocol == kSctp || protocol == kGre || protocol == kEsp) return;
  const size_t at = header + (protocol == kUdpLite ? kUdpChecksum
                              : protocol == kDccp  ? 6u
                                                   : checksumOffset(protocol));
  if (p.size() < at + 2) return;
  const size_t length = p.size() - header;
  size_t covered = length;
  if (protocol == kUdpLite) {
    const size_t coverage = load16be(&p[header + 4]);
    if (coverage >= 8) covered = std::min(covered, coverage);
  } else if (protocol == kDccp && (p[header + 5] & 15) != 0) {
    covered = std::min(covered, p[header + 4] * size_t{4} + ((p[header + 5] & 15u) - 1) * 4);
  }
  store16be(&p[at], 0);
  const uint32_t initial = protocol == kIcmp ? 0 : pseudoHeader(p.data(), protocol, length);
  const auto sum = static_cast<uint16_t>(~checksum(&p[header], covered, initial));
  store16be(&p[at], sum == 0 && protocol != kTcp ? uint16_t{0xffff} : sum);
}

/// The IPv4 header of a packet around a transport message.
Bytes wrap(const Flow& flow, const Step& step, const Bytes& message) {
  static constexpr uint8_t kOptions[] = {7, 39, 4, 192, 0, 2, 1, 131, 7, 4, 198, 51, 100, 9, 1, 0};
  const uint32_t options = pick<uint32_t>({0, 0, 0, 4, 40, 16, 0, 0}, step.header >> 5);
  Bytes p(kIpHeader + options);
  for (uint32_t i = 0; i < options; i++) p[kIpHeader + i] = kOptions[(i + (step.where & 8)) % 16];
  p.insert(p.end(), message.begin(), message.end());
  p[0] = static_cast<uint8_t>(0x45 + options / 4);
  p[kIpTos] = step.header == 77 ? 0xb8 : 0;
  store16be(&p[kIpTotal], static_cast<uint16_t>(p.size()));
  store16be(&p[kIpId], flow.id);
  if ((step.header & 4) == 0) store(&p[kIpFragment], kDontFragment);
  p[kIpTtl] = pick<uint8_t>({64, 255, 1, 2}, step.header & 3);
  if (step.header == 0xfe) p[kIpTtl] = 0;
  p[kIpProtocol] = flow.protocol;
  store(&p[kIpSource], flow.from);
  store(&p[kIpDestination], flow.to);
  return p;
}

Packet finish(Bytes bytes) {
  Packet packet;
  packet.wire = static_cast<uint32_t>(bytes.size());
  packet.bytes = std::move(bytes);
  return packet;
}

uint8_t answerOf(uint8_t icmpType) {
  switch (icmpType) {
    case kEcho:
      return kEchoReply;
    case kTimestamp:
      return kTimestampReply;
    case kAddressMask:
      return kAddressMaskReply;
    default:
      return icmpType;
  }
}

/// The tag that answers an SCTP packet: the one that its INIT asks for.
uint32_t tagFor(const Bytes& p, const Step& step) {
  const size_t chunk = (p[0] & 15u) * 4 + 12;
  const bool asks = p.size() >= chunk + 8 && (p[chunk] == 1 || p[chunk] == 2);
  return asks ? load32be(&p[chunk + 4]) : step.numbers % 4u;
}

/// Where the next byte of this segment's sender comes.
uint32_t endOf(const Bytes& p, const Flow& flow) {
  const size_t header = (p[0] & 15u) * 4;
  if (flow.protocol != kTcp || p.size() < header + kTcpHeader) return flow.sequence;
  const size_t whole = p.size() - header, own = (p[header + 12] >> 4) * size_t{4};
  const uint8_t flags = p[header + kTcpFlags];
  return flow.sequence + static_cast<uint32_t>(whole > own ? whole - own : 0) +
         ((flags & kSyn) != 0 ? 1 : 0) + ((flags & kFin) != 0 ? 1 : 0);
}

}  // namespace

uint16_t checksum(const uint8_t* p, size_t length, uint32_t initial) {
  uint64_t sum = initial;
  for (size_t i = 0; i < length; i++) sum += i % 2 == 0 ? uint64_t{p[i]} << 8 : p[i];
  while (sum >> 16 != 0) sum = (sum & 0xffff) + (sum >> 16);
  return static_cast<uint16_t>(sum);
}

uint32_t pseudoHeader(const uint8_t* ip, uint8_t protocol, size_t length) {
  return uint32_t{checksum(ip + kIpSource, 8)} + protocol + static_cast<uint32_t>(length);
}

uint8_t protocolOf(const Step& step) {
  constexpr uint8_t kOther[] = {kGre, kEsp, 51, 2, 0, 255, 41, 4};
  switch (step.protocol % 16) {
    case 12:
      return kUdpLite;
    case 13:
      return kDccp;
    case 14:
      return kSctp;
    case 15:
      return pick(kOther, step.protocol >> 4);
    default:
      return pick<uint8_t>({kTcp, kUdp, kIcmp}, step.protocol % 16);
  }
}

Flow flowOf(const Bytes& p) {
  Flow flow{};
  flow.from = load<uint32_t>(&p[kIpSource]);
  flow.to = load<uint32_t>(&p[kIpDestination]);
  flow.protocol = p[kIpProtocol];
  flow.id = load16be(&p[kIpId]);
  const size_t header = (p[0] & 15u) * 4;
  if (p.size() < header + 8) return flow;
  const uint8_t* transport = p.data() + header;
  if (flow.protocol == kIcmp) {
    flow.icmpType = transport[0];
    flow.sourcePort = flow.destinationPort = load16be(transport + kIcmpId);
    return flow;
  }
  flow.sourcePort = load16be(transport);
  flow.destinationPort = load16be(transport + 2);
  if (flow.protocol == kGre) flow.sourcePort = flow.destinationPort = load16be(transport + 6);
  if (p.size() < header + 12) return flow;
  flow.sequence = load32be(transport + kTcpSequence);
  flow.ack = load32be(transport + kTcpAck);
  return flow;
}

Flow answerTo(const Bytes& packet, const Step& step) {
  Flow flow = flowOf(packet);
  const uint32_t end = endOf(packet, flow);
  std::swap(flow.from, flow.to);
  std::swap(flow.sourcePort, flow.destinationPort);
  flow.sequence = flow.ack + kOff[step.numbers >> 4];
  flow.ack = end + kOff[step.numbers & 15];
  if (flow.protocol == kSctp) flow.sequence = tagFor(packet, step);
  flow.icmpType = (step.flags & 0x80) != 0 ? flow.icmpType : answerOf(flow.icmpType);
  flow.id = static_cast<uint16_t>(step.where * 3);
  // Sometimes from another port or host: what filtering is about.
  if (step.sourcePort >= 192) flow.sourcePort = static_cast<uint16_t>(flow.sourcePort + 1);
  if (step.from >= 192) flow.from += 0x01000000;
  return flow;
}

Flow nextOf(const Bytes& packet, const Step& step) {
  Flow flow = flowOf(packet);
  flow.sequence = endOf(packet, flow) + kOff[step.numbers >> 4];
  flow.ack += kOff[step.numbers & 15];
  return flow;
}

Packet build(const Flow& flow, const Step& step) {
  Packet packet = finish(wrap(flow, step, transport(flow, step)));
  sealTransport(packet.bytes);
  sealHeader(packet.bytes);
  damage(packet, step);
  return packet;
}

Packet buildError(const Bytes& about, uint32_t router, const Step& step) {
  constexpr uint8_t kTypes[] = {kUnreachable, kTimeExceeded, kParameterProblem, kSourceQuench, 5};
  Flow flow = flowOf(about);
  Bytes quote = about;
  if ((step.extra & 0x40) != 0 && !quote.empty()) quote[step.where % quote.size()] ^= step.value;
  if ((step.extra & 0x60) == 0x60) sealHeader(quote);
  const size_t wanted = pick<size_t>({28, 36, 20, 8, 128, 1000, 24, 64}, step.size);
  quote.resize(wanted > quote.size() && wanted != 128 ? quote.size() : wanted);
  Bytes message = {pick(kTypes, step.flags),
                   static_cast<uint8_t>(step.flags >> 4),
                   0,
                   0,
                   0,
                   0,
                   static_cast<uint8_t>(step.window),
                   step.sourcePort};
  message.insert(message.end(), quote.begin(), quote.end());
  if (wanted == 128) {
    message[5] = 32;  // RFC 4884: the quotation's length in words, then extensions
    message.insert(message.end(), {0x20, 0, 0xdf, 0xff, 0, 8, 1, 1, 0, 1, 0x11, 0xff});
  }
  flow.to = flow.from;
  flow.from = router != 0 ? router : load<uint32_t>(&about[kIpDestination]);
  flow.protocol = kIcmp;
  Packet packet = finish(wrap(flow, step, message));
  sealTransport(packet.bytes);
  sealHeader(packet.bytes);
  damage(packet, step);
  return packet;
}

std::vector<Packet> split(const Packet& packet, const Step& step) {
  const Bytes& whole = packet.bytes;
  const size_t header = (whole[0] & 15u) * 4;
  const size_t size = pick<size_t>({8, 24, 16, 40, 64, 512}, step.window);
  std::vector<Packet> pieces;
  for (size_t at = header; at < whole.size() && pieces.size() < 16; at += size) {
    const size_t end = std::min(at + size, whole.size());
    Bytes piece(whole.begin(), whole.begin() + static_cast<long>(header));
    piece.insert(piece.end(), whole.begin() + static_cast<long>(at),
                 whole.begin() + static_cast<long>(end));
    const size_t units = (at - header) / 8;
    store16be(&piece[kIpTotal], static_cast<uint16_t>(piece.size()));
    store16be(&piece[kIpFragment],
              static_cast<uint16_t>(units | (end < whole.size() ? 0x2000u : 0u)));
    sealHeader(piece);
    pieces.push_back(finish(std::move(piece)));
  }
  return pieces;
}

void mend(Bytes& p) {
  if (p.size() < kIpHeader) return;
  p[0] = static_cast<uint8_t>(0x40 | std::clamp<uint32_t>(p[0] & 15u, 5, 15));
  if (p.size() < (p[0] & 15u) * 4) p[0] = 0x45;
  store16be(&p[kIpTotal], static_cast<uint16_t>(p.size()));
  sealTransport(p);
  sealHeader(p);
}

void damage(Packet& packet, const Step& step) {
  Bytes& p = packet.bytes;
  const size_t header = (p[0] & 15u) * 4;
  packet.partial = step.damage >= 240;
  packet.fromOutside = step.damage >= 208 && step.damage < 224;
  switch (step.damage % 16) {
    case 7:  // a wrong header checksum
      p[kIpChecksum] ^= step.value;
      break;
    case 8: {  // no checksum, or a wrong one
      const size_t at = header + checksumOffset(p[kIpProtocol]);
      if (p.size() >= at + 2) store16be(&p[at], step.value);
      break;
    }
    case 9:  // another total length; 0 is that of a segment for the card to cut
      store16be(&p[kIpTotal],
                static_cast<uint16_t>(step.where == 0 ? 0 : p.size() + step.where - 128u));
      sealHeader(p);
      break;
    case 10:  // cut by the capture
      p.resize(std::min<size_t>(p.size(), step.where));
      break;
    case 11:  // padded to Ethernet's least
      p.resize(p.size() + step.where % 24, 0xee);
      packet.wire = static_cast<uint32_t>(p.size());
      break;
    case 12:  // fragment bits, DF with them
      store16be(&p[kIpFragment], static_cast<uint16_t>(step.where << 8 | step.value));
      sealHeader(p);
      break;
    case 13:
      p[step.where % p.size()] ^= step.value;
      break;
    case 14:
      if (p.size() > header) p[header + step.where % (p.size() - header)] = step.value;
      sealTransport(p);
      break;
    case 15:
      p[step.where % p.size()] = step.value;
      sealTransport(p);
      sealHeader(p);
      break;
    default:
      break;
  }
}

}  // namespace napt::fuzz
