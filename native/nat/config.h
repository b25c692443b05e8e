// The policy that a translator runs by, compiled from the user's config by src/config/compile.ts.
// Addresses are in network order, ports in host order, times in nanoseconds.
#pragma once

#include <cstdint>
#include <vector>

#include "nat/random.h"

namespace napt {

/// RFC 4787 sections 4.1 and 5; the same three words serve mapping and filtering.
enum class Behaviour : uint8_t { EndpointIndependent, AddressDependent, AddressAndPortDependent };

/// A class of idle timeout; a session carries its class, so a changed timeout applies to it.
enum class Timeout : uint8_t { Udp, TcpEstablished, TcpTransitory, TcpTimeWait, Icmp, Count };
constexpr uint32_t kTimeouts = static_cast<uint32_t>(Timeout::Count);

struct Prefix {
  uint32_t network;  // host order
  uint32_t mask;     // host order
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

struct Config {
  std::vector<Prefix> inside;
  std::vector<PoolAddress> outside;
  std::vector<Forward> forwards;
  std::vector<StaticMapping> statics;
  Behaviour mapping = Behaviour::EndpointIndependent;
  Behaviour filtering = Behaviour::AddressAndPortDependent;
  bool randomPorts = true;
  bool preservePorts = false;
  bool parity = true;
  uint32_t blockSize = 0;
  bool paired = true;
  bool hairpinning = true;
  uint64_t timeouts[kTimeouts] = {};
  uint64_t fragmentTimeout = 0;
  uint32_t sessionLimit = 0;   // 0: as many as the table can ever hold
  uint32_t hostLimit = 0;      // sessions of one inside host, 0: no limit
  uint32_t fragmentLimit = 1;  // fragments held at once
  bool decrementTtl = true;
  bool icmpErrors = false;
  bool inboundRefresh = false;
  bool tcpPickup = true;
  bool verifyHeaderChecksum = true;
  bool passUnmatched = false;
};

}  // namespace napt
