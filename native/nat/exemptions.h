// Remotes that are not translated for (RFC 6888, REQ-6): what inside hosts send them leaves as it
// is, and what they send to inside addresses comes in as it is.
#pragma once

#include <vector>

#include "nat/config.h"

namespace napt {

/// `Unknown`: a later fragment, whose port would decide.
enum class Exempt : uint8_t { No, Yes, Unknown };

class Exemptions {
 public:
  explicit Exemptions(const std::vector<Exemption>& rules) : rules_(rules) {}

  bool empty() const { return rules_.empty(); }

  /// Whether a remote (network order) is exempt, for a protocol and its port (network order).
  Exempt judge(uint32_t remote, uint8_t protocol, uint16_t port, bool portKnown) const {
    const uint32_t address = swap32(remote);
    Exempt result = Exempt::No;
    for (const Exemption& rule : rules_) {
      if ((address & rule.mask) != (rule.network & rule.mask)) continue;
      if (rule.protocol != 0 && rule.protocol != protocol) continue;
      const bool anyPort = rule.low == 0 && rule.high == 65535;
      const bool inRange = swap16(port) >= rule.low && swap16(port) <= rule.high;
      if (anyPort) return Exempt::Yes;
      if (!hasPorts(protocol)) continue;
      if (portKnown && inRange) return Exempt::Yes;
      if (!portKnown) result = Exempt::Unknown;
    }
    return result;
  }

 private:
  const std::vector<Exemption>& rules_;
};

}  // namespace napt
