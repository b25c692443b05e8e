// The policy that a translator runs by, compiled from the user's config by src/config/compile.ts.
// Addresses are in network order, ports in host order, times in nanoseconds.
#pragma once

#include <cstdint>
#include <vector>

#include "packet/ipv4.h"

namespace napt {

/// RFC 4787 sections 4.1 and 5; the same three words serve mapping and filtering.
enum class Behaviour : uint8_t { EndpointIndependent, AddressDependent, AddressAndPortDependent };

/// RFC 4787, REQ-2; `SoftPaired` takes another address where the host's is full (RFC 7857, s. 4).
enum class Pooling : uint8_t { Paired, SoftPaired, Arbitrary };

/// A class of idle timeout; a session carries its class, so a changed timeout applies to it.
enum class Timeout : uint8_t {
  Udp,
  TcpEstablished,
  TcpOpening,
  TcpClosing,
  TcpReset,
  TcpTimeWait,
  Icmp,
  DccpEstablished,
  DccpTransitory,
  SctpEstablished,
  SctpTransitory,
  Gre,
  Esp,
  Other,
  Explicit,  // ends at a time, not by being idle
  Count
};
constexpr uint32_t kTimeouts = static_cast<uint32_t>(Timeout::Count);
constexpr uint32_t kIdleTimeouts = static_cast<uint32_t>(Timeout::Explicit);

/// Protocols whose public ports are the NAT's to choose; each has ports of its own (RFC 7857, s.
/// 5).
constexpr uint32_t kPortSpaces = 6;
constexpr uint32_t kNoPortSpace = kPortSpaces;
struct PortSpaces {
  uint8_t of[256];
  constexpr PortSpaces() : of() {
    for (uint8_t& space : of) space = kNoPortSpace;
    uint8_t next = 0;
    for (const uint8_t protocol : {kTcp, kUdp, kIcmp, kUdpLite, kDccp, kGre}) of[protocol] = next++;
  }
};
inline constexpr PortSpaces kPortSpaceTable;
constexpr uint32_t portSpace(uint8_t protocol) { return kPortSpaceTable.of[protocol]; }

struct Prefix {
  uint32_t network;    // host order
  uint32_t mask;       // host order
  uint8_t policy = 0;  // of the inside hosts in it
};
struct PoolAddress {
  uint32_t address;
  uint16_t low, high;  // ports handed out; low > high for none
};
struct Forward {
  uint8_t protocol;
  uint32_t outside;
  uint16_t outsidePort;
  uint32_t inside;
  uint16_t insidePort;
};
struct StaticMapping {
  uint32_t outside, inside;
};
/// Public ports that another shard of the same NAT owns. Rows of one protocol (or of any) don't
/// overlap; all ports of an address, in a row of any protocol: it belongs to a host of that shard.
struct Sibling {
  uint8_t protocol;  // 0: any, then a range; else one port, a forward's
  uint32_t outside;
  uint16_t low, high;
};
/// Remotes that are not translated for (RFC 6888, REQ-6).
struct Exemption {
  uint32_t network, mask;  // host order
  uint8_t protocol;        // 0: any
  uint16_t low, high;      // remote ports

  bool operator==(const Exemption&) const = default;
};

/// How a group of inside hosts is treated. Limits of 0 are none.
struct Policy {
  Behaviour mapping[kPortSpaces] = {};
  Behaviour filtering[kPortSpaces] = {
      Behaviour::AddressAndPortDependent, Behaviour::AddressAndPortDependent,
      Behaviour::AddressAndPortDependent, Behaviour::AddressAndPortDependent,
      Behaviour::AddressAndPortDependent, Behaviour::AddressAndPortDependent};
  bool randomPorts = true;
  bool preservePorts = false;
  bool parity = true;
  bool overloading = false;
  bool contiguity = false;
  Pooling pooling = Pooling::Paired;
  bool hairpinning = true;
  bool inboundRefresh = false;
  bool tcpPickup = true;
  bool tcpLiberal = false;
  uint32_t sessionLimit = 0;    // of one host
  uint32_t sessionRate = 0;     // new ones of one host in a second
  uint32_t portLimits[4] = {};  // bindings of one host: in all, and of TCP, UDP, ICMP
};

/// What a session lives by: its host's policy, and idle times that its remote port may change.
struct Profile {
  uint8_t policy = 0;
  uint64_t timeouts[kTimeouts] = {};
};
/// Sessions of this policy to these remote ports have this profile; the first match counts.
struct PortTimeout {
  uint8_t policy, protocol;
  uint16_t low, high;
  uint8_t profile;
};
/// Deterministic NAT (RFC 7422): every inside host has ports of its own.
struct Deterministic {
  uint32_t portsPerHost = 0;  // 0: off
  uint32_t hostsPerAddress = 0;
  struct Range {
    uint32_t first, count;  // host order
  };
  std::vector<Range> hosts;  // in order
};

struct Config {
  std::vector<Prefix> inside;  // the first match counts
  std::vector<PoolAddress> outside;
  std::vector<Forward> forwards;
  std::vector<StaticMapping> statics;
  std::vector<Exemption> exemptions;
  std::vector<Sibling> siblings;
  uint32_t shard = 0, shards = 1;  // which one this is, of how many
  std::vector<Policy> policies{Policy{}};
  std::vector<Profile> profiles{Profile{}};  // the first ones are the policies' own
  std::vector<PortTimeout> portTimeouts;
  Deterministic deterministic;
  Protocols protocols = Protocols::traditional();
  bool ftp = false, pptp = false;
  uint32_t blockSize = 0;      // 0: ports are handed out singly
  uint32_t blocksPerHost = 0;  // 0: no limit
  uint64_t blockHold = 0;      // a released block rests so long before another host gets it
  uint64_t holdDown = 0;       // and so long a port, but of TCP (RFC 6888, REQ-8)
  uint32_t holdDownPorts = 0;  // most ports at rest, of one address and protocol
  uint64_t fragmentTimeout = 0;
  uint32_t sessionLimit = 0;   // 0: as many as the table can ever hold
  uint32_t sessionRate = 0;    // new ones in a second, 0: no limit
  uint32_t fragmentLimit = 1;  // fragments held at once
  uint32_t icmpErrorRate = 1000;
  bool evict = false;  // embryonic and one-way sessions make room for new ones
  uint32_t insideMtu = 0, outsideMtu = 0;
  bool clampMss = false;       // of SYNs, to what fits both MTUs
  uint32_t insideAddress = 0;  // the NAT's own there, network order; 0: none
  bool decrementTtl = true;
  bool icmpErrors = false;
  bool verifyHeaderChecksum = true;
  bool passUnmatched = false;
  // Of events (events.h).
  uint64_t expiringBefore = 0;   // a session is told to expire so long before; 0: never
  uint32_t poolThreshold = 900;  // thousandths of the ports of an address, or of its blocks
};

}  // namespace napt
