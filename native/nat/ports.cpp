#include "nat/ports.h"

namespace napt {

namespace {
enum Parities : uint32_t { kEven = 1, kOdd = 2, kBoth = 3 };
constexpr uint32_t kWellKnown = 1024;
}  // namespace

void PortPool::fill(PortSet& set, const PublicAddress& address) {
  set.filled = true;
  set.cursor = address.low;
  for (uint32_t port = address.low; port <= address.high; port++) {
    set.add(static_cast<uint16_t>(port));
  }
}

/// Resting ports must leave enough to work with: a small range has none to spare.
uint32_t PortPool::mostResting(uint32_t address) const {
  constexpr uint32_t kSmall = 1024;
  const PublicAddress& range = addresses_[address];
  const uint32_t count = uint32_t{range.high} + 1 - range.low;
  return range.low > range.high || count < kSmall ? 0 : std::min(config_.holdDownPorts, count / 8);
}

void PortPool::give(uint32_t space, PublicEndpoint e) {
  PortSet& set = get(space, e.address);
  const Deterministic& d = config_.deterministic;
  const bool fixed = e.port < addresses_[e.address].low + d.portsPerHost * d.hostsPerAddress;
  // A port that is one host's for good can't get another's packets (RFC 6888, REQ-8b).
  const uint32_t most = rests(space) && !fixed ? mostResting(e.address) : 0;
  if (most == 0) {
    set.add(e.port);
    return;
  }
  RestingPorts& resting = resting_[numberOf(space, e.address)];
  if (resting.count == most) rouse(set, resting);
  resting.push(e.port, now_);
}

void PortPool::adoptResting(PortPool& old, uint32_t oldAddress, uint32_t address) {
  for (uint32_t space = 0; space < kPortSpaces; space++) {
    if (!rests(space) || !old.rests(space)) continue;
    RestingPorts& from = old.resting_[old.numberOf(space, oldAddress)];
    RestingPorts& to = resting_[numberOf(space, address)];
    while (from.count != 0) {
      const RestingPorts::Rest rest = from.oldest();
      const uint16_t port = from.pop();
      PortSet& set = get(space, address);
      if (!set.contains(port) || to.count == mostResting(address)) continue;
      set.remove(port);
      to.push(port, uint64_t{rest.since - 1} << 16);
    }
  }
}

int32_t PortPool::search(PortSet& set, uint32_t low, uint32_t high, uint32_t parities, bool random,
                         Random& numbers) {
  if (low > high) return -1;
  uint32_t start = set.cursor;
  uint32_t prefer = start & 1;
  if (random) {
    // RFC 6056, algorithm 1: a random start, then the next free port, once around.
    // A range is no larger than 2^16: the draw's last bit does not tell where in it.
    const auto startOf = [&](uint32_t drawn) {
      return low + static_cast<uint32_t>(uint64_t{drawn} * (high - low + 1) >> 32);
    };
    const uint32_t drawn = set.hasDrawn ? set.drawn : numbers.half();
    start = startOf(drawn);
    prefer = drawn & 1;
    // The next number is drawn ahead, so that what it leads to is here by then.
    set.hasDrawn = true;
    set.drawn = numbers.half();
    set.outlook = static_cast<uint16_t>(startOf(set.drawn));
    napt::prefetch(set.wordOf(set.outlook));
  }
  if (start < low || start > high) start = low;
  int32_t best = -1;
  for (uint32_t parity : {prefer, prefer ^ 1}) {
    if ((parities & (kEven << parity)) == 0) continue;
    int32_t port = set.next(parity, start, high);
    if (port < 0 && start > low) port = set.next(parity, low, start - 1);
    if (port < 0) continue;
    if (random) return port;
    // In sequence: the nearer of the two parities, counted from the cursor.
    const auto distance = [&](int32_t p) { return (static_cast<uint32_t>(p) - start) & 0xffff; };
    if (best < 0 || distance(port) < distance(best)) best = port;
  }
  return best;
}

int32_t PortPool::find(uint32_t space, uint32_t address, uint32_t low, uint32_t high,
                       const PortWish& wish, PortQuality quality, Random& random) {
  PortSet& set = get(space, address);
  if (set.count() == 0) return -1;
  if (quality == PortQuality::Same) {
    const bool kept = wish.preserve && wish.port >= low && wish.port <= high;
    return kept && set.contains(wish.port) ? wish.port : -1;
  }
  const bool both = quality == PortQuality::ClassAndParity;
  const bool sameClass = both || quality == PortQuality::Class;
  const bool sameParity = both || quality == PortQuality::Parity;
  if (wish.classes && sameClass) {
    if (wish.port < kWellKnown) {
      high = std::min(high, kWellKnown - 1);
    } else {
      low = std::max(low, kWellKnown);
    }
  }
  const uint32_t parities =
      wish.parity && sameParity ? uint32_t{kEven} << (wish.port & 1) : uint32_t{kBoth};
  const int32_t port = search(set, low, high, parities, wish.random, random);
  if (port >= 0 && !wish.random) set.cursor = static_cast<uint16_t>(port + 1);
  return port;
}

}  // namespace napt
