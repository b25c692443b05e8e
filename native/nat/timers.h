// Idle timers: a hierarchical wheel over ticks of 2^24 ns (16.8 ms). Its first level spans nine
// minutes, so that most sessions are filed once and never handed down.
//
// A packet never touches its session's timer; it only sets `Session::last`. When a slot comes due,
// each session in it is asked for its real deadline: it is expired, or filed again. So the cost is
// one visit a session and timeout, O(1) a packet, and never a scan. Whether a session is expired is
// always decided by its own clock, to the nanosecond; the wheel only finds it.
//
// Lists are doubly linked through SessionLinks. A link holds a slot number plus one; the first
// entry's `timerPrevious` holds the wheel slot with the top bit set.
#pragma once

#include <bit>

#include "nat/arena.h"
#include "nat/session.h"

namespace napt {

class Timers {
 public:
  static constexpr int kTickShift = 24;

  explicit Timers(Arena<SessionLinks>& links) : links_(links) {}

  /// False when the system refuses the memory.
  bool reserve() { return heads_.reserve(kHeads); }

  /// Starts the wheel at a time.
  void start(uint64_t now) { tick_ = now >> kTickShift; }

  /// Files a session for when it is to be looked at (ns).
  void add(uint32_t session, uint64_t when) { file(session, when >> kTickShift); }

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
  /// taken out of the wheel and given to `expire(session)`. `noticeOf(session)` tells when it is to
  /// be looked at before: some minutes at most, or at its end; then it is given to
  /// `notice(session)`. `approach(session)` and `prepare(session)` are told some visits before, to
  /// prefetch its record, and then what that leads to: hints, which may be about any session.
  template <class DeadlineOf, class NoticeOf, class Expire, class Notice, class Approach,
            class Prepare>
  void advance(uint64_t now, uint32_t budget, DeadlineOf deadlineOf, NoticeOf noticeOf,
               Expire expire, Notice notice, Approach approach, Prepare prepare) {
    const uint64_t target = now >> kTickShift;
    for (;;) {
      if (!cascade(budget, noticeOf, approach) || tick_ >= target) return;
      const uint32_t list = kLevels[0].at(tick_);
      beginAhead(list, approach, prepare);
      while (heads_[list] != 0) {
        if (budget == 0) return;
        budget--;
        look(approach, prepare);
        const uint32_t session = heads_[list] - 1;
        remove(session);
        const uint64_t deadline = deadlineOf(session);
        if (deadline <= now) {
          expire(session);
          continue;
        }
        uint64_t next = noticeOf(session);
        if (next <= now) {
          notice(session);
          next = deadline;
        }
        file(session, next >> kTickShift);
      }
      clear(list);
      const uint64_t next = nextEvent();
      tick_ = next < target ? next : target;
    }
  }

  /// Shows the sessions that may end within the current, unfinished tick; at most `budget`.
  /// `visit(session)` may remove that session, and no other.
  template <class Visit>
  void visitCurrent(uint32_t budget, Visit visit) {
    for (uint32_t at = heads_[kLevels[0].at(tick_)]; at != 0 && budget != 0; budget--) {
      const uint32_t session = at - 1;
      at = links_[session].timerNext;
      visit(session);
    }
  }

 private:
  friend class Audit;

  /// A level's slots: how many, as a power of two; each has 2^shift ticks; and where they begin.
  struct Level {
    uint32_t bits, shift, first;

    constexpr uint32_t slots() const { return 1u << bits; }
    constexpr uint64_t turn() const { return uint64_t{1} << (bits + shift); }  // ticks, of all
    constexpr uint32_t at(uint64_t tick) const {
      return static_cast<uint32_t>(tick >> shift) & (slots() - 1);
    }
  };
  static constexpr Level kLevels[] = {{15, 0, 0}, {9, 15, 1 << 15}, {8, 24, (1 << 15) + (1 << 9)}};
  static constexpr uint32_t kTop = 2;
  static constexpr uint32_t kHeads = (1 << 15) + (1 << 9) + (1 << 8);
  static constexpr uint32_t kHead = 0x80000000;

  void file(uint32_t session, uint64_t tick) {
    if (tick < tick_) tick = tick_;
    uint64_t distance = tick - tick_;
    if (distance > 0xffffffff) {  // more than two years: looked at on the way
      distance = 0xffffffff;
      tick = tick_ + distance;
    }
    const Level* level = kLevels;
    while (distance >= level->turn()) level++;
    const uint32_t list = level->first + level->at(tick);
    uint32_t& head = heads_[list];
    SessionLinks& links = links_[session];
    links.timerNext = head;
    links.timerPrevious = kHead | list;
    if (head != 0) links_[head - 1].timerPrevious = session + 1;
    head = session + 1;
    used_[list / 64] |= uint64_t{1} << (list % 64);
  }

  /// Begins to look ahead in a list, unless it has begun.
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
  template <class NoticeOf, class Approach>
  bool cascade(uint32_t& budget, NoticeOf noticeOf, Approach approach) {
    const auto nothing = [](uint32_t) {};
    for (uint32_t above = kTop; above > 0; above--) {
      const Level& level = kLevels[above];
      if ((tick_ & ((uint64_t{1} << level.shift) - 1)) != 0) continue;
      const uint32_t list = level.first + level.at(tick_);
      const uint32_t& head = heads_[list];
      beginAhead(list, approach, nothing);
      while (head != 0) {
        if (budget == 0) return false;
        budget--;
        look(approach, nothing);
        const uint32_t session = head - 1;
        remove(session);
        // Not yet noticed: what was noticed ends so soon that it never lies on a higher level.
        file(session, noticeOf(session) >> kTickShift);
      }
      clear(list);
    }
    return true;
  }

  void clear(uint32_t list) { used_[list / 64] &= ~(uint64_t{1} << (list % 64)); }

  /// The next tick with something to do: so a gap of a year costs no more than one of a second.
  uint64_t nextEvent() const {
    for (const Level& level : kLevels) {
      const uint64_t round = tick_ & ~(level.turn() - 1);
      const uint32_t at = level.at(tick_), end = level.first + level.slots();
      const uint32_t later = nextUsed(level.first + at + 1, end);
      if (later < end) return round + (uint64_t{later - level.first} << level.shift);
      // What does not lie ahead belongs to the next round.
      if (nextUsed(level.first, end) < end) return round + level.turn();
    }
    return ~uint64_t{0};
  }

  /// The first list within [from, to) that may hold sessions, or `to` or more.
  uint32_t nextUsed(uint32_t from, uint32_t to) const {
    if (from >= to) return to;
    uint64_t bits = used_[from / 64] & ~uint64_t{0} << (from % 64);
    for (uint32_t word = from / 64;;) {
      if (bits != 0) return word * 64 + static_cast<uint32_t>(std::countr_zero(bits));
      if (++word * 64 >= to) return to;
      bits = used_[word];
    }
  }

  Arena<SessionLinks>& links_;
  uint64_t tick_ = 0;
  Arena<uint32_t> heads_;
  uint64_t used_[(kHeads + 63) / 64] = {};  // lists that may hold sessions
  static constexpr uint32_t kAhead = 6;
  uint32_t scout_ = 0;  // ahead in the list that is worked off: a session plus one
  uint32_t scoutedList_ = 0;
  uint64_t scoutedTick_ = ~uint64_t{0};
};

}  // namespace napt
