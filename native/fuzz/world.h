// Runs an input: a translator, what happens to it, and what must hold after every step.
//
// Packets go through translate() or, where a step says so, several in one call of translateBatch().
// In every other input a second translator, the twin, gets the same packets singly: grouping them
// into calls must make no difference.
#pragma once

#include <map>
#include <memory>

#include "fuzz/judge.h"
#include "fuzz/told.h"
#include "nat/audit.h"

namespace napt::fuzz {

class World {
 public:
  /// `trace`: tell on stdout what happens.
  World(Input input, bool trace);

  void run();

 private:
  struct Sent {
    Packet before;
    Bytes after;  // as it came out; empty if it did not
    bool fromInside;
  };
  /// One session as it was before a packet.
  struct Known {
    Session session;
    bool live;
  };
  /// A packet that waits for its batch.
  struct Queued {
    Packet packet;
    uint32_t tag;
    uint32_t delay;  // ns after the batch's time
    bool wild;       // its descriptor points outside the batch's memory
  };

  void step(const Step& step);
  bool send(const Step& step);
  void fragment(const Step& step);
  void put(Packet packet, const Step& step);
  void runBatch();
  void wait(const Step& step);
  void remove(const Step& step);
  void ask(const Step& step);
  void reconfigure(const Step& step);
  Bytes snapshot(Translator& nat) const;
  std::unique_ptr<Translator> restored(const Bytes& records, uint64_t passed, Restored& sum) const;
  void compareRestored(const Bytes& records) const;
  void take(Translator& nat, std::map<uint32_t, Packet>& held);
  void end();

  Result single(Translator& nat, Packet& packet, uint32_t tag, uint64_t now);
  void judgeState(const Translator& nat, const std::map<uint32_t, Known>& known,
                  const Packet& before, const Bytes& after, const Result& result) const;
  void judgeFilter(const std::map<uint32_t, Known>& known, const Flow& in, const Bytes& after,
                   const Result& result) const;
  void judgeCounters(Translator& nat, const std::map<uint32_t, Known>& known, const Result& result,
                     const Bytes& before) const;
  void sync();
  void audit(Translator& nat) const;
  void check(Translator& nat) const;
  void compare();
  std::map<uint32_t, Known> sessionsOf(Translator& nat) const;
  const Sent* earlier(uint8_t back) const;
  void remember(const Packet& before, const Bytes& after, const Result& result);
  void say(const char* what, const Bytes& bytes, const Result* result) const;
  std::unique_ptr<Translator> make() const;

  Input input_;
  const bool trace_;
  Config config_;
  Judge judge_;
  std::unique_ptr<Translator> nat_, twin_;  // the twin records no events
  Told told_;
  uint64_t now_;
  uint32_t tag_ = 0;
  uint64_t packets_ = 0, bytes_ = 0;  // that were handed over
  std::vector<Sent> history_;
  std::vector<Packet> pieces_;
  std::vector<Queued> queue_;
  size_t batchSize_ = 0;
  bool changed_ = false;              // the config: sessions may be there that it would not allow
  std::map<uint32_t, Bytes> causes_;  // by tag: every packet as it came in
  std::map<uint32_t, Packet> held_, twinHeld_;  // by tag: fragments that wait
};

}  // namespace napt::fuzz
