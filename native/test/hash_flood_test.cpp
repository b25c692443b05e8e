// Hash flooding: an attacker opens flows of his choice so that they fall together in the session
// index, and every packet has to walk past them. What counts is buckets read, not time.
#include "nat/session_table.h"
#include "test/support.h"

using namespace napt;
using namespace napt::test;

namespace {

constexpr uint32_t kFlows = 16384;

/// The n-th flow that an inside host can make: one source port, remotes and their ports of choice.
Key flow(uint32_t n) {
  const uint32_t remote = ip(198, 51, static_cast<uint8_t>(n >> 8), static_cast<uint8_t>(n));
  return Key::of(ip(10, 0, 0, 66), remote, 4000, static_cast<uint16_t>(n >> 16), kUdp);
}

/// Buckets read for the flows that need most, and for all together.
struct Cost {
  uint32_t longest = 0;
  uint64_t total = 0;
};

Cost costOf(const std::vector<Key>& flows, const HashKey& key) {
  Index index;
  REQUIRE(index.reserve(flows.size()));
  const auto hashOf = [&](uint32_t at) { return hash128(flows[at].low, flows[at].high, key); };
  for (uint32_t at = 0; at < flows.size(); at++) REQUIRE(index.insert(hashOf(at), at, hashOf));
  Cost cost;
  for (uint32_t at = 0; at < flows.size(); at++) {
    REQUIRE(index.find(hashOf(at), [&](uint32_t found) { return found == at; }) == at);
    const uint32_t buckets = index.chain(hashOf(at));
    cost.longest = std::max(cost.longest, buckets);
    cost.total += buckets;
  }
  return cost;
}

/// Flows that fall into one bucket of an index of `kFlows`, for who knows the key.
std::vector<Key> chosen(const HashKey& key) {
  // Six entries a bucket: 2,731 buckets, told apart by no more than twelve bits.
  constexpr uint64_t kBits = 0xfff;
  std::vector<Key> flows;
  for (uint32_t n = 0; flows.size() < kFlows; n++) {
    const Key candidate = flow(n);
    if ((hash128(candidate.low, candidate.high, key) & kBits) == 0) flows.push_back(candidate);
  }
  return flows;
}

}  // namespace

TEST_CASE("hash flooding: who knows the key makes one chain of all flows") {
  const HashKey known = HashKey::from({1, 0});
  const std::vector<Key> flows = chosen(known);
  const Cost cost = costOf(flows, known);
  CHECK(cost.longest == (kFlows + Index::kSlots - 1) /
                            Index::kSlots);  // all in one bucket and what it overflows to
  MESSAGE(kFlows << " chosen flows, known key: " << cost.longest << " buckets for each packet");
}

TEST_CASE("hash flooding: with a key of its own the same flows spread like any others") {
  const std::vector<Key> flows = chosen(HashKey::from({1, 0}));
  std::vector<Key> ordinary;
  for (uint32_t n = 0; n < kFlows; n++) ordinary.push_back(flow(n));
  uint32_t longest = 0;
  uint64_t total = 0;
  // Seeds as poor as a user may give: the keys are drawn from them.
  for (uint64_t seed = 2; seed < 34; seed++) {
    for (const std::vector<Key>* set : {&flows, static_cast<const std::vector<Key>*>(&ordinary)}) {
      const Cost cost = costOf(*set, HashKey::from({seed, 0}));
      longest = std::max(longest, cost.longest);
      total = std::max(total, cost.total);
    }
  }
  CHECK(longest <= 4);
  CHECK(total <= kFlows * 3 / 2);  // 1.5 buckets on average
  MESSAGE(kFlows << " chosen flows, 32 other keys: at most " << longest << " buckets, "
                 << static_cast<double>(total) / kFlows << " on average");
}

TEST_CASE("hash flooding: even one chain of all flows loses none, and comes apart again") {
  const HashKey known = HashKey::from({1, 0});
  const std::vector<Key> flows = chosen(known);
  SessionTable sessions({1, 0});
  REQUIRE(sessions.reserve(kFlows));
  for (const Key& key : flows) REQUIRE(sessions.insert(key) != SessionTable::kNone);
  CHECK(sessions.size() == kFlows);
  CHECK(sessions.insert(flow(0)) == SessionTable::kNone);  // full is full
  for (uint32_t slot = 0; slot < kFlows; slot++) CHECK(sessions.find(flows[slot]) == slot);
  for (uint32_t slot = 0; slot < kFlows; slot++) sessions.erase(slot);
  CHECK(sessions.size() == 0);
  for (uint32_t n = 0; n < kFlows; n++) CHECK(sessions.insert(flow(n)) != SessionTable::kNone);
}
