// Port blocks: contiguous ports that one inside host owns, so that a log needs one line for a
// whole block (RFC 6888, REQ-14; RFC 7753). A block serves all protocols of the host.
//
// A block is a host's while it has a binding in it; then it may rest before another host gets it
// (`blockHold`). With deterministic NAT (RFC 7422) each host has a fixed block too, which follows
// from its address and is never given or taken; blocks beyond it come from what the fixed ones
// leave of the range.
#pragma once

#include <optional>

#include "nat/hosts.h"
#include "nat/ports.h"
#include "nat/pressure.h"

namespace napt {

struct PortBlock {
  uint32_t host;      // slot in Hosts
  uint32_t next;      // the host's next block plus one; of a free slot: the next free one
  uint32_t bindings;  // ports in use, over all protocols
  uint16_t address;   // which public address
  uint16_t low, high;
  bool fixed;  // deterministic: the host's for good
};

class PortBlocks {
 public:
  PortBlocks(const Config& config, const PublicAddresses& addresses, Events& events,
             Pressure& pressure, const uint64_t& now)
      : config_(config), addresses_(addresses), events_(events), pressure_(pressure), now_(now) {}

  bool reserve(uint32_t mostHosts);

  bool enabled() const { return size_ != 0 || config_.deterministic.portsPerHost != 0; }
  PortBlock& operator[](uint32_t slot) { return blocks_[slot]; }

  /// Blocks of an address that can be given.
  uint32_t free(uint32_t address) {
    wake();
    return blocksOf(address) - taken_[address];
  }
  /// Blocks of an address that there are to give, and how many of them are given or at rest; those
  /// that have rested long enough but were not asked for since still rest.
  uint32_t total(uint32_t address) const { return blocksOf(address); }
  uint32_t taken(uint32_t address) const { return size_ == 0 ? 0 : taken_[address]; }
  Pressure::Fill fill(uint32_t address) const { return {taken(address), total(address)}; }
  /// Gives a new host its fixed block, if it has one; the public address of it.
  std::optional<uint16_t> begin(Hosts& hosts, uint32_t host);

  /// Gives the host a free block of a public address, found from a random start; kNone if none.
  /// `hasPort(low, high)` tells whether a block is any use: forwards may own all of its ports.
  template <class HasPort>
  uint32_t allocate(Hosts& hosts, uint32_t host, uint32_t address, bool atRandom, Random& random,
                    HasPort hasPort) {
    const uint32_t count = blocksOf(address);
    if (free(address) == 0 || !mayHaveMore(hosts[host])) return Index::kNone;
    const uint32_t start = atRandom ? random.below(count) : 0;
    for (uint32_t i = 0; i < count; i++) {
      const uint32_t number = start + i < count ? start + i : start + i - count;
      const uint32_t low = firstOf(address) + number * size_;
      if (owners_[at(address, number)] == 0 && hasPort(low, low + size_ - 1)) {
        return give(hosts, host, address, number);
      }
    }
    return Index::kNone;
  }

  /// Makes the block around an endpoint the host's, unless it is another's.
  bool claim(Hosts& hosts, uint32_t host, PublicEndpoint e);

  /// Whether an endpoint lies in a block of the host's.
  bool has(const Hosts& hosts, uint32_t host, PublicEndpoint e) const {
    return find(hosts, host, e) != Index::kNone;
  }

  void bindingMade(const Hosts& hosts, uint32_t host, PublicEndpoint e) {
    blocks_[find(hosts, host, e)].bindings++;
  }
  /// A port of a block is free again; the block goes with its last.
  void bindingEnded(Hosts& hosts, uint32_t host, PublicEndpoint e) {
    const uint32_t slot = find(hosts, host, e);
    if (--blocks_[slot].bindings == 0 && !blocks_[slot].fixed) release(hosts, slot);
  }
  /// Takes all blocks back from a host that has no session.
  void end(Hosts& hosts, uint32_t host) {
    while (hosts[host].blocks != 0) release(hosts, hosts[host].blocks - 1);
  }

  /// Tells which blocks another config's hosts have no more, and which they have instead.
  void tellChange(const Hosts& hosts, const PortBlocks& old, const Hosts& oldHosts) const;

 private:
  friend class Audit;

  static constexpr uint32_t kResting = 0xffffffff;  // owner of a block at rest

  struct Rest {
    uint64_t since;
    uint32_t address, number;
  };

  /// The first port of an address that is given in blocks.
  uint32_t firstOf(uint32_t address) const {
    const Deterministic& d = config_.deterministic;
    return addresses_[address].low + d.portsPerHost * d.hostsPerAddress;
  }
  uint32_t blocksOf(uint32_t address) const {
    const uint32_t end = uint32_t{addresses_[address].high} + 1, first = firstOf(address);
    return size_ == 0 || first >= end ? 0 : (end - first) / size_;
  }
  size_t at(uint32_t address, uint32_t number) const {
    return size_t{address} * perAddress_ + number;
  }
  bool mayHaveMore(const Host& host) const;
  uint32_t find(const Hosts& hosts, uint32_t host, PublicEndpoint e) const;
  uint32_t add(Hosts& hosts, uint32_t host, const PortBlock& block);
  uint32_t give(Hosts& hosts, uint32_t host, uint32_t address, uint32_t number);
  void release(Hosts& hosts, uint32_t slot);
  void wake();
  void freed(uint32_t address);
  void tell(EventType type, uint32_t inside, uint32_t outside, const PortBlock& block) const;
  bool hasSame(const Hosts& hosts, uint32_t inside, uint32_t outside, const PortBlock& block) const;
  template <class Visit>
  void forEachGiven(const Hosts& hosts, Visit visit) const;

  const Config& config_;
  const PublicAddresses& addresses_;
  Events& events_;
  Pressure& pressure_;
  const uint64_t& now_;
  uint32_t size_ = 0, perAddress_ = 0;
  Arena<uint32_t> owners_;  // for each block of each address: its slot plus one, or kResting
  Arena<PortBlock> blocks_;
  Arena<Rest> resting_;  // a ring, oldest first
  size_t restFirst_ = 0, restCount_ = 0;
  std::vector<uint32_t> taken_;  // by address: blocks in use or at rest
  uint32_t used_ = 0, free_ = 0;
};

}  // namespace napt
