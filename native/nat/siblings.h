// Siblings: translators that own other ports of the same public addresses, each in a thread of its
// own. A packet from inside to a sibling's public endpoint is hairpinned in two halves: the
// outbound one here, the inbound one there (`kHairpinnedPacket`).
#pragma once

#include <algorithm>
#include <tuple>
#include <vector>

#include "nat/addresses.h"

namespace napt {

class Siblings {
 public:
  Siblings(const std::vector<Sibling>& rows, const PublicAddresses& addresses) {
    for (const Sibling& row : rows) {
      ranges_.push_back({addresses.find(row.outside), row.protocol, row.low, row.high});
    }
    std::sort(ranges_.begin(), ranges_.end(),
              [](const Range& a, const Range& b) { return a.place() < b.place(); });
  }

  bool empty() const { return ranges_.empty(); }

  /// Whether a public endpoint (port in host order) is a sibling's. Own forwards within a sibling's
  /// ports are for the caller to know.
  bool own(uint8_t protocol, uint32_t address, uint16_t port) const {
    const Range* any = find(0, address, port);
    if (any != nullptr && any->low == 0 && any->high == 65535) return true;
    // Where there are no ports to go by, both halves are the same translator's.
    const bool byPort = protocol == kIcmp || (hasPorts(protocol) && protocol != kSctp);
    return byPort && (any != nullptr || find(protocol, address, port) != nullptr);
  }

 private:
  struct Range {
    uint32_t address;
    uint8_t protocol;  // 0: any
    uint16_t low, high;

    std::tuple<uint32_t, uint8_t, uint16_t> place() const { return {address, protocol, low}; }
  };

  /// The range of `protocol` (0: of any) that has a port.
  const Range* find(uint8_t protocol, uint32_t address, uint16_t port) const {
    const auto wanted = std::tuple(address, protocol, port);
    auto next = std::upper_bound(ranges_.begin(), ranges_.end(), wanted,
                                 [](const auto& w, const Range& r) { return w < r.place(); });
    if (next == ranges_.begin()) return nullptr;
    const Range& range = *--next;
    const bool here = range.address == address && range.protocol == protocol && port <= range.high;
    return here ? &range : nullptr;
  }

  std::vector<Range> ranges_;
};

}  // namespace napt
