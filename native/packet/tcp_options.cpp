#include "packet/tcp_options.h"

namespace napt {

void clampMss(const PacketView& packet, const Parsed& parsed, uint16_t most) {
  constexpr uint8_t kMss = 2, kMssLength = 4;
  uint8_t* tcp = packet.data + parsed.header;
  const uint32_t here = parsed.end - parsed.header;
  if (parsed.protocol != kTcp || here < kTcpHeader || (tcp[kTcpFlags] & kSyn) == 0) return;
  // A header longer than its segment is no header. A fragmented one's end may come later.
  const uint32_t header = (tcp[12] >> 4) * 4u;
  if (header > parsed.total - parsed.header && !parsed.first) return;
  eachTcpOption(tcp, here, [&](uint8_t kind, const uint8_t* option, uint32_t length) {
    if (kind != kMss || length != kMssLength || load16be(option + 2) <= most) return;
    const auto at = static_cast<uint32_t>(option + 2 - tcp);
    const Delta delta = delta16(load<uint16_t>(tcp + at), swap16(most));
    store16be(tcp + at, most);
    // A partial checksum is of the pseudo-header, which has no options.
    if (packet.partial) return;
    // Across two words of the sum the value lies with its bytes swapped (RFC 1071, section 2B).
    const Delta aligned = at % 2 == 0 ? delta : swap16(delta);
    store(tcp + kTcpChecksum, adjust(load<uint16_t>(tcp + kTcpChecksum), aligned));
  });
}

}  // namespace napt
