// How a translator is made.
#include "nat/translator.h"

#include "packet/fragment.h"

namespace napt {

/// PPTP carries GRE of its own kind, whatever else is carried.
static Config withCalls(Config config) {
  if (config.pptp) config.protocols.addCalls();
  return config;
}

Translator::Translator(const Config& config, Seed seed)
    : config_(withCalls(config)),
      addresses_(config_),
      inside_(config_.inside),
      exemptions_(config_.exemptions),
      siblings_(config_.siblings, addresses_),
      random_(seed),
      sessions_(seed),
      bindings_(config_, addresses_, inside_, sessions_, events_, now_),
      fragments_(sessions_.hashKey()),
      watches_(sessions_.hashKey()),
      calls_(sessions_),
      identifications_(sessions_.hashKey(), config_.shard, config_.shards) {
  for (const Profile& profile : config_.profiles) {
    const size_t at = timeouts_.size();
    timeouts_.resize(at + (size_t{1} << kTimeoutShift));
    std::copy(profile.timeouts, profile.timeouts + kIdleTimeouts, &timeouts_[at]);
    const bool inboundRefresh = config_.policies[profile.policy].inboundRefresh;
    inboundRefreshes_.push_back(inboundRefresh);
    refreshesInbound_ |= inboundRefresh;
  }
  for (const uint32_t mtu : {config_.insideMtu, config_.outsideMtu}) {
    if (mtu != 0) smallestMtu_ = std::min(smallestMtu_, mtu);
  }
  if (config_.clampMss && smallestMtu_ <= 0xffff) {
    mostMss_ = static_cast<uint16_t>(std::max(smallestMtu_, kLeastMtu) - kIpHeader - kTcpHeader);
  }
}

bool Translator::reserve() {
  const uint32_t limit = config_.sessionLimit;
  const uint32_t capacity = limit == 0 || limit > SessionTable::kMost ? SessionTable::kMost : limit;
  // Room for errors of its own, and for the pieces of a batch of packets that are too big.
  constexpr uint32_t kOwnPackets = 16384;
  return events_.reserve() && sessions_.reserve(capacity) && bindings_.reserve() &&
         fragments_.reserve() && identifications_.reserve() && watches_.reserve() &&
         calls_.reserve() && store_.reserve(config_.fragmentLimit + kOwnPackets);
}

std::unique_ptr<Translator> Translator::create(const Config& config, Seed seed) {
  std::unique_ptr<Translator> made(new Translator(config, seed));
  if (!made->reserve()) return nullptr;
  return made;
}

}  // namespace napt
