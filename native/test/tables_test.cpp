#include <map>
#include <set>

#include "nat/port_blocks.h"
#include "nat/session_table.h"
#include "test/support.h"

using namespace napt;
using namespace napt::test;

TEST_CASE("the index keeps what it is given through growth and removal") {
  Index index;
  REQUIRE(index.reserve(200'000));
  Random random({5, 6});
  std::vector<uint64_t> hashes;
  std::map<uint32_t, uint64_t> kept;
  const auto hashOf = [&](uint32_t slot) { return hashes[slot]; };
  for (uint32_t slot = 0; slot < 100'000; slot++) {
    // Few distinct values: long chains and equal tags.
    hashes.push_back(slot % 7 == 0 ? 12345 : random.next());
    if (slot % 700 != 0 && slot % 7 == 0) hashes.back() = random.next();
    REQUIRE(index.insert(hashes[slot], slot, hashOf));
    kept[slot] = hashes[slot];
    if (slot % 3 == 0) {
      const uint32_t gone = random.below(slot + 1);
      CHECK(index.erase(hashes[gone], gone) == (kept.erase(gone) == 1));
    }
  }
  CHECK(index.size() == kept.size());
  for (uint32_t slot = 0; slot < 100'000; slot++) {
    const uint32_t found = index.find(hashes[slot], [&](uint32_t s) { return s == slot; });
    REQUIRE((found == slot) == (kept.count(slot) == 1));
  }
}

TEST_CASE("timers fire once, in time, after jumps, by budget, and after a change of deadline") {
  Arena<SessionLinks> links;
  REQUIRE(links.reserve(10'000));
  Timers timers(links);
  REQUIRE(timers.reserve());
  timers.start(5 * kSecond);
  Random random({7, 8});
  std::vector<uint64_t> deadline(10'000);
  std::set<uint32_t> alive;
  for (uint32_t i = 0; i < deadline.size(); i++) {
    // From milliseconds to years.
    deadline[i] = 5 * kSecond + (random.next() >> (10 + random.below(40)));
    timers.add(i, deadline[i]);
    alive.insert(i);
  }
  const auto deadlineOf = [&](uint32_t i) { return deadline[i]; };
  uint64_t now = 5 * kSecond;
  for (int step = 0; step < 4000 && !alive.empty(); step++) {
    now += random.next() >> (10 + random.below(45));
    if (step % 5 == 0) {  // a packet moves a deadline without telling the wheel
      const uint32_t moved = *alive.begin();
      if (deadline[moved] > now) deadline[moved] += random.below(1000) * kSecond;
    }
    if (step % 7 == 0) {  // a session ends early
      const uint32_t gone = *alive.rbegin();
      timers.remove(gone);
      alive.erase(gone);
      deadline[gone] = 0;
    }
    const uint32_t budget = step % 2 == 0 ? 100'000 : 50;
    uint32_t visits = 0;
    const auto hint = [](uint32_t) {};
    const auto expire = [&](uint32_t i) {
      REQUIRE(deadline[i] <= now);
      REQUIRE(alive.erase(i) == 1);
      visits++;
    };
    timers.advance(now, budget, deadlineOf, deadlineOf, expire, hint, hint, hint);
    CHECK(visits <= budget);
    if (budget == 50) continue;
    // Nothing is left that was due before this tick began.
    const uint64_t tick = now >> Timers::kTickShift << Timers::kTickShift;
    for (const uint32_t i : alive) REQUIRE(deadline[i] >= tick);
    std::vector<uint32_t> due;
    timers.visitCurrent(100'000, [&](uint32_t i) {
      if (deadline[i] > now) return;
      timers.remove(i);
      due.push_back(i);
    });
    for (const uint32_t i : due) alive.erase(i);
    for (const uint32_t i : alive) REQUIRE(deadline[i] > now);
  }
}

TEST_CASE("a session's counters go on beyond their low parts") {
  SessionTable table({1, 2});
  REQUIRE(table.reserve(1));
  const uint32_t slot = table.insert(Key::of(1, 2, 3, 4, kUdp));
  for (int i = 0; i < 3; i++) table.count(table[slot], kIn, 0xffffffff);
  CHECK(table[slot].bytes[kIn] == 0xffffffff - 2);
  CHECK(table.links(slot).byteCarry[kIn] == 2);
  CHECK(table.links(slot).byteCarry[kOut] == 0);
  CHECK(table.bytes(slot, kIn) == 3 * uint64_t{0xffffffff});
  CHECK(table.bytes(slot, kOut) == 0);
  for (int i = 3; i < 65536; i++) table.count(table[slot], kIn, 0);
  CHECK(table[slot].packets[kIn] == 0);
  CHECK(table.packets(slot, kIn) == 65536);
  CHECK(table.packets(slot, kOut) == 0);
}

TEST_CASE("a port set finds the next free port of a parity") {
  Config c = config();
  const PublicAddresses addresses(c);
  const uint64_t now = 0;
  PortPool pool(addresses, c, now);
  REQUIRE(pool.reserve());
  Random random({9, 10});
  const auto find = [&](PortWish wish) {
    int32_t port = -1;
    for (const PortQuality q : kPortQualities) {
      if (port < 0) port = pool.find(1, 0, 1024, 65535, wish, q, random);
    }
    return port;
  };
  std::set<uint32_t> taken;
  uint32_t used[2] = {};
  c.outside[0] = {kPublic, 1024, 65535};
  for (int i = 0; i < 64512; i++) {
    const auto inside = static_cast<uint16_t>(random.below(65536));
    const int32_t port = find({inside, false, true, true, true});
    REQUIRE(port >= 1024);
    REQUIRE(taken.insert(static_cast<uint32_t>(port)).second);
    // Parity holds while there is a port of that parity.
    const auto same = [&](uint32_t p) { return (p & 1) == (inside & 1u); };
    if (used[inside & 1] < 32256) REQUIRE(same(static_cast<uint32_t>(port)));
    used[port & 1]++;
    pool.take(1, {0, static_cast<uint16_t>(port)});
  }
  CHECK(find({5000, false, true, true, true}) == -1);
  pool.give(1, {0, 40001});
  CHECK(find({5000, false, true, true, true}) == 40001);
}

TEST_CASE("random numbers are those of the seed") {
  Random one({1, 0}), again({1, 0}), other({2, 0});
  const uint64_t first = one.next();
  CHECK(first == again.next());
  CHECK(first != other.next());
}
