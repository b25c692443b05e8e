// What can become of a packet. The words stand once, here; TypeScript, JSON, metrics and the docs
// use the same (src/verdict.ts is checked against this table when the addon is loaded).
#pragma once

#include <cstdint>

namespace napt {

enum class Verdict : uint8_t { Forwarded, Passed, Held, Punted, Dropped };
constexpr const char* kVerdictNames[] = {"forwarded", "passed", "held", "punted", "dropped"};

enum class Direction : uint8_t { None, Outbound, Inbound, Hairpin };
constexpr const char* kDirectionNames[] = {"none", "outbound", "inbound", "hairpin"};

#define NAPT_DROP_REASONS(X)                                                   \
  X(None, "none")                                                              \
  X(Malformed, "malformed")                      /* lengths that can't be */   \
  X(HeaderChecksum, "header-checksum")           /* IPv4 header checksum */    \
  X(Truncated, "truncated")                      /* cut before the ports */    \
  X(NotIpv4, "not-ipv4")                         /* by the unmatched policy */ \
  X(NoInterface, "no-interface")                 /* of a capture's section */  \
  X(Unmatched, "unmatched")                      /* by the unmatched policy */ \
  X(InvalidSource, "invalid-source")             /* spoofed or unroutable */   \
  X(TtlExpired, "ttl-expired")                   /* RFC 1812, 5.3.1 */         \
  X(UnsupportedProtocol, "unsupported-protocol") /* no TCP, UDP, ICMP query */ \
  X(NoMapping, "no-mapping")                     /* nothing owns the port */   \
  X(Filtered, "filtered")                        /* by the filtering rule */   \
  X(TcpNoSession, "tcp-no-session")              /* no SYN and no session */   \
  X(IcmpChecksum, "icmp-checksum")               /* RFC 5508, REQ-3 */         \
  X(IcmpEmbedded, "icmp-embedded")               /* quoted packet unusable */  \
  X(IcmpNoSession, "icmp-no-session")            /* RFC 5508, REQ-4, REQ-5 */  \
  X(IcmpOutOfWindow, "icmp-out-of-window")       /* forged TCP error */        \
  X(HairpinningOff, "hairpinning-off")                                         \
  X(PortsExhausted, "ports-exhausted")                                         \
  X(SessionLimit, "session-limit")                                             \
  X(HostLimit, "host-limit")                                                   \
  X(RateLimit, "rate-limit")                                                   \
  X(TooBig, "too-big")                   /* DF and an MTU */                   \
  X(FragmentTiny, "fragment-tiny")       /* RFC 1858, RFC 3128 */              \
  X(FragmentLimit, "fragment-limit")     /* the store is full */               \
  X(FragmentTimeout, "fragment-timeout") /* its first never came */            \
  X(FragmentRefused, "fragment-refused") /* its first was dropped */

enum class Reason : uint8_t {
#define NAPT_ENUM(name, text) name,
  NAPT_DROP_REASONS(NAPT_ENUM)
#undef NAPT_ENUM
      Count
};
constexpr const char* kReasonNames[] = {
#define NAPT_TEXT(name, text) text,
    NAPT_DROP_REASONS(NAPT_TEXT)
#undef NAPT_TEXT
};
constexpr uint32_t kReasons = static_cast<uint32_t>(Reason::Count);

/// What became of one packet; `session` is a slot of the session table plus one, 0 for none.
struct Result {
  Verdict verdict = Verdict::Dropped;
  Direction direction = Direction::None;
  Reason reason = Reason::None;
  uint32_t session = 0;

  constexpr uint32_t packed() const {
    return static_cast<uint32_t>(verdict) | static_cast<uint32_t>(direction) << 8 |
           static_cast<uint32_t>(reason) << 16;
  }
};

}  // namespace napt
