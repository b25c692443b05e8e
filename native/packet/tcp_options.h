// TCP options (RFC 9293, section 3.1).
#pragma once

#include <algorithm>

#include "packet/ipv4.h"

namespace napt {

/// Calls `visit(kind, option, length)` for the options of a TCP header, in order, but for padding:
/// those before the end of the list, or before one that makes no sense or is not here in full.
/// `here` bytes of the segment can be read.
template <class Visit>
void eachTcpOption(const uint8_t* tcp, uint32_t here, Visit visit) {
  constexpr uint8_t kEnd = 0, kNoOperation = 1;
  if (here < kTcpHeader) return;
  const uint32_t end = std::min((tcp[12] >> 4) * 4u, here);
  for (uint32_t at = kTcpHeader; at < end;) {
    const uint8_t kind = tcp[at];
    if (kind == kEnd) return;
    if (kind == kNoOperation) {
      at++;
      continue;
    }
    if (at + 1 >= end) return;
    const uint8_t length = tcp[at + 1];
    if (length < 2 || length > end - at) return;
    visit(kind, tcp + at, length);
    at += length;
  }
}

/// Lowers the maximum segment size that a SYN or SYN-ACK offers to `most` bytes, where it is larger
/// and here in full (RFC 9293, section 3.7.1). Other packets, and SYNs without the option, stay as
/// they are.
void clampMss(const PacketView& packet, const Parsed& parsed, uint16_t most);

}  // namespace napt
