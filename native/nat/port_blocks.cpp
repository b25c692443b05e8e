#include "nat/port_blocks.h"

namespace napt {

bool PortBlocks::reserve(uint32_t mostHosts) {
  const Deterministic& d = config_.deterministic;
  size_ = config_.blockSize;
  if (!enabled()) return true;
  perAddress_ = size_ == 0 ? 0 : 65536 / size_ + 1;
  const size_t given = size_t{perAddress_} * addresses_.size();
  const size_t fixed = d.portsPerHost == 0 ? 0 : size_t{d.hostsPerAddress} * addresses_.size();
  taken_.assign(addresses_.size(), 0);
  return owners_.reserve(given) && blocks_.reserve(std::min<size_t>(given, mostHosts) + fixed) &&
         (config_.blockHold == 0 || resting_.reserve(given));
}

bool PortBlocks::mayHaveMore(const Host& host) const {
  if (config_.blocksPerHost == 0) return true;
  uint32_t has = 0;
  for (uint32_t link = host.blocks; link != 0; link = blocks_[link - 1].next) {
    if (!blocks_[link - 1].fixed) has++;
  }
  return has < config_.blocksPerHost;
}

/// The host's block around an endpoint; kNone if it has none.
uint32_t PortBlocks::find(const Hosts& hosts, uint32_t host, PublicEndpoint e) const {
  for (uint32_t link = hosts[host].blocks; link != 0; link = blocks_[link - 1].next) {
    const PortBlock& block = blocks_[link - 1];
    if (block.address == e.address && e.port >= block.low && e.port <= block.high) return link - 1;
  }
  return Index::kNone;
}

uint32_t PortBlocks::add(Hosts& hosts, uint32_t host, const PortBlock& block) {
  const uint32_t slot = free_ != 0 ? free_ - 1 : used_;
  if (slot >= blocks_.capacity()) return Index::kNone;
  if (free_ != 0) {
    free_ = blocks_[slot].next;
  } else {
    used_++;
  }
  blocks_[slot] = block;
  blocks_[slot].host = host;
  blocks_[slot].next = hosts[host].blocks;
  hosts[host].blocks = slot + 1;
  return slot;
}

std::optional<uint16_t> PortBlocks::begin(Hosts& hosts, uint32_t host) {
  const Deterministic& d = config_.deterministic;
  if (d.portsPerHost == 0) return std::nullopt;
  const uint32_t inside = swap32(hosts[host].address);
  uint32_t number = 0;
  for (const Deterministic::Range& range : d.hosts) {
    if (inside < range.first || inside - range.first >= range.count) {
      number += range.count;
      continue;
    }
    number += inside - range.first;
    const uint32_t address = number / d.hostsPerAddress;
    if (address >= addresses_.pool()) return std::nullopt;
    const uint32_t low = addresses_[address].low + number % d.hostsPerAddress * d.portsPerHost;
    const auto public16 = static_cast<uint16_t>(address);
    add(hosts, host,
        {0, 0, 0, public16, static_cast<uint16_t>(low),
         static_cast<uint16_t>(low + d.portsPerHost - 1), true});
    return public16;
  }
  return std::nullopt;
}

uint32_t PortBlocks::give(Hosts& hosts, uint32_t host, uint32_t address, uint32_t number) {
  const uint32_t low = firstOf(address) + number * size_;
  const PortBlock block{0,
                        0,
                        0,
                        static_cast<uint16_t>(address),
                        static_cast<uint16_t>(low),
                        static_cast<uint16_t>(low + size_ - 1),
                        false};
  const uint32_t slot = add(hosts, host, block);
  if (slot == Index::kNone) return slot;
  owners_[at(address, number)] = slot + 1;
  taken_[address]++;
  if (events_.isOn()) [[unlikely]] {
    tell(EventType::BlockAllocated, hosts[host].address, addresses_[address].address, block);
    if (events_.wantsPools()) pressure_.changed(Pressure::kBlocks, address, fill(address));
  }
  return slot;
}

bool PortBlocks::claim(Hosts& hosts, uint32_t host, PublicEndpoint e) {
  if (has(hosts, host, e)) return true;
  if (e.port < firstOf(e.address) || size_ == 0) return false;
  const uint32_t number = (e.port - firstOf(e.address)) / size_;
  if (number >= blocksOf(e.address) || owners_[at(e.address, number)] != 0) return false;
  return give(hosts, host, e.address, number) != Index::kNone;
}

void PortBlocks::release(Hosts& hosts, uint32_t slot) {
  PortBlock& block = blocks_[slot];
  Host& host = hosts[block.host];
  uint32_t* link = &host.blocks;
  while (*link != slot + 1) link = &blocks_[*link - 1].next;
  *link = block.next;
  if (!block.fixed) {
    const uint32_t number = (block.low - firstOf(block.address)) / size_;
    if (events_.isOn()) [[unlikely]]
      tell(EventType::BlockReleased, host.address, addresses_[block.address].address, block);
    if (config_.blockHold == 0) {
      owners_[at(block.address, number)] = 0;
      freed(block.address);
    } else {
      owners_[at(block.address, number)] = kResting;
      resting_[(restFirst_ + restCount_++) % resting_.capacity()] = {now_, block.address, number};
    }
  }
  block.next = free_;
  free_ = slot + 1;
}

/// One block of an address more can be given.
void PortBlocks::freed(uint32_t address) {
  taken_[address]--;
  if (events_.wantsPools()) [[unlikely]]
    pressure_.changed(Pressure::kBlocks, address, fill(address));
}

void PortBlocks::tell(EventType type, uint32_t inside, uint32_t outside,
                      const PortBlock& block) const {
  Event event{};
  event.at = now_;
  event.type = type;
  event.inside = inside;
  event.publicAddress = outside;
  event.numbers[0] = block.low;
  event.numbers[1] = block.high;
  events_.add(event);
}

/// Calls `visit(inside, outside, block)` for each block that is given to a host, fixed ones apart.
template <class Visit>
void PortBlocks::forEachGiven(const Hosts& hosts, Visit visit) const {
  if (size_ == 0) return;
  for (uint32_t slot = 0; slot < used_; slot++) {
    const PortBlock& block = blocks_[slot];
    if (block.fixed) continue;
    const uint32_t number = (block.low - firstOf(block.address)) / size_;
    if (owners_[at(block.address, number)] != slot + 1) continue;  // the slot is free
    visit(hosts[block.host].address, addresses_[block.address].address, block);
  }
}

/// Whether a host has this very block.
bool PortBlocks::hasSame(const Hosts& hosts, uint32_t inside, uint32_t outside,
                         const PortBlock& block) const {
  const uint32_t host = hosts.find(inside);
  if (host == Hosts::kNone) return false;
  for (uint32_t link = hosts[host].blocks; link != 0; link = blocks_[link - 1].next) {
    const PortBlock& own = blocks_[link - 1];
    if (!own.fixed && addresses_[own.address].address == outside && own.low == block.low &&
        own.high == block.high) {
      return true;
    }
  }
  return false;
}

void PortBlocks::tellChange(const Hosts& hosts, const PortBlocks& old,
                            const Hosts& oldHosts) const {
  old.forEachGiven(oldHosts, [&](uint32_t inside, uint32_t outside, const PortBlock& block) {
    if (!hasSame(hosts, inside, outside, block)) {
      tell(EventType::BlockReleased, inside, outside, block);
    }
  });
  forEachGiven(hosts, [&](uint32_t inside, uint32_t outside, const PortBlock& block) {
    if (!old.hasSame(oldHosts, inside, outside, block)) {
      tell(EventType::BlockAllocated, inside, outside, block);
    }
  });
}

/// Frees the blocks that have rested long enough.
void PortBlocks::wake() {
  while (restCount_ != 0 && now_ - resting_[restFirst_].since >= config_.blockHold) {
    const Rest& rest = resting_[restFirst_];
    owners_[at(rest.address, rest.number)] = 0;
    freed(rest.address);
    restFirst_ = (restFirst_ + 1) % resting_.capacity();
    restCount_--;
  }
}

}  // namespace napt
