// The shared memory of a batch: a header, one descriptor for each packet, then the packets' bytes.
// JavaScript may write any of it at any time, so a field is read once and checked before use.
#pragma once

#include "packet/ipv4.h"

namespace napt {

struct BatchHeader {
  uint32_t magic;  // kBatchMagic
  uint32_t slots;  // descriptors that follow
  uint32_t count;  // packets in this batch
  uint32_t unused[13];
};
static_assert(sizeof(BatchHeader) == 64);
constexpr uint32_t kBatchMagic = 0x6e617001;  // "nap" and the layout's version

struct Descriptor {
  uint32_t offset;   // in:  of the IPv4 header within the packets' bytes
  uint32_t length;   // in:  bytes there
  uint32_t wire;     // in:  bytes on the wire; 0: the same
  uint32_t flags;    // in:  DescriptorFlag
  uint32_t verdict;  // out: Result::packed
  uint32_t session;  // out: slot plus one, or 0
  uint32_t tag;      // in:  comes back with packets that the engine puts out for this one
  uint32_t delay;    // in:  ns after the batch's time
};
static_assert(sizeof(Descriptor) == 32);

enum DescriptorFlag : uint32_t {
  kPartialChecksum = 1,
  kFromOutside = 2,       // came in on the outside: an inside source is spoofed (RFC 2827)
  kHairpinnedPacket = 4,  // a sibling has done its outbound half (siblings.h)
  kSegmented = 8,         // it is cut into segments when it leaves: no MTU applies to all of it
};

/// A packet as a descriptor's fields tell of it.
inline PacketView viewOf(uint8_t* data, uint32_t length, uint32_t wire, uint32_t flags) {
  return {data,
          length,
          wire > length ? wire : length,
          (flags & kPartialChecksum) != 0,
          (flags & kFromOutside) != 0,
          (flags & kHairpinnedPacket) != 0,
          (flags & kSegmented) != 0};
}
/// The other way round.
inline uint32_t flagsOf(const PacketView& packet) {
  return (packet.partial ? kPartialChecksum : 0u) | (packet.fromOutside ? kFromOutside : 0u) |
         (packet.hairpinned ? kHairpinnedPacket : 0u) | (packet.segmented ? kSegmented : 0u);
}

}  // namespace napt
