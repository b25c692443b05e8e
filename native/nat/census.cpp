#include "nat/census.h"

#include "nat/translator.h"

namespace napt {

uint32_t Translator::countSessions(uint32_t from, SessionCensus& census) const {
  const uint32_t used = sessions_.used();
  const uint32_t end = std::min(used, from + SessionCensus::kAtATime);
  for (uint32_t slot = from; slot < end; slot++) {
    const Session& s = sessions_[slot];
    if (s.protocol == kTcp && !isAnchor(s)) {
      census.byPhase[static_cast<uint32_t>(tcpPhase(s.state))]++;
    } else if (s.protocol != 0) {
      census.byProtocol[s.protocol]++;
    }
  }
  return end < used ? end : 0;
}

PortUse Bindings::portUse(uint32_t address) const {
  const PublicAddress& range = addresses_[address];
  PortUse use{};
  use.address = range.address;
  use.ports = range.low > range.high ? 0 : uint32_t{range.high} + 1 - range.low;
  for (uint32_t space = 0; space < kPortSpaces; space++)
    use.used[space] = pool_.used(space, address);
  use.blocks = blocks_.total(address);
  use.blocksUsed = blocks_.taken(address);
  return use;
}

void PortPool::usedOfRanges(uint32_t space, uint32_t address, uint32_t (&used)[kPortRanges]) const {
  const size_t number = numberOf(space, address);
  const PortSet& set = sets_[number];
  const PublicAddress& pool = addresses_[address];
  for (uint32_t range = 0; range < kPortRanges; range++) {
    const uint32_t low = std::max<uint32_t>(pool.low, range * kPortRange);
    const uint32_t high = std::min<uint32_t>(pool.high, (range + 1) * kPortRange - 1);
    used[range] = set.filled && low <= high ? high + 1 - low - set.countOfRange(range) : 0;
  }
  if (!rests(space)) return;
  const RestingPorts& resting = resting_[number];
  for (uint32_t i = 0; i < resting.count; i++) {
    used[resting.rests[(resting.first + i) % RestingPorts::kMost].port / kPortRange]--;
  }
}

}  // namespace napt
