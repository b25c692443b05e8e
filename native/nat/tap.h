// Taps: copies of packets as they came and as they left, for whoever looks on.
//
// A tap is a bounded ring in shared memory: whoever translates writes, JavaScript reads, and
// neither waits for the other. What finds no room is lost, and counted in the next record. Of a
// burst a tap is shown everything once it is done: so packets are sent first, and a filter by
// verdict copies nothing that it does not want. As translation is in place, a packet that may
// change is kept beforehand (TapBurst).
#pragma once

#include <atomic>
#include <memory>
#include <mutex>
#include <vector>

#include "nat/batch.h"
#include "nat/packet_store.h"
#include "nat/session.h"
#include "nat/verdict.h"

namespace napt {

class Translator;

/// What a packet is that a tap is shown.
enum class TapKind : uint8_t {
  Translated,  // it was handed to the NAT: has a verdict
  Released,    // a fragment that was held
  Piece,       // of a packet that was too big
  Rewritten,   // of other length than it came, by an ALG
  Originated,  // an ICMP error of the NAT's own
  Delayed,     // translated; it waited for its next hop's hardware address
  Own,         // the gateway's own: for it, or from it
};
constexpr const char* kTapKindNames[] = {"translated", "released", "piece", "rewritten",
                                         "originated", "delayed",  "own"};

enum TapSide : uint8_t { kTapInside, kTapOutside };
enum class TapLink : uint8_t { Ethernet, Ipv4 };

/// A session's endpoints, in network order; protocol 0: none.
struct TapSession {
  uint32_t inside, remote, publicAddress;
  uint16_t insidePort, remotePort, publicPort;
  uint8_t protocol;
};

/// A packet that a tap is shown.
struct Tapped {
  TapSide side;  // where it was seen
  bool left;     // it left there; else it came
  TapKind kind;
  TapLink link;
  const uint8_t* bytes;
  uint32_t captured, length;  // bytes there, and on the wire
  uint32_t result;            // Result::packed
  uint32_t tag;
  const TapSession* session;  // null: none
  uint64_t time;              // ns
  bool wall;                  // since 1970; else by the caller's clock
};

/// A record of the ring; the packet's bytes follow, and what is left of eight bytes.
struct TapRecord {
  uint32_t size;  // of all; 0: the next record is the ring's first
  uint32_t captured, length;
  uint32_t lost;  // packets that found no room since the record before
  uint64_t time;  // ns
  uint32_t result;
  uint32_t tag;
  TapKind kind;
  TapSide side;
  uint8_t left;
  TapLink link;
  uint8_t wall;
  uint8_t unused[7];
  TapSession session;
};
static_assert(sizeof(TapRecord) == 64 && offsetof(TapRecord, session) == 44);

/// What a tap wants to be shown.
struct TapFilter {
  bool sides[2] = {true, true};
  bool dropped = true, others = true;
  uint32_t snaplen = 0xffffffff;  // most bytes of a packet

  bool wants(const Tapped& packet) const {
    const bool drop = static_cast<Verdict>(packet.result & 0xff) == Verdict::Dropped;
    return sides[packet.side] && (drop ? dropped : others);
  }
};

/// One tap. Its memory has a header, then the ring, whose size is a power of two.
class Tap {
 public:
  /// Who writes and who reads have a cache line each.
  struct Header {
    uint32_t written;  // bytes so far
    uint32_t unused[1];
    uint64_t lost;  // packets that found no room
    uint32_t unused2[12];
    uint32_t read;  // bytes so far; the reader's
    uint32_t unused3[15];
  };
  static_assert(sizeof(Header) == 128);
  static constexpr uint32_t kMostBytes = 1 << 18;  // of a packet: as many as a capture may have
  static constexpr uint32_t kLeastRing = 1 << 20;

  /// `memory` stays the caller's. Null when its length is not right.
  static std::unique_ptr<Tap> over(uint8_t* memory, size_t length, const TapFilter& filter);

  /// Takes a packet, if it wants it and there is room.
  void show(const Tapped& packet);

  const TapFilter filter;

 private:
  Tap(uint8_t* memory, uint32_t size, const TapFilter& wanted)
      : filter(wanted),
        header_(reinterpret_cast<Header*>(memory)),
        ring_(memory + sizeof(Header)),
        size_(size) {}

  Header* const header_;
  uint8_t* const ring_;
  const uint32_t size_;
  uint32_t written_ = 0;
  uint32_t lost_ = 0;  // since the last record
};

/// What taps wanted when a burst began; those that are opened later see the next one.
struct TapDemand {
  uint32_t newest = 0;  // the number of the last tap
  uint32_t kept = 0;    // bytes to keep of each packet before it is translated
};

/// Packets of a burst as they came, and the sessions that they met.
class TapBurst {
 public:
  static constexpr uint32_t kMost = 64;

  void begin(const TapDemand& demand) {
    demand_ = demand;
    used_ = 0;
  }
  /// Keeps the first bytes of packet `i`, from 0 on in order.
  void keep(uint32_t i, const uint8_t* bytes, uint32_t length);
  /// Keeps the sessions of translated packets.
  void meet(Translator& nat, const Descriptor* descriptors, uint32_t count);

  const TapDemand& demand() const { return demand_; }
  /// What was kept of packet `i`.
  const uint8_t* bytes(uint32_t i) const { return bytes_.data() + starts_[i]; }
  uint32_t captured(uint32_t i) const { return starts_[i + 1] - starts_[i]; }
  const TapSession* session(uint32_t i) const {
    return sessions_[i].protocol == 0 ? nullptr : &sessions_[i];
  }

 private:
  TapDemand demand_;
  std::vector<uint8_t> bytes_;
  size_t used_ = 0;
  uint32_t starts_[kMost + 1] = {};
  TapSession sessions_[kMost] = {};
};

/// The taps of one NAT. Without any, all it costs is to ask.
class Taps {
 public:
  static constexpr size_t kMost = 8;

  /// Whether there are any; any thread may ask.
  bool any() const { return count_.load(std::memory_order_relaxed) != 0; }

  /// Adds one and gives its number, or 0 when there are `kMost`.
  uint32_t open(std::unique_ptr<Tap> tap);
  /// From the return on it is shown nothing, and its memory is not touched. 0: all of them.
  void close(uint32_t number);

  TapDemand demand();
  /// Calls `visit` with a function that shows a packet to all taps that there were at `demand`.
  template <class Visit>
  void show(const TapDemand& demand, Visit visit) {
    const std::lock_guard lock(mutex_);
    visit([&](const Tapped& packet) {
      for (const Entry& entry : entries_) {
        if (entry.number <= demand.newest) entry.tap->show(packet);
      }
    });
  }

  /// Set where a gateway's thread shows what it moves: then nobody else does.
  std::atomic<bool> isLive = false;

 private:
  struct Entry {
    uint32_t number;
    std::unique_ptr<Tap> tap;
  };

  std::mutex mutex_;  // the last of all to be taken, and never for long
  std::vector<Entry> entries_;
  std::atomic<size_t> count_ = 0;
  uint32_t newest_ = 0;
};

/// What a packet is that the NAT puts out.
TapKind tapKindOf(const StoredPacket& packet, const uint8_t* bytes);

}  // namespace napt
