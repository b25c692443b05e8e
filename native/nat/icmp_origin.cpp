// ICMP errors that the NAT sends itself, where the config wants them ("icmpErrors").
//
// They quote the packet as its sender knew it, which is as it came in. They are limited in rate
// (RFC 5508, REQ-10f), and never sent about an error, a later fragment, or a source that can't be
// answered (RFC 1812, 4.3.2.7).
#include "nat/translator.h"

namespace napt {

namespace {
constexpr uint64_t kSecond = 1'000'000'000;
constexpr uint32_t kErrorBurst = 50;
constexpr uint64_t kAnswerAfter = 6 * kSecond;  // RFC 5382, REQ-4
constexpr uint32_t kMostUnanswered = 64;
constexpr uint32_t kLargest = 576;  // RFC 1812, 4.3.2.3
constexpr uint32_t kHeaders = kIpHeader + kIcmpHeader;
constexpr uint8_t kPortUnreachable = 3;
constexpr uint32_t kIcmpMtu = 6;

/// Builds an error about the packet in `quote` at `out`, which has room for `kLargest` bytes. `mtu`
/// is the next hop's (RFC 1191, section 4), 0 in other errors.
uint32_t buildError(uint8_t* out, uint32_t source, uint32_t destination, uint8_t tos, uint8_t type,
                    uint8_t code, uint32_t mtu, const uint8_t* quote, uint32_t length) {
  const uint32_t quoted = std::min(length, kLargest - kHeaders);
  // The quotation may lie in `out` itself.
  std::memmove(out + kHeaders, quote, quoted);
  std::memset(out, 0, kHeaders);
  out[0] = 0x45;
  out[kIpTos] = tos & 0xfc;  // its diffserv class (RFC 5508, REQ-10d)
  store16be(out + kIpTotal, static_cast<uint16_t>(kHeaders + quoted));
  store(out + kIpFragment, kDontFragment);  // atomic: its identification says nothing
  out[kIpTtl] = 64;
  out[kIpProtocol] = kIcmp;
  store(out + kIpSource, source);
  store(out + kIpDestination, destination);
  store(out + kIpChecksum, static_cast<uint16_t>(~sumBytes(out, kIpHeader)));
  uint8_t* message = out + kIpHeader;
  message[0] = type;
  message[1] = code;
  store16be(message + kIcmpMtu, static_cast<uint16_t>(mtu));
  store(message + kIcmpChecksum, static_cast<uint16_t>(~sumBytes(message, kIcmpHeader + quoted)));
  return kHeaders + quoted;
}
}  // namespace

/// The address that an error about a packet is sent from (RFC 1812, 4.3.2.4; RFC 5508, REQ-5c): to
/// inside the NAT's own there; else the pool's first, or where there is no pool, the 1:1 address
/// that was sent to, or that sent.
uint32_t Translator::errorSource(uint32_t source, uint32_t destination, bool toInside) const {
  if (toInside && config_.insideAddress != 0) return config_.insideAddress;
  if (addresses_.pool() != 0) return addresses_[0].address;
  if (addresses_.find(destination) != PublicAddresses::kNone) return destination;
  PublicEndpoint e{};
  const bool mapped = bindings_.findPermanent(Key::of(source, destination, 0, 0, kIcmp), e);
  return addresses_[mapped ? e.address : 0].address;
}

void Translator::originate(const PacketView& cause, const Parsed& parsed, uint8_t type,
                           uint8_t code, bool toInside, uint32_t tag, uint32_t mtu) {
  if (!config_.icmpErrors || parsed.kind == Kind::IcmpError || parsed.kind == Kind::Fragment ||
      isUnroutable(parsed.source) || cause.hairpinned) {
    return;
  }
  RateLimit& limit = icmpErrors_[toInside ? 1 : 0];
  if (!limit.allows(config_.icmpErrorRate, kErrorBurst, now_)) return;
  const uint32_t link = store_.take();
  if (link == 0) return;
  limit.count(config_.icmpErrorRate, now_);
  StoredPacket& stored = store_[link];
  stored.length =
      buildError(store_.bytes(link), errorSource(parsed.source, parsed.destination, toInside),
                 parsed.source, cause.data[kIpTos], type, code, mtu, cause.data, parsed.end);
  stored.wire = stored.length;
  stored.tag = tag;
  stored.cause = tag;
  stored.at = now_;
  stored.origin = Origin::Icmp;
  stored.toInside = toInside;
  outbox_.push(store_, link);
  stats.originated++;
}

/// An unsolicited SYN may be half of a simultaneous open, so it is not answered at once.
void Translator::answerLater(const PacketView& packet, uint32_t tag) {
  if (!config_.icmpErrors || unanswered_.size() >= kMostUnanswered) return;
  const uint32_t link = store_.take();
  if (link == 0) return;
  StoredPacket& stored = store_[link];
  stored.length = std::min(packet.length, kLargest - kHeaders);
  stored.tag = tag;
  stored.at = now_ + kAnswerAfter;
  std::memcpy(store_.bytes(link), packet.data, stored.length);
  unanswered_.push(store_, link);
}

/// The inside host opens that connection itself: its SYN is never answered.
void Translator::forgetUnanswered(const Session& s, const Segment& segment) {
  if (unanswered_.empty() || !segment.known) return;
  if (s.protocol == kTcp && (segment.flags & kSyn) == 0) return;
  unanswered_.each(store_, [&](uint32_t link) {
    const uint8_t* p = store_.bytes(link);
    const uint32_t header = (p[0] & 15u) * 4;
    if (p[kIpProtocol] == s.protocol && load<uint32_t>(p + kIpSource) == s.remote &&
        load<uint32_t>(p + kIpDestination) == addresses_[s.address].address &&
        load<uint16_t>(p + header) == s.remotePort &&
        load<uint16_t>(p + header + 2) == s.publicPort) {
      store_[link].length = 0;
    }
  });
}

void Translator::answerUnsolicited(uint64_t until) {
  while (!unanswered_.empty() && store_[unanswered_.first()].at <= until) {
    const uint32_t link = unanswered_.pop(store_);
    StoredPacket& stored = store_[link];
    if (stored.length == 0) {
      store_.give(link);
      continue;
    }
    uint8_t* p = store_.bytes(link);
    const auto from = load<uint32_t>(p + kIpSource), to = load<uint32_t>(p + kIpDestination);
    stored.length = buildError(p, errorSource(from, to, false), from, p[kIpTos], kUnreachable,
                               kPortUnreachable, 0, p, stored.length);
    stored.wire = stored.length;
    stored.cause = 0;
    stored.origin = Origin::Icmp;
    stored.toInside = false;
    outbox_.push(store_, link);
    stats.originated++;
  }
}

void Translator::flush() { answerUnsolicited(~uint64_t{0}); }

}  // namespace napt
