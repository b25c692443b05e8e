#include "test/support.h"

namespace napt::test {

uint16_t slowSum(const uint8_t* p, size_t length, uint32_t initial) {
  uint32_t sum = initial;
  for (size_t i = 0; i < length; i += 2) {
    sum += static_cast<uint32_t>(p[i] << 8);
    if (i + 1 < length) sum += p[i + 1];
    sum = (sum & 0xffff) + (sum >> 16);
  }
  return static_cast<uint16_t>(sum);
}

static uint32_t pseudoHeader(const Bytes& packet) {
  if (packet[kIpProtocol] == kIcmp) return 0;
  return slowSum(packet.data() + kIpSource, 8) + packet[kIpProtocol] +
         static_cast<uint32_t>(packet.size() - kIpHeader);
}

bool isSound(const Bytes& packet) {
  const uint8_t* transport = packet.data() + kIpHeader;
  const bool none = packet[kIpProtocol] == kUdp && load16be(transport + kUdpChecksum) == 0;
  return slowSum(packet.data(), kIpHeader) == 0xffff &&
         (none || slowSum(transport, packet.size() - kIpHeader, pseudoHeader(packet)) == 0xffff);
}

void seal(Bytes& packet) {
  store16be(&packet[kIpChecksum], 0);
  store16be(&packet[kIpChecksum], static_cast<uint16_t>(~slowSum(packet.data(), kIpHeader)));
  uint8_t* at = &packet[kIpHeader + checksumOffset(packet[kIpProtocol])];
  store16be(at, 0);
  const auto sum = static_cast<uint16_t>(
      ~slowSum(&packet[kIpHeader], packet.size() - kIpHeader, pseudoHeader(packet)));
  store16be(at, sum == 0 && packet[kIpProtocol] == kUdp ? uint16_t{0xffff} : sum);
}

static Bytes header(uint8_t protocol, uint32_t from, uint32_t to, size_t body) {
  Bytes packet(kIpHeader + body);
  packet[0] = 0x45;
  store16be(&packet[kIpTotal], static_cast<uint16_t>(packet.size()));
  store16be(&packet[kIpId], 0x1234);
  store(&packet[kIpFragment], kDontFragment);
  packet[kIpTtl] = 64;
  packet[kIpProtocol] = protocol;
  store(&packet[kIpSource], from);
  store(&packet[kIpDestination], to);
  return packet;
}

Bytes udp(End from, End to, size_t payload) {
  Bytes packet = header(kUdp, from.address, to.address, kUdpHeader + payload);
  store16be(&packet[20], from.port);
  store16be(&packet[22], to.port);
  store16be(&packet[24], static_cast<uint16_t>(kUdpHeader + payload));
  for (size_t i = 28; i < packet.size(); i++) packet[i] = static_cast<uint8_t>(i * 7);
  seal(packet);
  return packet;
}

Bytes tcp(End from, End to, uint8_t flags, uint32_t sequence, uint32_t ack, size_t payload) {
  Bytes packet = header(kTcp, from.address, to.address, kTcpHeader + payload);
  store16be(&packet[20], from.port);
  store16be(&packet[22], to.port);
  store(&packet[24], swap32(sequence));
  store(&packet[28], swap32(ack));
  packet[32] = 0x50;
  packet[33] = flags;
  store16be(&packet[34], 1000);
  seal(packet);
  return packet;
}

Bytes echo(uint32_t from, uint32_t to, uint16_t id, bool reply) {
  Bytes packet = header(kIcmp, from, to, kIcmpHeader + 8);
  packet[20] = reply ? kEchoReply : kEcho;
  store16be(&packet[24], id);
  store16be(&packet[26], 1);
  seal(packet);
  return packet;
}

Bytes icmpError(uint32_t from, uint32_t to, uint8_t type, uint8_t code, const Bytes& about,
                size_t octets) {
  const size_t quoted = std::min(octets, about.size());
  Bytes packet = header(kIcmp, from, to, kIcmpHeader + quoted);
  packet[20] = type;
  packet[21] = code;
  std::copy(about.begin(), about.begin() + static_cast<long>(quoted), packet.begin() + 28);
  seal(packet);
  return packet;
}

Bytes ipv4(uint8_t protocol, uint32_t from, uint32_t to, const Bytes& body) {
  Bytes packet = header(protocol, from, to, body.size());
  std::copy(body.begin(), body.end(), packet.begin() + kIpHeader);
  sealHeader(packet);
  return packet;
}

void sealHeader(Bytes& packet) {
  const size_t length = (packet[0] & 15u) * 4;
  store16be(&packet[kIpChecksum], 0);
  store16be(&packet[kIpChecksum], static_cast<uint16_t>(~slowSum(packet.data(), length)));
}

Bytes fragmentable(Bytes packet, uint16_t id) {
  store16be(&packet[kIpFragment], 0);
  store16be(&packet[kIpId], id);
  sealHeader(packet);
  return packet;
}

std::vector<Bytes> split(const Bytes& packet, std::vector<size_t> sizes) {
  std::vector<Bytes> pieces;
  size_t at = kIpHeader;
  for (const size_t size : sizes) {
    const size_t length = std::min(size, packet.size() - at);
    Bytes piece(packet.begin(), packet.begin() + kIpHeader);
    piece.insert(piece.end(), packet.begin() + static_cast<long>(at),
                 packet.begin() + static_cast<long>(at + length));
    const bool more = at + length < packet.size();
    const size_t units = (at - kIpHeader) / 8;
    store16be(&piece[kIpTotal], static_cast<uint16_t>(piece.size()));
    store16be(&piece[kIpFragment], static_cast<uint16_t>(units | (more ? 0x2000u : 0u)));
    store16be(&piece[kIpChecksum], 0);
    store16be(&piece[kIpChecksum], static_cast<uint16_t>(~slowSum(piece.data(), kIpHeader)));
    pieces.push_back(piece);
    at += length;
  }
  return pieces;
}

End sourceOf(const Bytes& p) { return {load<uint32_t>(&p[kIpSource]), load16be(&p[20])}; }
End destinationOf(const Bytes& p) { return {load<uint32_t>(&p[kIpDestination]), load16be(&p[22])}; }

Config config() {
  Config c;
  c.inside = {{0xc0a8e200, 0xffffff00}};
  c.outside = {{kPublic, 1024, 65535}};
  uint64_t* timeouts = c.profiles[0].timeouts;
  std::fill(timeouts, timeouts + kTimeouts, 240 * kSecond);
  timeouts[static_cast<int>(Timeout::Udp)] = 300 * kSecond;
  timeouts[static_cast<int>(Timeout::TcpEstablished)] = 7440 * kSecond;
  timeouts[static_cast<int>(Timeout::Icmp)] = 60 * kSecond;
  c.fragmentTimeout = 30 * kSecond;
  c.sessionLimit = 100'000;
  c.fragmentLimit = 64;
  return c;
}

std::unique_ptr<Translator> make(const Config& from) { return Translator::create(from, {42, 0}); }

Result run(Translator& nat, Bytes& packet, uint64_t now, uint32_t tag) {
  const auto size = static_cast<uint32_t>(packet.size());
  return nat.translate({packet.data(), size, size, false}, tag, now);
}

Result send(Translator& nat, Bytes packet, uint64_t now) { return run(nat, packet, now); }

End mapped(Translator& nat, End from, End to, uint64_t now) {
  Bytes packet = udp(from, to);
  return run(nat, packet, now).verdict == Verdict::Forwarded ? sourceOf(packet) : End{0, 0};
}

End delivered(Translator& nat, End from, End to, uint64_t now) {
  Bytes packet = udp(from, to);
  return run(nat, packet, now).verdict == Verdict::Forwarded ? destinationOf(packet) : End{0, 0};
}

}  // namespace napt::test
