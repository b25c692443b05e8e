// How full the pool is, for events: of each public address and protocol, or of an address's blocks
// where ports are given in blocks.
//
// An event marks an edge. What is above the threshold, or exhausted, is told once, and not again
// until it was relieved: a tenth of the whole below the threshold.
#pragma once

#include <algorithm>
#include <vector>

#include "nat/addresses.h"
#include "nat/events.h"

namespace napt {

class Pressure {
 public:
  static constexpr uint32_t kBlocks = kPortSpaces;  // in place of a port space

  /// What there is to give of an address, and what of that can't be given now: it is in use or at
  /// rest.
  struct Fill {
    uint32_t used, total;
  };

  /// `now` is the translator's clock.
  Pressure(const Config& config, const PublicAddresses& addresses, Events& events,
           const uint64_t& now)
      : threshold_(config.poolThreshold),
        addresses_(addresses),
        events_(events),
        now_(now),
        levels_(size_t{addresses.size()} * kSpaces) {}

  /// Something was taken, or given back.
  void changed(uint32_t space, uint32_t address, Fill fill) {
    Level& level = levels_[size_t{address} * kSpaces + space];
    if (level == Level::Easy && isAbove(fill, threshold_)) {
      level = Level::Tight;
      tell(EventType::PoolThreshold, space, addresses_[address].address, fill);
    } else if (level != Level::Easy && !isAbove(fill, threshold_ - kSlack)) {
      level = Level::Easy;
      tell(EventType::PoolRelieved, space, addresses_[address].address, fill);
    }
  }
  /// A new binding found nothing.
  void exhausted(uint32_t space, uint32_t address, Fill fill) {
    Level& level = levels_[size_t{address} * kSpaces + space];
    if (level == Level::Exhausted) return;
    level = Level::Exhausted;
    tell(EventType::PoolExhausted, space, addresses_[address].address, fill);
  }
  /// Nobody was told anything so far.
  void reset() { std::fill(levels_.begin(), levels_.end(), Level::Easy); }

  /// Goes on with what was told under another config: what has less pressure now is relieved, and
  /// so is what is no more. `fillOf(space, address)` tells how full this pool is.
  template <class FillOf>
  void adopt(const Pressure& old, FillOf fillOf) {
    for (uint32_t was = 0; was < old.addresses_.pool(); was++) {
      const uint32_t outside = old.addresses_[was].address, address = addresses_.find(outside);
      for (uint32_t space = 0; space < kSpaces; space++) {
        const Level level = old.levels_[size_t{was} * kSpaces + space];
        if (level == Level::Easy) continue;
        const bool isHere = address < addresses_.pool();
        const Fill fill = isHere ? fillOf(space, address) : Fill{0, 0};
        if (!isAbove(fill, threshold_ - kSlack)) {
          tell(EventType::PoolRelieved, space, outside, fill);
        } else {
          levels_[size_t{address} * kSpaces + space] = level;
        }
      }
    }
  }

 private:
  enum class Level : uint8_t { Easy, Tight, Exhausted };
  static constexpr uint32_t kSpaces = kPortSpaces + 1;
  static constexpr uint32_t kSlack = 100;  // in thousandths

  static bool isAbove(Fill fill, uint32_t thousandths) {
    return uint64_t{fill.used} * 1000 >= uint64_t{fill.total} * thousandths && fill.total != 0;
  }
  void tell(EventType type, uint32_t space, uint32_t outside, Fill fill) const {
    Event event{};
    event.at = now_;
    event.type = type;
    for (const uint8_t protocol : {kTcp, kUdp, kIcmp, kUdpLite, kDccp, kGre}) {
      if (portSpace(protocol) == space) event.protocol = protocol;
    }
    event.publicAddress = outside;
    event.numbers[0] = fill.used;
    event.numbers[1] = fill.total;
    events_.add(event);
  }

  const uint32_t threshold_;  // in thousandths of the whole
  const PublicAddresses& addresses_;
  Events& events_;
  const uint64_t& now_;
  std::vector<Level> levels_;
};

}  // namespace napt
