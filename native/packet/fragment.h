// Fragmentation (RFC 791, section 3.2).
#pragma once

#include "packet/ipv4.h"

namespace napt {

/// Every link carries so much (RFC 791, section 3.2): the longest header and 8 bytes.
constexpr uint32_t kLeastMtu = 68;

/// Cuts a packet, which may be a fragment itself, into pieces of at most `mtu` bytes. Options that
/// are not to be copied stay with the first piece. The header checksum stays as right or wrong as
/// it was; the transport's must be whole, as no piece can be summed for it.
class Fragmenter {
 public:
  /// `packet` must be here in full, and `mtu` at least kLeastMtu.
  Fragmenter(const PacketView& packet, uint32_t mtu);

  /// How many pieces there are in all.
  uint32_t count() const;

  /// Writes the next piece, in order, to `out`, which has room for `mtu` bytes. Returns its length,
  /// or 0 when there are no more.
  uint32_t next(uint8_t* out);

 private:
  struct Header {
    uint8_t bytes[60];
    uint32_t length;
  };
  uint32_t sizeOf(const Header& header, uint32_t rest) const;

  Header first_, later_;  // with a checksum of 0
  uint16_t checksum_;     // the packet's
  uint16_t sum_;          // of its header without that
  uint16_t fragment_;     // its flags and offset, host order
  const uint8_t* payload_;
  uint32_t length_;  // of the payload
  uint32_t mtu_;
  uint32_t at_ = 0;
};

}  // namespace napt
