// The translator: packets in, packets out, in place.
//
// Life of a packet: parse, direction, session, TCP state, idle clock and counters, rewrite,
// verdict. An established session is one probe away in either direction; that is the fast path
// (fast_path.cpp), which runs stage by stage over a batch so that a table in DRAM costs little
// more than one in cache. Everything else goes packet by packet through the slow path
// (slow_path.cpp, session_life.cpp, icmp_errors.cpp, fragment_path.cpp, too_big.cpp), which is
// complete: the fast path only does sooner what the slow path would do.
//
// A translator belongs to one thread. It has no clock, no I/O and allocates nothing for a packet:
// time comes with each call, and memory was reserved when it was made. Time never goes back: an
// earlier one is taken as no time passed.
#pragma once

#include <memory>

#include "nat/alg/calls.h"
#include "nat/alg/ftp.h"
#include "nat/alg/pptp.h"
#include "nat/alg/watches.h"
#include "nat/batch.h"
#include "nat/bindings.h"
#include "nat/exemptions.h"
#include "nat/explicit.h"
#include "nat/fragments.h"
#include "nat/identification.h"
#include "nat/siblings.h"
#include "nat/snapshot.h"
#include "nat/stats.h"
#include "nat/tcp.h"
#include "nat/trace.h"

namespace napt {

class Translator {
 public:
  /// Null when the system refuses the address space.
  static std::unique_ptr<Translator> create(const Config& config, Seed seed);

  Translator(const Translator&) = delete;
  Translator& operator=(const Translator&) = delete;

  /// Translates one packet in place. `now` in ns. A dropped packet's bytes are unchanged; a held
  /// one is the engine's: `take` gives it back, in pieces if it was too big.
  Result translate(const PacketView& packet, uint32_t tag, uint64_t now);
  /// The same by the slow path alone: what the fast one must agree with.
  Result translateSlowly(const PacketView& packet, uint32_t tag, uint64_t now);

  /// The same, and tells what it met (trace.h).
  Trace trace(const PacketView& packet, uint32_t tag, uint64_t now);

  /// The same for `count` descriptors over `length` bytes of packets.
  void translateBatch(Descriptor* descriptors, uint32_t count, uint8_t* bytes, size_t length,
                      uint64_t now);

  /// Ends sessions and datagrams that are due, looking at no more than `budget` of them; puts
  /// answers out that were waiting. Returns the number of sessions ended.
  uint32_t advance(uint64_t now, uint32_t budget);

  /// The same, and also ends what became due within the current tick of the wheel.
  uint32_t sweep(uint64_t now, uint32_t budget);

  /// Puts out what waits for its time, as there will be no more of it.
  void flush();

  /// Packets that the engine puts out itself: released fragments, pieces of what was too big and
  /// originated ICMP errors, and word of held fragments that died. The caller copies and takes
  /// each.
  uint32_t pending() const { return outbox_.size(); }
  template <class Visit>
  void take(Visit visit) {
    while (!outbox_.empty()) {
      const uint32_t link = outbox_.pop(store_);
      visit(store_[link], store_.bytes(link));
      store_.give(link);
    }
  }

  // Explicit mappings (RFC 6887).
  Granted map(const MappingRequest& request, uint64_t now);
  Granted findMapping(uint8_t protocol, uint32_t inside, uint16_t insidePort);
  bool unmap(uint8_t protocol, uint32_t inside, uint16_t insidePort);
  uint32_t publicAddressOf(uint32_t inside) const;
  Granted keep(const MappingRequest& request, uint32_t remote, uint16_t remotePort, uint64_t now);

  /// Whether an address (network order) is an inside host's.
  bool isInside(uint32_t address) const { return inside_.contains(address); }

  // Conntrack.
  SessionTable& sessions() { return sessions_; }
  uint64_t deadlineOf(uint32_t slot) const {
    const Session& s = sessions_[slot];
    return s.last + timeoutOf(s.profile, s.timeout);
  }
  bool isLive(uint32_t slot) const {
    return sessions_[slot].protocol != 0 && deadlineOf(slot) > now_;
  }
  uint32_t findSession(const Key& key);
  void deleteSession(uint32_t slot);
  /// Whether a session is the only one of its binding.
  bool isAlone(uint32_t slot) const;
  uint64_t now() const { return now_; }

  /// What has happened, and what of it is recorded from now on (bits, by EventType).
  Events& events() { return events_; }
  void record(uint32_t mask);

  // What it holds, for monitoring (census.h).

  /// Counts sessions from a slot on, some thousands at most; the slot to go on with, 0 at the end.
  uint32_t countSessions(uint32_t from, SessionCensus& census) const;
  /// Public addresses that ports are handed out of, and what is in use of one of them.
  uint32_t poolSize() const { return addresses_.pool(); }
  PortUse portUse(uint32_t address) const { return bindings_.portUse(address); }
  void portRanges(uint32_t space, uint32_t address, uint32_t (&used)[kPortRanges]) const {
    bindings_.portRanges(space, address, used);
  }

  // Snapshots (snapshot.h).

  /// Writes records of live sessions from a slot on, as of the time `at` (ns). Some thousands at
  /// most; `room` is at least `kLargestRecord`. Between calls anything may happen to sessions, but
  /// no change of config: then they have other slots.
  SnapshotPiece save(uint32_t from, uint64_t at, uint8_t* out, size_t room);
  /// Takes in records, some thousands at most: those that are the first of their binding, or the
  /// others, which come after all of those. Bytes that make no sense do no harm.
  Restored restore(const uint8_t* records, size_t length, bool first, const RestoreTime& when);

  /// Takes over what is still legal under this translator's config: sessions with their ports and
  /// counters, held fragments, packets to put out, counts, events. For a new, empty translator.
  void adopt(Translator& old);

  Stats stats{};

 private:
  friend class FastPath;
  friend class Audit;

  Translator(const Config& config, Seed seed);
  bool reserve();

  static constexpr uint32_t kSweepPerPacket = 4;
  static constexpr uint32_t kTimeoutShift = 8;  // profiles lie so far apart that no sum is needed

  struct Route {
    Direction direction = Direction::None;
    uint32_t own = PublicAddresses::kNone;  // the public address it is sent to
    bool toSibling = false;                 // hairpinned: its inbound half is a sibling's
  };
  /// What an inbound packet, or the inbound half of a hairpinned one, is translated to.
  struct Leg {
    uint32_t slot = SessionTable::kNone;  // kNone: by the binding alone
    uint32_t inside = 0;
    uint16_t insidePort = 0;
    uint32_t outbound = SessionTable::kNone;  // the session of a hairpinned packet's other half
  };
  struct Opening {
    Key key;
    Side side;                      // who sent the first packet
    const Segment& segment;         // of TCP: that packet
    const PublicEndpoint* inbound;  // the public endpoint it came to, if from outside
    bool permanent;
    const Session* control = nullptr;  // of a session that an ALG expects: what it was read from
    // Not to be evicted for it: what leads its packet to where it goes.
    uint32_t head = SessionTable::kNone;      // the first session of the binding that it came to
    uint32_t outbound = SessionTable::kNone;  // of a hairpinned packet: its other half's session
    const MappingRequest* request = nullptr;  // of what its host asked for
  };

  // slow_path.cpp
  void beginPacket(uint32_t tag);
  Result process(const PacketView& packet, uint32_t tag);
  void count(const Result& result, const PacketView& packet, uint8_t protocol);
  /// Of a hairpinned packet's two halves the first one counts the hop.
  bool takesHop(const PacketView& packet) const {
    return config_.decrementTtl && !packet.hairpinned;
  }
  Result dispatch(const PacketView& packet, const Parsed& parsed, Route& route, uint32_t tag);
  bool isSiblings(uint8_t protocol, uint32_t own, uint16_t port);
  bool classify(const PacketView& packet, const Parsed& parsed, Route& route, Result& result);
  Exempt exemption(const PacketView& packet, const Parsed& parsed, bool outbound) const;
  Result flow(const PacketView& packet, const Parsed& parsed, Route& route, uint32_t tag);
  void refuse(const PacketView& packet, const Parsed& parsed, const Segment& segment,
              const Result& why, uint32_t tag);
  Reason resolve(const PacketView& packet, const Parsed& parsed, Route& route,
                 const Segment& segment, Endpoints& to, uint32_t& slot);
  uint16_t outboundId(const PacketView& packet, const Parsed& parsed, const Endpoints& to);
  Reason outboundSession(const Parsed& parsed, const Segment& segment, uint32_t& slot);
  Reason inboundLeg(const Parsed& parsed, uint32_t own, const Endpoints& from,
                    const Segment& segment, Leg& leg);
  Reason dynamicLeg(const Parsed& parsed, PublicEndpoint e, const Endpoints& from,
                    const Segment& segment, Leg& leg);
  const Policy& policyAt(uint32_t inside) const {
    return config_.policies[inside_.policyOf(inside)];
  }
  Reason permanentLeg(const Parsed& parsed, PublicEndpoint e, const Key& key,
                      const Segment& segment, Leg& leg);

  // session_life.cpp
  Reason open(const Opening& opening, uint32_t& slot);
  Reason tryOpen(const Opening& opening, bool ideal, uint32_t& slot);
  void mark(Session& s, bool permanent) const;
  uint8_t profileOf(uint8_t policy, uint8_t protocol, uint16_t remotePort) const;
  bool track(uint32_t slot, Side side, const Segment& segment);
  bool isTaken(const Session& s) const;
  void account(uint32_t slot, const Segment& segment, Side side, uint32_t bytes);
  uint32_t lookup(const Key& key);
  uint32_t liveHead(const Arrival& arrival);
  uint32_t liveBinding(const Key& key, const Policy& policy);
  void removeSession(uint32_t slot, EventType why);
  uint64_t noticeOf(uint64_t deadline, uint64_t timeout) const;
  uint64_t noticeOf(uint32_t slot) const {
    const Session& s = sessions_[slot];
    const uint64_t timeout = timeoutOf(s.profile, s.timeout);
    return noticeOf(s.last + timeout, timeout);
  }
  void restartTimer(uint32_t slot);
  void reclaim();
  bool adoptSession(Translator& old, uint32_t from);
  uint32_t takeOver(const Session& was, const SessionLinks& links);
  uint64_t timeoutOf(uint8_t profile, Timeout timeout) const {
    return timeouts_[uint32_t{profile} << kTimeoutShift | static_cast<uint32_t>(timeout)];
  }

  /// Where in `timeouts_` a session's is.
  static uint32_t idleClass(const Session& s) {
    static_assert(offsetof(Session, profile) == offsetof(Session, timeout) + 1);
    return load<uint16_t>(reinterpret_cast<const uint8_t*>(&s.timeout));
  }

  // event_path.cpp
  void tell(EventType type, uint32_t slot) { tell(type, sessions_, slot); }
  void tell(EventType type, const SessionTable& table, uint32_t slot);
  void tellProgress(uint32_t slot, Side side, uint8_t before);
  void tellRefusal(uint32_t host, const Opening& opening, Reason reason, bool ideal);
  void tellChange(Translator& old);

  // snapshot.cpp
  void approach(const SessionRecord& record);
  uint32_t restoreSession(const SessionRecord& record, uint64_t passed, bool& expired);
  bool hasPlace(const Session& s);
  void restoreWatch(uint32_t slot, const WatchRecord& record);

  // alg_path.cpp
  struct WatchedControl;
  bool hasAlgs() const { return config_.ftp || config_.pptp || watches_.size() != 0; }
  const Alg* algOf(uint16_t port) const;
  void watch(uint32_t slot, Side side);
  void unwatch(uint32_t slot);
  Segment asSent(uint32_t slot, Side side, const Segment& segment) const;
  uint32_t asSent(uint32_t slot, Side side, uint32_t sequence) const;
  Result forwardSegment(const PacketView& packet, const Parsed& parsed, const Segment& segment,
                        const Endpoints& to, uint32_t slot, Side side, uint32_t tag);
  void read(Watch& watch, const PacketView& packet, const Parsed& parsed, const Segment& segment,
            Side side, uint32_t room);
  void putOut(uint32_t link, uint32_t length, uint32_t tag, bool toInside);
  bool expect(uint32_t control, uint8_t protocol, uint16_t insidePort, Endpoint& out);
  void endExpected(const Key& key);
  void pairCall(const Key& key, uint16_t remoteId);
  void unpairCall(uint32_t slot);
  void adoptCall(uint32_t slot);
  uint32_t findCall(uint32_t inside, uint32_t remote, uint16_t remoteId);
  void adoptWatch(const Translator& old, uint32_t from, uint32_t slot);

  // eviction.cpp
  bool makeRoom(const Opening& opening, Reason reason);
  bool isAssured(uint32_t slot) const;
  bool evictSession(const Opening& opening);
  bool evictBinding(const Opening& opening);

  // explicit.cpp
  Granted granted(uint32_t slot) const;
  Reason refusal(const MappingRequest& request) const;
  bool suits(const MappingRequest& request, const Granted& has) const;
  bool suggested(const Opening& opening, uint32_t host, PublicEndpoint& e);
  uint32_t explicitMapping(uint32_t inside, uint16_t insidePort, uint8_t protocol);
  bool mayEnter(uint32_t head, uint32_t remote, uint16_t remotePort);
  void makeExplicit(uint32_t slot);

  // icmp_errors.cpp
  Result icmpError(const PacketView& packet, const Parsed& parsed, Route& route);
  Reason quotedInbound(const Quoted& quoted, Endpoints& to, uint32_t& slot);
  Reason quotedOutbound(const Quoted& quoted, Endpoints& to, PublicEndpoint& e, uint32_t& slot);

  // fragment_path.cpp
  Result fragment(const PacketView& packet, const Parsed& parsed, const Route& route, uint32_t tag);
  void firstFragment(const Parsed& parsed, const Route& route, const Result& result,
                     const Endpoints& to);
  Datagram& beginDatagram(const DatagramKey& key);
  void endDatagram(Datagram& datagram, Reason reason);
  void release(uint32_t link, const Datagram& datagram);
  void discardWaiting(Datagram& datagram, Reason reason);
  void discard(uint32_t link, Reason reason);
  void expireFragments();
  void adoptFragments(Translator& old);
  bool mayStay(const Datagram& datagram, bool sameExemptions) const;

  // too_big.cpp
  uint32_t exceededMtu(const PacketView& packet, bool toInside) const;
  uint32_t pieceMtu(const PacketView& packet, bool toInside) const;
  Reason obstacleOf(const PacketView& packet, bool toInside) const;
  Verdict send(const PacketView& packet, const Parsed& parsed, bool toInside);
  void putPieces(const PacketView& packet, uint32_t mtu, uint32_t tag, bool toInside);

  // icmp_origin.cpp
  uint32_t errorSource(uint32_t source, uint32_t destination, bool toInside) const;
  void originate(const PacketView& cause, const Parsed& parsed, uint8_t type, uint8_t code,
                 bool toInside, uint32_t tag, uint32_t mtu = 0);
  void answerLater(const PacketView& packet, uint32_t tag);
  void forgetUnanswered(const Session& s, const Segment& segment);
  void answerUnsolicited(uint64_t until);

  const Config config_;
  uint64_t now_ = 0;
  std::vector<uint64_t> timeouts_;         // by profile and class
  std::vector<uint8_t> inboundRefreshes_;  // by profile
  bool refreshesInbound_ = false;          // any of them
  uint32_t smallestMtu_ = 0xffffffff;
  uint16_t mostMss_ = 0;  // that a SYN leaves with, 0: any
  Events events_;
  PublicAddresses addresses_;
  InsidePrefixes inside_;
  Exemptions exemptions_;
  Siblings siblings_;
  Random random_;
  SessionTable sessions_;
  Bindings bindings_;
  Fragments fragments_;
  Ftp ftp_;
  Pptp pptp_;
  Watches watches_;
  Calls calls_;
  Identifications identifications_;
  PacketStore store_;
  PacketList outbox_;
  PacketList unanswered_;           // RFC 5382, REQ-4: answered after six seconds
  uint32_t tag_ = 0;                // of the packet under way
  Reason obstacle_ = Reason::None;  // why it can't leave: then it makes and refreshes nothing
  uint32_t sweepCredit_ = 0;        // sessions that the next new session may look at for expiry
  /// Where two indexes have sessions that will end soon: hints for the memory, no more.
  struct Ending {
    const Index::Bucket *session, *mapping;
  };
  static constexpr uint32_t kEndings = 2;
  Ending endings_[kEndings] = {};
  uint32_t endingsSeen_ = 0;
  uint32_t anchors_ = 0;       // explicit mappings
  uint64_t latest_ = 0;        // until when a session was asked to be kept, at most
  uint32_t evictionHand_ = 0;  // the slot that eviction looks at next
  RateLimit sessionRate_;
  RateLimit icmpErrors_[2];  // to outside, to inside: neither side can use up the other's
};

}  // namespace napt
