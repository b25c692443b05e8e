// What a trace tells of a packet besides its translation.
#include "test/support.h"

using namespace napt;
using namespace napt::test;

namespace {

constexpr uint32_t kNone = SessionTable::kNone;

Trace trace(Translator& nat, Bytes packet, uint64_t now = 0) {
  const auto size = static_cast<uint32_t>(packet.size());
  return nat.trace({packet.data(), size, size, false}, 1, now);
}

}  // namespace

TEST_CASE("a trace of a new flow has its session, which is its binding's only one") {
  const auto nat = make(config());
  const Trace first = trace(*nat, udp(kInside, kRemote));
  CHECK(first.result.verdict == Verdict::Forwarded);
  REQUIRE(first.sessions[0] != kNone);
  CHECK(first.sessions[1] == kNone);
  CHECK(first.owner == kNone);
  CHECK(first.policy == 0);
  CHECK(nat->isAlone(first.sessions[0]));
  const Trace second = trace(*nat, udp(kInside, {kRemote.address, 54}));
  CHECK(second.sessions[0] != first.sessions[0]);
  CHECK_FALSE(nat->isAlone(first.sessions[0]));
  CHECK_FALSE(nat->isAlone(second.sessions[0]));
}

TEST_CASE("a trace of a filtered packet has whose endpoint it is for, and his policy") {
  Config c = config();
  c.policies.push_back(c.policies[0]);
  c.profiles.push_back(c.profiles[0]);
  c.profiles[1].policy = 1;
  c.inside.insert(c.inside.begin(), {swap32(kInside.address), 0xffffffff, 1});
  const auto nat = make(c);
  const End outside = mapped(*nat, kInside);
  const Trace trace = ::trace(*nat, udp({kRemote.address, 54}, outside));
  CHECK(trace.result.reason == Reason::Filtered);
  CHECK(trace.sessions[0] == kNone);
  REQUIRE(trace.owner != kNone);
  CHECK(nat->sessions()[trace.owner].inside == kInside.address);
  CHECK(trace.policy == 1);
}

TEST_CASE("a trace of a hairpinned packet has the sender's session before the receiver's") {
  Config c = config();
  c.forwards.push_back({kTcp, kPublic, 8080, kNeighbour.address, 80});
  const auto nat = make(c);
  const Trace trace = ::trace(*nat, tcp(kInside, {kPublic, 8080}, kSyn));
  CHECK(trace.result.direction == Direction::Hairpin);
  REQUIRE(trace.sessions[1] != kNone);
  CHECK(nat->sessions()[trace.sessions[0]].inside == kInside.address);
  CHECK(nat->sessions()[trace.sessions[1]].inside == kNeighbour.address);
}

TEST_CASE("a trace of what is no packet has nothing") {
  const auto nat = make(config());
  const Trace trace = ::trace(*nat, Bytes{1, 2, 3});
  CHECK(trace.result.reason == Reason::Malformed);
  CHECK(trace.sessions[0] == kNone);
  CHECK(trace.owner == kNone);
  CHECK(trace.policy == Trace::kUnknown);
}
