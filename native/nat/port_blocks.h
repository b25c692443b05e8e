// Port blocks (RFC 6888, REQ-14; RFC 7753): contiguous ports that one inside host owns while it
// has a binding in them, so that a log needs one line for a whole block. A block serves all
// protocols of the host.
#pragma once

#include "nat/hosts.h"
#include "nat/ports.h"

namespace napt {

struct PortBlock {
  uint32_t host;      // slot in Hosts
  uint32_t next;      // the host's next block plus one; of a free slot: the next free one
  uint32_t bindings;  // ports in use, over all protocols
  uint16_t address;   // which public address
  uint16_t low, high;
};

class PortBlocks {
 public:
  bool reserve(const PublicAddresses& addresses, uint32_t size, uint32_t most) {
    addresses_ = &addresses;
    size_ = size;
    if (size == 0) return true;
    perAddress_ = 65536 / size + 1;
    const uint64_t all = uint64_t{perAddress_} * addresses.size();
    taken_.assign(addresses.size(), 0);
    return owners_.reserve(all) && blocks_.reserve(all < most ? all : most);
  }

  bool enabled() const { return size_ != 0; }
  PortBlock& operator[](uint32_t slot) { return blocks_[slot]; }

  /// Blocks of an address that nobody has.
  uint32_t free(uint32_t address) const { return blocksOf(address) - taken_[address]; }

  /// Gives the host a free block of a public address, found from a random start; kNone if none.
  /// `hasPort(low, high)` tells whether a block is any use: forwards may own all of its ports.
  template <class HasPort>
  uint32_t allocate(Host& host, uint32_t hostSlot, uint32_t address, bool atRandom, Random& random,
                    HasPort hasPort) {
    const uint32_t count = blocksOf(address);
    if (free(address) == 0) return Index::kNone;
    const uint32_t first = (*addresses_)[address].low;
    const uint32_t start = atRandom ? random.below(count) : 0;
    for (uint32_t i = 0; i < count; i++) {
      const uint32_t number = start + i < count ? start + i : start + i - count;
      const uint32_t low = first + number * size_;
      if (owners_[size_t{address} * perAddress_ + number] == 0 && hasPort(low, low + size_ - 1)) {
        return give(host, hostSlot, address, number);
      }
    }
    return Index::kNone;
  }

  /// Makes the block around an endpoint the host's, unless it is another's.
  bool claim(PublicEndpoint e, Host& host, uint32_t hostSlot) {
    const PublicAddress& range = (*addresses_)[e.address];
    const uint32_t number = (uint32_t{e.port} - range.low) / size_;
    if (range.low + (number + 1) * size_ > uint32_t{range.high} + 1) return false;
    if (owner(e) != 0) return blocks_[owner(e) - 1].host == hostSlot;
    return give(host, hostSlot, e.address, number) != Index::kNone;
  }

  void bindingMade(PublicEndpoint e) { blocks_[owner(e) - 1].bindings++; }

  /// A port of a block is free again; the block goes with its last.
  void bindingEnded(PublicEndpoint e, Hosts& hosts) {
    const uint32_t slot = owner(e) - 1;
    if (--blocks_[slot].bindings == 0) release(slot, hosts);
  }

  /// Takes a block back from its host.
  void release(uint32_t slot, Hosts& hosts) {
    PortBlock& block = blocks_[slot];
    uint32_t* link = &hosts[block.host].blocks;
    while (*link != slot + 1) link = &blocks_[*link - 1].next;
    *link = block.next;
    owner({block.address, block.low}) = 0;
    taken_[block.address]--;
    block.next = free_;
    free_ = slot + 1;
  }

 private:
  uint32_t blocksOf(uint32_t address) const {
    const PublicAddress& range = (*addresses_)[address];
    return range.low > range.high ? 0 : (uint32_t{range.high} - range.low + 1) / size_;
  }

  uint32_t give(Host& host, uint32_t hostSlot, uint32_t address, uint32_t number) {
    const uint32_t slot = free_ != 0 ? free_ - 1 : used_;
    if (slot >= blocks_.capacity()) return Index::kNone;
    if (free_ != 0) {
      free_ = blocks_[slot].next;
    } else {
      used_++;
    }
    owners_[size_t{address} * perAddress_ + number] = slot + 1;
    taken_[address]++;
    const uint32_t low = (*addresses_)[address].low + number * size_;
    blocks_[slot] = {hostSlot,
                     host.blocks,
                     0,
                     static_cast<uint16_t>(address),
                     static_cast<uint16_t>(low),
                     static_cast<uint16_t>(low + size_ - 1)};
    host.blocks = slot + 1;
    return slot;
  }

  uint32_t& owner(PublicEndpoint e) {
    const uint32_t number = (uint32_t{e.port} - (*addresses_)[e.address].low) / size_;
    return owners_[size_t{e.address} * perAddress_ + number];
  }

  const PublicAddresses* addresses_ = nullptr;
  uint32_t size_ = 0, perAddress_ = 0;
  Arena<uint32_t> owners_;  // for each block of each address: its slot plus one
  Arena<PortBlock> blocks_;
  std::vector<uint32_t> taken_;  // by address: blocks in use
  uint32_t used_ = 0, free_ = 0;
};

}  // namespace napt
