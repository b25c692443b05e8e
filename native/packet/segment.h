// Work that a sender left to the network card (virtio_net_hdr): to cut a super-packet into
// segments, to complete a checksum. For links that have no card.
#pragma once

#include "packet/ipv4.h"

namespace napt {

/// Cuts a TCP or UDP super-packet into packets that carry `size` bytes of its payload each, as a
/// card would: a TCP segment has its sequence number, a datagram its length, all their checksums.
class Segmenter {
 public:
  /// `packet` has `length` bytes from the IPv4 header on, and is no fragment.
  Segmenter(const uint8_t* packet, uint32_t length, uint32_t size);

  /// Whether it can be cut: TCP or UDP, with whole headers, and a size.
  bool usable() const { return headers_ != 0; }
  /// The length of the next piece, in order; 0 when there are no more.
  uint32_t nextLength() const;
  /// Writes it to `out`, which has room for it.
  void next(uint8_t* out);

 private:
  const uint8_t* packet_;
  uint32_t size_;
  uint32_t ip_ = 0;       // bytes of the IPv4 header
  uint32_t headers_ = 0;  // of both; 0: not usable
  uint32_t payload_ = 0;
  uint32_t at_ = 0;  // in the payload
  uint32_t number_ = 0;
};

/// Computes the checksum that covers everything from `start` on; its field, `offset` bytes further,
/// holds the sum of the pseudo-header. False when that is not within the packet.
bool completeChecksumAt(uint8_t* packet, uint32_t length, uint32_t start, uint32_t offset);

}  // namespace napt
