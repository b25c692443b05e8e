#include "test/conversation.h"

namespace napt::test {

Bytes segment(End from, End to, uint8_t flags, uint32_t sequence, uint32_t ack, const Text& text,
              const Bytes& options) {
  Bytes packet = tcp(from, to, flags, sequence, ack, options.size() + text.size());
  std::copy(options.begin(), options.end(), packet.begin() + 40);
  packet[32] = static_cast<uint8_t>((20 + options.size()) / 4 << 4);
  std::copy(text.begin(), text.end(), packet.begin() + 40 + static_cast<long>(options.size()));
  seal(packet);
  return packet;
}

Text textOf(const Bytes& packet) {
  return {packet.begin() + 20 + (packet[32] >> 4) * 4, packet.end()};
}

Bytes pass(Translator& nat, const Bytes& sent, uint64_t now) {
  Bytes packet = sent;
  constexpr uint32_t kTag = 77;
  const Result result = run(nat, packet, now, kTag);
  Bytes out;
  if (result.verdict == Verdict::Forwarded) out = packet;
  if (result.verdict == Verdict::Held) {
    CHECK(packet == sent);
    REQUIRE(nat.pending() == 1);
    nat.take([&](const StoredPacket& p, const uint8_t* bytes) {
      CHECK(p.origin == Origin::Fragment);
      CHECK(p.tag == kTag);
      CHECK(p.cause == kTag);
      CHECK(p.length == p.wire);
      CHECK(p.toInside == (result.direction == Direction::Inbound));
      out.assign(bytes, bytes + p.length);
    });
    CHECK(load16be(&out[kIpTotal]) == out.size());
  }
  if (!out.empty()) CHECK(isSound(out));
  return out;
}

}  // namespace napt::test
