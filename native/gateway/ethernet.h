// The Ethernet header.
#pragma once

#include <array>
#include <cstring>

#include "packet/bytes.h"

namespace napt {

using Mac = std::array<uint8_t, 6>;

constexpr uint32_t kEthernetHeader = 14, kEtherType = 12;
constexpr uint16_t kEtherIpv4 = 0x0800, kEtherArp = 0x0806;

inline bool isFor(const uint8_t* frame, const Mac& mac) {
  return std::memcmp(frame, mac.data(), mac.size()) == 0;
}
/// A group's address, everybody's included.
inline bool isGroup(const uint8_t* frame) { return (frame[0] & 1) != 0; }

inline void address(uint8_t* frame, const Mac& to, const Mac& from) {
  std::memcpy(frame, to.data(), to.size());
  std::memcpy(frame + to.size(), from.data(), from.size());
}

}  // namespace napt
