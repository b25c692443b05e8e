// What happens in a translator, one record each, for whoever wants to know: sessions, bindings,
// port blocks, pools and hosts at their limits.
//
// The ring has one writer and one reader, which may be two threads: the writer is who has the
// translator (a thread at a time), the reader waits for nobody. It is bounded: what comes while it
// is full is counted as lost. A mask says what is recorded; with none a record costs a branch.
#pragma once

#include <atomic>
#include <iterator>

#include "nat/arena.h"
#include "nat/session.h"

namespace napt {

/// In the order of src/events/event.ts.
enum class EventType : uint8_t {
  SessionOpened,
  SessionEstablished,
  SessionClosed,
  SessionExpiring,
  SessionExpired,
  SessionEvicted,
  SessionDeleted,
  BindingCreated,
  BindingReleased,
  BlockAllocated,
  BlockReleased,
  PoolThreshold,
  PoolExhausted,
  PoolRelieved,
  HostLimit,
  Count
};
constexpr const char* kEventNames[] = {
    "session-opened",   "session-established", "session-closed",  "session-expiring",
    "session-expired",  "session-evicted",     "session-deleted", "binding-created",
    "binding-released", "block-allocated",     "block-released",  "pool-threshold",
    "pool-exhausted",   "pool-relieved",       "host-limit"};
static_assert(std::size(kEventNames) == static_cast<size_t>(EventType::Count));

/// The quota that a host would go beyond.
enum class HostQuota : uint8_t { Sessions, Bindings, Rate };
constexpr const char* kHostQuotaNames[] = {"sessions", "bindings", "rate"};

/// One of them. What does not apply is 0.
struct Event {
  uint64_t at;  // ns
  EventType type;
  uint8_t protocol;                             // of a pool in blocks: 0
  uint8_t state, flags;                         // of a session
  uint16_t insidePort, publicPort, remotePort;  // network order
  uint32_t inside, publicAddress, remote;       // network order
  uint32_t created;                             // of a session, as SessionLinks has it
  uint32_t numbers[2];  // a block's first and last port; a pool's used and total; a HostQuota
  uint64_t packets[2], bytes[2];

  bool operator==(const Event&) const = default;
};

/// An event of a session's binding.
inline Event bindingEvent(EventType type, uint64_t at, const Session& s) {
  Event event{};
  event.at = at;
  event.type = type;
  event.protocol = s.protocol;
  event.inside = s.inside;
  event.insidePort = s.insidePort;
  event.publicAddress = s.publicAddress;
  event.publicPort = s.publicPort;
  return event;
}

class Events {
 public:
  static constexpr uint32_t kMost = 65536;

  bool reserve() { return ring_.reserve(kMost); }

  /// What is recorded from now on: bits, by EventType.
  void record(uint32_t mask) { mask_ = mask; }
  bool isOn() const { return mask_ != 0; }
  bool wants(EventType type) const { return (mask_ >> static_cast<uint32_t>(type) & 1) != 0; }
  bool wantsPools() const {
    constexpr uint32_t kFirst = static_cast<uint32_t>(EventType::PoolThreshold);
    return (mask_ >> kFirst & 7) != 0;
  }

  /// Adds an event if it is wanted.
  void add(const Event& event) {
    if (!wants(event.type)) return;
    const uint32_t at = written_.load(std::memory_order_relaxed);
    if (at - read_.load(std::memory_order_acquire) == kMost) {
      lost_.store(lost_.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
      return;
    }
    ring_[at % kMost] = event;
    written_.store(at + 1, std::memory_order_release);
  }

  /// The reader's: shows events, oldest first, at most so many, and forgets them. How many.
  template <class Visit>
  uint32_t take(uint32_t most, Visit visit) {
    const uint32_t from = read_.load(std::memory_order_relaxed);
    const uint32_t there = written_.load(std::memory_order_acquire) - from;
    const uint32_t count = there < most ? there : most;
    for (uint32_t i = 0; i < count; i++) visit(ring_[(from + i) % kMost]);
    read_.store(from + count, std::memory_order_release);
    return count;
  }

  /// Events that found the ring full, so far.
  uint64_t lost() const { return lost_.load(std::memory_order_relaxed); }

  /// Goes on with another's events and mask. Nobody writes or reads meanwhile.
  void adopt(Events& other) {
    ring_ = std::move(other.ring_);
    written_ = other.written_.load();
    read_ = other.read_.load();
    lost_ = other.lost_.load();
    mask_ = other.mask_;
    other.mask_ = 0;
  }

 private:
  Arena<Event> ring_;
  std::atomic<uint32_t> written_{0}, read_{0};  // in all; they wrap
  std::atomic<uint64_t> lost_{0};
  uint32_t mask_ = 0;
};

}  // namespace napt
