// Idle timers: a hierarchical wheel of 4 x 256 slots over ticks of 2^24 ns (16.8 ms).
//
// A packet never touches its session's timer; it only sets `Session::last`. When a slot comes due,
// each session in it is asked for its real deadline: it is expired, or filed again. So the cost is
// one visit a session and timeout, O(1) a packet, and never a scan. Whether a session is expired is
// always decided by its own clock, to the nanosecond; the wheel only finds it.
//
// Lists are doubly linked through SessionLinks. A link holds a slot number plus one; the first
// entry's `timerPrevious` holds the wheel slot with the top bit set.
#pragma once

#include "nat/arena.h"
#include "nat/session.h"

namespace napt {

class Timers {
 public:
  static constexpr int kTickShift = 24;

  explicit Timers(Arena<SessionLinks>& links) : links_(links) {}

  /// Starts the wheel at a time.
  void start(uint64_t now) { tick_ = now >> kTickShift; }

  /// Files a session for its deadline (ns).
  void add(uint32_t session, uint64_t deadline) { file(session, deadline >> kTickShift); }

  /// Whether `advance` may have something to do.
  bool isBehind(uint64_t now) const { return now >> kTickShift > tick_; }

  /// Takes a session out of the wheel, if it is in it.
  void remove(uint32_t session) {
    SessionLinks& links = links_[session];
    if (links.timerPrevious == 0) return;
    if (links.timerNext != 0) links_[links.timerNext - 1].timerPrevious = links.timerPrevious;
    if ((links.timerPrevious & kHead) != 0) {
      heads_[links.timerPrevious & ~kHead] = links.timerNext;
    } else {
      links_[links.timerPrevious - 1].timerNext = links.timerNext;
    }
    links.timerNext = links.timerPrevious = 0;
  }

  /// Moves the wheel to `now`, looking at no more than `budget` sessions: what is left is done by
  /// the next call. `deadlineOf(session)` tells when a session really ends (ns); one that is due is
  /// taken out of the wheel and given to `expire(session)`. `approach(session)` and
  /// `prepare(session)` are told some visits before, to prefetch its record, and then what that
  /// leads to: hints, which may be about any session.
  template <class DeadlineOf, class Expire, class Approach, class Prepare>
  void advance(uint64_t now, uint32_t budget, DeadlineOf deadlineOf, Expire expire,
               Approach approach, Prepare prepare) {
    const uint64_t target = now >> kTickShift;
    for (;;) {
      if (!cascade(budget, deadlineOf, approach) || tick_ >= target) return;
      const uint32_t slot = slotOf(tick_, 0);
      beginAhead(slot, approach, prepare);
      while (heads_[slot] != 0) {
        if (budget == 0) return;
        budget--;
        look(approach, prepare);
        const uint32_t session = heads_[slot] - 1;
        remove(session);
        const uint64_t deadline = deadlineOf(session);
        if (deadline <= now) {
          expire(session);
        } else {
          file(session, deadline >> kTickShift);
        }
      }
      clear(0, slot);
      const uint64_t next = nextEvent();
      tick_ = next < target ? next : target;
    }
  }

  /// Shows the sessions that may end within the current, unfinished tick; at most `budget`.
  /// `visit(session)` may remove that session, and no other.
  template <class Visit>
  void visitCurrent(uint32_t budget, Visit visit) {
    for (uint32_t at = heads_[tick_ & kMask]; at != 0 && budget != 0; budget--) {
      const uint32_t session = at - 1;
      at = links_[session].timerNext;
      visit(session);
    }
  }

 private:
  friend class Audit;

  static constexpr uint32_t kLevels = 4, kSlots = 256, kMask = kSlots - 1, kHead = 0x80000000;

  static uint32_t slotOf(uint64_t tick, uint32_t level) { return (tick >> (8 * level)) & kMask; }

  void file(uint32_t session, uint64_t tick) {
    if (tick < tick_) tick = tick_;
    uint64_t distance = tick - tick_;
    if (distance > 0xffffffff) {  // more than two years: looked at on the way
      distance = 0xffffffff;
      tick = tick_ + distance;
    }
    uint32_t level = 0;
    while (distance >> (8 * (level + 1)) != 0) level++;
    const uint32_t slot = slotOf(tick, level);
    uint32_t& head = heads_[level * kSlots + slot];
    SessionLinks& links = links_[session];
    links.timerNext = head;
    links.timerPrevious = kHead | (level * kSlots + slot);
    if (head != 0) links_[head - 1].timerPrevious = session + 1;
    head = session + 1;
    used_[level][slot / 64] |= uint64_t{1} << (slot % 64);
  }

  /// Begins to look ahead in the list of a slot (of any level), unless it has begun.
  template <class Approach, class Prepare>
  void beginAhead(uint32_t list, Approach approach, Prepare prepare) {
    if (scoutedList_ == list && scoutedTick_ == tick_) return;
    scoutedList_ = list;
    scoutedTick_ = tick_;
    scout_ = heads_[list];
    for (uint32_t i = 0; i < kAhead; i++) look(approach, prepare);
  }

  /// Goes one step ahead in the list that is worked off. Lists change meanwhile, and then it may
  /// stray: into other lists of the wheel, or that of free slots.
  template <class Approach, class Prepare>
  void look(Approach approach, Prepare prepare) {
    if (scout_ == 0) return;
    const uint32_t session = scout_ - 1;
    scout_ = links_[session].timerNext;
    if (scout_ != 0) {
      prefetch(&links_[scout_ - 1]);
      approach(scout_ - 1);
    }
    prepare(session);
  }

  /// Where a tick begins a slot of a higher level, hands that slot's sessions down.
  template <class DeadlineOf, class Approach>
  bool cascade(uint32_t& budget, DeadlineOf deadlineOf, Approach approach) {
    const auto nothing = [](uint32_t) {};
    for (uint32_t level = kLevels - 1; level > 0; level--) {
      if ((tick_ & ((uint64_t{1} << (8 * level)) - 1)) != 0) continue;
      const uint32_t slot = slotOf(tick_, level);
      const uint32_t& head = heads_[level * kSlots + slot];
      beginAhead(level * kSlots + slot, approach, nothing);
      while (head != 0) {
        if (budget == 0) return false;
        budget--;
        look(approach, nothing);
        const uint32_t session = head - 1;
        remove(session);
        file(session, deadlineOf(session) >> kTickShift);
      }
      clear(level, slot);
    }
    return true;
  }

  void clear(uint32_t level, uint32_t slot) {
    used_[level][slot / 64] &= ~(uint64_t{1} << (slot % 64));
  }

  /// The next tick with something to do: so a gap of a year costs no more than one of a second.
  uint64_t nextEvent() const {
    for (uint32_t level = 0; level < kLevels; level++) {
      const uint64_t round = tick_ >> (8 * (level + 1));
      const uint32_t at = slotOf(tick_, level);
      bool earlier = false;
      for (uint32_t word = 0; word < kSlots / 64; word++) {
        uint64_t bits = used_[level][word];
        if (bits == 0) continue;
        const uint64_t later = word * 64 > at         ? bits
                               : word * 64 + 63 <= at ? 0
                                                      : bits & (~uint64_t{1} << (at % 64));
        if (later != 0) {
          const uint64_t slot = word * 64 + static_cast<uint32_t>(__builtin_ctzll(later));
          return (round << 8 | slot) << (8 * level);
        }
        earlier = true;
      }
      if (earlier) return (round + 1) << (8 * (level + 1));  // they belong to the next round
    }
    return ~uint64_t{0};
  }

  Arena<SessionLinks>& links_;
  uint64_t tick_ = 0;
  uint32_t heads_[kLevels * kSlots] = {};
  uint64_t used_[kLevels][kSlots / 64] = {};  // slots that may hold sessions
  static constexpr uint32_t kAhead = 6;
  uint32_t scout_ = 0;  // ahead in the list that is worked off: a session plus one
  uint32_t scoutedList_ = 0;
  uint64_t scoutedTick_ = ~uint64_t{0};
};

}  // namespace napt
