// Where an input plays: the config, and the hosts on both sides.
#pragma once

#include "fuzz/input.h"
#include "nat/config.h"

namespace napt::fuzz {

constexpr uint64_t kMs = 1'000'000, kSecond = 1'000 * kMs;

/// A config such as src/config would let through. Ranges and tables are small, so that they run
/// out.
Config configOf(const Header& header);

/// Which hosts a byte chooses from first.
enum class Group : uint8_t { Inside, Remote, Public };

/// An address (network order) or a port (host order). Most bytes choose from the wanted group, a
/// few from another or one that no packet should have.
uint32_t addressOf(uint8_t byte, Group group);
uint16_t portOf(uint8_t byte);

bool isInside(const Config& config, uint32_t address);
bool isOwn(const Config& config, uint32_t address);

}  // namespace napt::fuzz
