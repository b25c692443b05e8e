#include "fuzz/world.h"

#include <cinttypes>
#include <cstdio>

#include "nat/dccp.h"

namespace napt::fuzz {

namespace {

constexpr size_t kHistory = 64;
constexpr uint64_t kLatest = 8'000'000'000'000'000'000;  // as the addon lets through

constexpr uint64_t kWaits[] = {1,
                               kMs,
                               16 * kMs,
                               kSecond,
                               5 * kSecond,
                               10 * kSecond,
                               30 * kSecond,
                               60 * kSecond,
                               120 * kSecond,
                               240 * kSecond - 1,
                               240 * kSecond,
                               300 * kSecond,
                               3600 * kSecond,
                               7440 * kSecond,
                               100'000 * kSecond,
                               1'000'000'000 * kSecond};

/// A copy in memory of exactly its size, so that a byte more is noticed.
struct Exact {
  std::unique_ptr<uint8_t[]> bytes;

  explicit Exact(const Bytes& from) : bytes(new uint8_t[from.size()]) {
    std::copy(from.begin(), from.end(), bytes.get());
  }
};

/// Whether the inside host has a part in a session: what outsiders try alone permits nobody.
bool isOfInside(const Session& s) {
  if (isAnchor(s)) return true;
  if (s.protocol == kTcp) return (s.flags & kSeenInside) != 0 || (s.state & kBegunOutside) == 0;
  return s.protocol != kDccp || (s.flags & kVisitor) == 0 || isTakenDccp(s);
}

/// Packets that a session has had since `was`, fewer than its low parts can count.
uint64_t packetsSince(const Session& is, const Session& was) {
  const auto more = [&](Side side) {
    return static_cast<uint8_t>(is.packets[side] - was.packets[side]);
  };
  return uint64_t{more(kOut)} + more(kIn);
}

}  // namespace

World::World(Input input, bool trace)
    : input_(std::move(input)),
      trace_(trace),
      config_(configOf(input_.header)),
      judge_(config_),
      now_(input_.header[1] >= 128 ? kLatest / 2 : input_.header[1] * kSecond) {
  nat_ = make();
  nat_->record(~0u);
  if ((input_.header[0] & 1) != 0) twin_ = make();
}

std::unique_ptr<Translator> World::make() const {
  auto nat = Translator::create(config_, {input_.header[1], 7});
  require(nat != nullptr, "no address space");
  return nat;
}

void World::run() {
  check(*nat_);
  for (Step next{}; input_.next(next);) step(next);
  end();
}

void World::step(const Step& step) {
  const Op op = step.operation();
  const bool sends = op < Op::Wait;
  if (!sends && op != Op::Batch) runBatch();
  switch (op) {
    case Op::Wait:
      wait(step);
      break;
    case Op::Sweep: {
      const uint32_t budget = step.back % 4 == 0 ? 1000 : step.extra % 4;
      for (Translator* nat : {nat_.get(), twin_.get()}) {
        if (nat == nullptr) continue;
        if (step.from % 2 == 0) {
          nat->sweep(now_, budget);
        } else {
          nat->advance(now_, budget);
        }
      }
      break;
    }
    case Op::Delete:
      if (step.where < 128) {
        remove(step);
      } else {
        ask(step);
      }
      break;
    case Op::Flush:
      nat_->flush();
      if (twin_ != nullptr) twin_->flush();
      break;
    case Op::Take:
      take(*nat_, held_);
      if (twin_ != nullptr) take(*twin_, twinHeld_);
      break;
    case Op::Reconfigure:
      reconfigure(step);
      break;
    case Op::Batch:
      batchSize_ = queue_.size() + 1 + step.back % 80;
      break;
    default:
      if (!send(step)) return;
      break;
  }
  check(*nat_);
  const std::string difference = told_.differs(config_, *nat_);
  if (!difference.empty()) fail(difference.c_str());
}

/// The packets of a step. False if it has none.
bool World::send(const Step& step) {
  const Op op = step.operation();
  if (op == Op::FromInside || op == Op::FromOutside) {
    const bool out = op == Op::FromInside;
    Flow flow{};
    flow.from = addressOf(step.from, out ? Group::Inside : Group::Remote);
    flow.to = addressOf(step.to, out ? Group::Remote : Group::Public);
    flow.sourcePort = portOf(step.sourcePort);
    flow.destinationPort = portOf(step.destinationPort);
    flow.protocol = protocolOf(step);
    flow.sequence = uint32_t{step.numbers} << 24;
    flow.ack = uint32_t{step.where} << 24;
    flow.icmpType = step.flags < 128 ? uint8_t{kEcho} : step.flags & 31;
    flow.id = step.back;
    put(build(flow, step), step);
    return true;
  }
  if (op == Op::Split || op == Op::Piece) {
    fragment(step);
    return true;
  }
  if (op == Op::Raw) {
    Packet packet;
    packet.bytes = input_.raw(step.size);
    if (step.from % 2 == 0) mend(packet.bytes);
    packet.wire = static_cast<uint32_t>(packet.bytes.size()) + (step.to < 16 ? step.to : 0u);
    packet.partial = step.damage >= 240;
    put(std::move(packet), step);
    return true;
  }
  const Sent* about = earlier(step.back);
  if (about == nullptr) return false;
  const Bytes& seen = about->after.empty() ? about->before.bytes : about->after;
  if (op == Op::Again) {
    Packet packet = about->before;
    damage(packet, step);
    put(std::move(packet), step);
  } else if (op == Op::Error) {
    const bool byReceiver = step.from % 2 == 0;
    const uint32_t router = addressOf(step.to, about->fromInside ? Group::Remote : Group::Inside);
    put(buildError(step.extra % 8 == 7 ? about->before.bytes : seen, byReceiver ? 0 : router, step),
        step);
  } else {
    const Flow flow = op == Op::Reply ? answerTo(seen, step) : nextOf(about->before.bytes, step);
    put(build(flow, step), step);
  }
  return true;
}

void World::fragment(const Step& step) {
  if (step.operation() == Op::Split) {
    Step whole = step;
    whole.damage = 0;
    const Sent* about = step.from % 4 == 3 ? earlier(step.back) : nullptr;
    Flow flow{};
    if (about != nullptr) {
      flow = answerTo(about->after.empty() ? about->before.bytes : about->after, step);
    } else {
      flow.from = addressOf(step.from, Group::Inside);
      flow.to = addressOf(step.to, Group::Remote);
      flow.sourcePort = portOf(step.sourcePort);
      flow.destinationPort = portOf(step.destinationPort);
      flow.protocol = protocolOf(step);
      flow.icmpType = kEcho;
    }
    flow.id = step.where % 4;
    if (whole.size < 16) whole.size = 47;
    whole.header &= 0x3f;
    pieces_ = split(build(flow, whole), step);
  }
  if (pieces_.empty()) return;
  const uint8_t wanted = step.operation() == Op::Split ? step.value : step.back;
  Packet piece = pieces_[wanted % pieces_.size()];
  damage(piece, step);
  put(std::move(piece), step);
}

/// Hands a packet over, or lets it wait for its batch.
void World::put(Packet packet, const Step& step) {
  const uint32_t tag = ++tag_;
  causes_[tag] = packet.bytes;
  if (batchSize_ != 0) {
    const uint32_t delay = step.extra >= 240 ? (step.extra - 240u) * 100'000'000 : 0;
    queue_.push_back({std::move(packet), tag, delay, step.extra == 239});
    if (queue_.size() == batchSize_) runBatch();
    return;
  }
  Packet after = packet;
  say("in ", packet.bytes, nullptr);
  const Result result = single(*nat_, after, tag, now_);
  if (result.verdict == Verdict::Held) held_[tag] = packet;
  if (twin_ != nullptr) {
    Exact copy(packet.bytes);
    const Result other = twin_->translateSlowly(packet.view(copy.bytes.get()), tag, now_);
    if (other.verdict == Verdict::Held) twinHeld_[tag] = packet;
    require(other.packed() == result.packed() && other.session == result.session &&
                std::equal(after.bytes.begin(), after.bytes.end(), copy.bytes.get()),
            "twins differ");
  }
  packets_++;
  bytes_ += packet.bytes.size();
  remember(packet, after.bytes, result);
}

/// Puts a batch together with a gap before each packet, runs it, and judges it packet by packet.
void World::runBatch() {
  batchSize_ = 0;
  if (queue_.empty()) return;
  const std::vector<Queued> queue = std::move(queue_);
  queue_.clear();
  Bytes memory;
  std::vector<Descriptor> descriptors;
  for (const Queued& q : queue) {
    memory.insert(memory.end(), 1 + q.tag % 3, 0xa5);
    const auto length = static_cast<uint32_t>(q.packet.bytes.size());
    Descriptor d{
        static_cast<uint32_t>(memory.size()), length, q.packet.wire, 0, 0, 0, q.tag, q.delay};
    d.flags =
        (q.packet.partial ? kPartialChecksum : 0u) | (q.packet.fromOutside ? kFromOutside : 0u);
    if (q.wild) d.offset = 0xffffff00;
    memory.insert(memory.end(), q.packet.bytes.begin(), q.packet.bytes.end());
    descriptors.push_back(d);
  }
  for (const Queued& q : queue) say("batched in ", q.packet.bytes, nullptr);
  const Exact exact(memory);
  nat_->translateBatch(descriptors.data(), static_cast<uint32_t>(descriptors.size()),
                       exact.bytes.get(), memory.size(), now_);
  // Bytes between the packets.
  Bytes after(exact.bytes.get(), exact.bytes.get() + memory.size());
  for (size_t i = 0; i < queue.size(); i++) {
    const Queued& q = queue[i];
    const size_t at = descriptors[i].offset;
    Packet before = q.packet;
    Bytes out;
    if (q.wild) {
      before.bytes.clear();
    } else {
      out.assign(after.begin() + static_cast<long>(at),
                 after.begin() + static_cast<long>(at + before.bytes.size()));
      std::copy(before.bytes.begin(), before.bytes.end(), after.begin() + static_cast<long>(at));
    }
    const uint32_t packed = descriptors[i].verdict;
    const Result result{static_cast<Verdict>(packed & 255),
                        static_cast<Direction>(packed >> 8 & 255),
                        static_cast<Reason>(packed >> 16), descriptors[i].session};
    say("batched out", out, &result);
    judge_.inPlace(before, out, result);
    if (result.verdict == Verdict::Held) held_[q.tag] = before;
    if (twin_ != nullptr) {
      Packet copy = before;
      const Result other = single(*twin_, copy, q.tag, now_ + q.delay);
      require(other.packed() == packed && other.session == result.session && copy.bytes == out,
              "a batch differs from its packets singly");
      if (other.verdict == Verdict::Held) twinHeld_[q.tag] = before;
    }
    packets_++;
    bytes_ += before.bytes.size();
    remember(before, out, result);
  }
  require(after == memory, "bytes outside the packets were changed");
  now_ = std::max(now_, nat_->now());
  sync();
  check(*nat_);
}

/// What waits for its time is looked at with each call, but not for each packet of a batch.
void World::sync() {
  if (twin_ == nullptr) return;
  for (Translator* nat : {nat_.get(), twin_.get()})
    nat->translateBatch(nullptr, 0, nullptr, 0, now_);
  compare();
}

void World::wait(const Step& step) {
  uint64_t by = kWaits[step.back % 16];
  if (step.from % 4 == 3) {
    // To the end of a session, or one nanosecond off.
    const auto known = sessionsOf(*nat_);
    if (known.empty()) return;
    auto at = known.begin();
    std::advance(at, step.to % known.size());
    const uint64_t deadline = nat_->deadlineOf(at->first) + step.extra % 3;
    by = deadline > now_ + 1 ? deadline - now_ - 1 : 0;
  } else if (step.from % 16 == 1) {
    now_ -= std::min(now_, by);  // a clock that goes back
    by = 0;
  }
  now_ = std::min(kLatest, now_ + by);
  if (trace_) std::printf("now %" PRIu64 ".%09" PRIu64 " s\n", now_ / kSecond, now_ % kSecond);
}

void World::remove(const Step& step) {
  const uint32_t slot = step.back % (nat_->sessions().used() + 1);
  if (trace_) std::printf("delete session %u\n", slot);
  nat_->deleteSession(slot);
  if (twin_ != nullptr) twin_->deleteSession(slot);
}

/// An explicit mapping is asked for, or given back; or a session's life.
void World::ask(const Step& step) {
  MappingRequest wish{};
  wish.protocol = protocolOf(step);
  wish.inside = addressOf(step.from, Group::Inside);
  wish.insidePort = swap16(portOf(step.sourcePort));
  wish.lifetime = kWaits[step.back % 16];
  if ((step.flags & 1) != 0) wish.outside = addressOf(step.to, Group::Public);
  if ((step.flags & 2) != 0) wish.outsidePort = portOf(step.destinationPort);
  wish.exact = (step.flags & 4) != 0;
  wish.filters = step.size % 3;
  for (uint32_t i = 0; i < wish.filters; i++) {
    const uint32_t mask = swap32(0xffffffff << step.extra % 32);
    wish.filter[i] = {addressOf(static_cast<uint8_t>(step.value + i), Group::Remote), mask,
                      swap16(i == 0 ? uint16_t{0} : portOf(step.window))};
  }
  const uint32_t remote = addressOf(step.value, Group::Remote);
  const auto put = [&](Translator& nat) {
    Granted granted{};
    if (step.where % 4 == 0) {
      const bool gone = nat.unmap(wish.protocol, wish.inside, wish.insidePort);
      granted.reason = gone ? Reason::None : Reason::NoMapping;
      return granted;
    }
    if (step.where % 4 == 1) {
      granted = nat.keep(wish, remote, swap16(portOf(step.window)), now_);
    } else {
      granted = nat.map(wish, now_);
      const Granted is = nat.findMapping(wish.protocol, wish.inside, wish.insidePort);
      require(granted.reason != Reason::None || is.outsidePort == granted.outsidePort,
              "granted, but not there");
    }
    if (granted.reason == Reason::None && !granted.permanent) {
      const uint64_t least = std::max(now_, nat.now()) + wish.lifetime;
      require(granted.until >= least, "granted for less");
    }
    return granted;
  };
  const Granted mine = put(*nat_);
  if (trace_) {
    std::printf("ask %u: %s, port %u\n", step.where % 4,
                kReasonNames[static_cast<size_t>(mine.reason)], mine.outsidePort);
  }
  if (twin_ == nullptr) return;
  const Granted other = put(*twin_);
  require(mine.reason == other.reason && mine.outside == other.outside &&
              mine.outsidePort == other.outsidePort && mine.until == other.until,
          "the twins grant differently");
}

/// Changes a few bytes of the header, and goes on with the config that they choose.
void World::reconfigure(const Step& step) {
  // What was made by the old config is judged by it.
  take(*nat_, held_);
  if (twin_ != nullptr) take(*twin_, twinHeld_);
  const uint8_t places[] = {step.from, step.sourcePort, step.protocol};
  const uint8_t values[] = {step.to, step.destinationPort, step.flags};
  for (size_t i = 0; i < 3; i++) {
    const size_t place = places[i] % kHeaderBytes;
    if (place > 1) input_.header.byte[place] = values[i];
  }
  Bytes records = snapshot(*nat_);
  if (twin_ != nullptr) require(snapshot(*twin_) == records, "the twins' snapshots differ");
  if (!changed_) compareRestored(records);
  changed_ = true;
  config_ = configOf(input_.header);
  if (trace_) std::printf("reconfigure\n");
  // What another config has saved, and what nobody has, leads to no state that is not sound.
  const uint64_t passed = kWaits[step.value % std::size(kWaits)];
  Restored sum;
  audit(*restored(records, passed, sum));
  for (uint32_t at = step.where; at < records.size(); at += 1 + step.window * 7u) {
    records[at] = static_cast<uint8_t>(records[at] + 1 + step.damage);
  }
  audit(*restored(records, passed, sum));
  for (auto* nat : {&nat_, &twin_}) {
    if (*nat == nullptr) continue;
    auto next = make();
    next->adopt(**nat);
    *nat = std::move(next);
  }
}

/// All sessions, taken in small pieces.
Bytes World::snapshot(Translator& nat) const {
  Bytes out;
  Bytes room(3 * kLargestRecord);
  uint32_t next = 0;
  do {
    const SnapshotPiece piece = nat.save(next, now_, room.data(), room.size());
    out.insert(out.end(), room.begin(), room.begin() + static_cast<std::ptrdiff_t>(piece.bytes));
    next = piece.next;
  } while (next != 0);
  return out;
}

/// A translator of the config, with what there is for it in a snapshot that was taken `passed` ns
/// ago.
std::unique_ptr<Translator> World::restored(const Bytes& records, uint64_t passed,
                                            Restored& sum) const {
  auto nat = make();
  const Exact copy(records);
  for (const bool first : {true, false}) {
    for (size_t at = 0;;) {
      const RestoreTime when{now_ + passed / 2, passed};
      const Restored one = nat->restore(copy.bytes.get() + at, records.size() - at, first, when);
      if (one.bytes == 0) break;
      at += one.bytes;
      sum.sessions += one.sessions;
      sum.expired += one.expired;
      sum.refused += one.refused;
    }
  }
  return nat;
}

/// Restored at once by the same config, all sessions are there, as they were.
void World::compareRestored(const Bytes& records) const {
  Restored sum;
  const auto nat = restored(records, 0, sum);
  audit(*nat);
  require(sum.expired == 0 && sum.refused == 0, "a session does not come back");
  uint32_t live = 0;
  for (uint32_t slot = 0; slot < nat_->sessions().used(); slot++) {
    if (!nat_->isLive(slot)) continue;
    live++;
    const Session& was = nat_->sessions()[slot];
    const uint32_t at = nat->findSession(Key::of(was));
    require(
        at != SessionTable::kNone && std::memcmp(&nat->sessions()[at], &was, sizeof(Session)) == 0,
        "a session comes back as another");
    for (const Side side : {kOut, kIn}) {
      require(nat->sessions().packets(at, side) == nat_->sessions().packets(slot, side) &&
                  nat->sessions().bytes(at, side) == nat_->sessions().bytes(slot, side),
              "a session comes back with other counts");
    }
  }
  require(live == sum.sessions, "sessions are missing in a snapshot");
}

void World::take(Translator& nat, std::map<uint32_t, Packet>& held) {
  // Pieces of one packet come one behind the other.
  std::vector<Bytes> pieces;
  uint32_t tag = 0;
  bool toInside = false;
  const auto finish = [&] {
    if (pieces.empty()) return;
    const auto was = held.find(tag);
    require(was != held.end(), "a packet that was not held, or came out already");
    judge_.released(was->second, pieces, toInside);
    held.erase(was);
    pieces.clear();
  };
  nat.take([&](const StoredPacket& packet, const uint8_t* bytes) {
    Bytes out(bytes, bytes + packet.length);
    if (&nat == nat_.get()) say("taken", out, nullptr);
    if (packet.origin != Origin::Fragment || packet.tag != tag) finish();
    if (packet.origin == Origin::Fragment) {
      tag = packet.tag;
      toInside = packet.toInside;
      pieces.push_back(std::move(out));
    } else if (packet.origin == Origin::Icmp) {
      const auto cause = causes_.find(packet.tag);
      require(cause != causes_.end(), "an error about no packet");
      judge_.originated(cause->second, out, packet.toInside);
    } else {
      require(held.erase(packet.tag) == 1, "a packet died that was not held");
      require(out.empty(), "a dead packet has bytes");
    }
  });
  finish();
  require(nat.pending() == 0, "taken, and more is pending");
}

/// In the end all sessions are over, and everything is free again.
void World::end() {
  runBatch();
  for (auto* nat : {&nat_, &twin_}) {
    if (*nat == nullptr) continue;
    (*nat)->flush();
    (*nat)->sweep(kLatest + kLatest / 7, ~uint32_t{0});
    check(**nat);
    auto& held = nat == &nat_ ? held_ : twinHeld_;
    take(**nat, held);
    check(**nat);
    require((*nat)->sessions().size() == 0, "sessions that never end");
    require(held.empty() && (*nat)->stats.packetsHeld == 0, "fragments that wait for ever");
  }
  if (twin_ != nullptr) compare();
}

/// One packet through translate(), judged with all that is known of the state before it.
Result World::single(Translator& nat, Packet& packet, uint32_t tag, uint64_t now) {
  const Packet before = packet;
  // Liveness is judged at the packet's time.
  nat.translateBatch(nullptr, 0, nullptr, 0, now);
  const auto known = sessionsOf(nat);
  const uint64_t created = nat.stats.sessionsCreated;
  Exact exact(packet.bytes);
  const Result result = nat.translate(packet.view(exact.bytes.get()), tag, now);
  std::copy(exact.bytes.get(), exact.bytes.get() + packet.bytes.size(), packet.bytes.begin());
  say(&nat == nat_.get() ? "out" : "     singly", packet.bytes, &result);
  judge_.inPlace(before, packet.bytes, result);
  judgeState(nat, known, before, packet.bytes, result);
  if (nat.stats.sessionsCreated == created) judgeCounters(nat, known, result, before.bytes);
  return result;
}

/// What a result says agrees with the sessions before and after.
void World::judgeState(const Translator& nat, const std::map<uint32_t, Known>& known,
                       const Packet& before, const Bytes& after, const Result& result) const {
  const Bytes& was = before.bytes;
  if (result.session != 0) {
    auto& table = const_cast<Translator&>(nat).sessions();
    // An ALG may lack room for a segment whose length it changes.
    require(result.verdict == Verdict::Forwarded || result.verdict == Verdict::Held ||
                result.reason == Reason::FragmentLimit,
            "a session, but not forwarded");
    require(result.session <= table.used() && nat.isLive(result.session - 1), "a dead session");
  }
  if (was.size() < kIpHeader || result.direction == Direction::None) return;
  if (was.size() < (was[0] & 15u) * 4 + 8) return;  // cut before what is looked at
  const Flow in = flowOf(was);
  if ((load16be(&was[kIpFragment]) & 0x1fff) != 0) return;
  const bool query = in.protocol == kIcmp;
  if (query && !isIcmpQuery(in.icmpType) && !isIcmpReply(in.icmpType)) return;
  const bool forwarded = result.verdict == Verdict::Forwarded;
  if (result.session != 0 && forwarded) {
    const Session& s = const_cast<Translator&>(nat).sessions()[result.session - 1];
    const Flow out = flowOf(after);
    const bool hairpin = result.direction == Direction::Hairpin;
    bool outbound = result.direction == Direction::Outbound ||
                    (hairpin && s.inside == in.from && s.remote == in.to);
    if (hairpin && hasPorts(in.protocol)) {
      // Its outbound half has a session, which is named where the inbound half has none.
      const auto end = [&](uint32_t inside, uint32_t remote, uint16_t port, uint16_t remotePort) {
        return const_cast<Translator&>(nat).findSession(
            Key::of(inside, remote, swap16(port), swap16(remotePort), in.protocol));
      };
      const uint32_t half = end(in.from, in.to, in.sourcePort, in.destinationPort);
      require(half != SessionTable::kNone, "hairpinned, and no session outbound");
      const Session& sent = const_cast<Translator&>(nat).sessions()[half];
      require(sent.publicAddress == out.from && sent.publicPort == swap16(out.sourcePort),
              "hairpinned from another endpoint");
      outbound = result.session == half + 1;
      const uint32_t other = end(out.to, out.from, out.destinationPort, out.sourcePort);
      if (outbound && other != SessionTable::kNone && other != half) {
        const Session& got = const_cast<Translator&>(nat).sessions()[other];
        require(got.publicAddress != in.to || got.publicPort != swap16(in.destinationPort),
                "hairpinned past its session inbound");
      }
    }
    const uint32_t inside = outbound ? in.from : out.to;
    const uint32_t remote = !outbound ? out.from : hairpin ? in.to : out.to;
    const uint32_t own = outbound ? out.from : in.to;
    require(s.protocol == in.protocol && s.inside == inside && s.publicAddress == own,
            "not this session's packet");
    require(s.remote == remote, "another remote's session");
    const uint16_t port = outbound ? out.sourcePort : in.destinationPort;
    // A hairpinned query's identifier changes twice; of a call's packet the id is the receiver's.
    const bool ports = hasPorts(s.protocol) || (query && !hairpin);
    require(!ports || s.publicPort == swap16(port), "not by the session's port");
  }
  const bool mapped = hasPorts(in.protocol) && in.protocol != kSctp;
  if (result.direction == Direction::Inbound && (mapped || query)) {
    judgeFilter(known, in, after, result);
  }
}

/// Who may come in from outside? Judged by the sessions that there were.
void World::judgeFilter(const std::map<uint32_t, Known>& known, const Flow& in, const Bytes& after,
                        const Result& result) const {
  for (const StaticMapping& m : config_.statics) {
    if (m.outside == in.to) return;
  }
  for (const Forward& f : config_.forwards) {
    const bool here = f.outside == in.to && f.outsidePort == in.destinationPort;
    if (here && f.protocol == in.protocol) return;
  }
  const bool query = in.protocol == kIcmp, forwarded = result.verdict == Verdict::Forwarded;
  bool owned = false, admitted = false, delivered = false, shared = false;
  for (const auto& [slot, is] : known) {
    const Session& s = is.session;
    if (!is.live || (s.flags & kPermanent) != 0 || s.protocol != in.protocol ||
        s.publicAddress != in.to || s.publicPort != swap16(in.destinationPort)) {
      continue;
    }
    const Policy& policy = config_.policies[config_.profiles[s.profile].policy];
    const Behaviour mapping = policy.mapping[portSpace(s.protocol)];
    const Behaviour filtering = policy.filtering[portSpace(s.protocol)];
    const bool address = s.remote == in.from;
    const bool port = query || s.remotePort == swap16(in.sourcePort) || (s.flags & kExpected) != 0;
    const bool open = (s.flags & kExplicit) != 0;
    if (policy.overloading && mapping != Behaviour::EndpointIndependent && !open) {
      // The endpoint is its binding's only for the binding's own remotes.
      shared = true;
      if (!address || (mapping == Behaviour::AddressAndPortDependent && !port)) continue;
    }
    owned = true;
    for (uint32_t i = 0; isAnchor(s) && i < s.state; i++) {
      const RemoteFilter filter{s.end[i], s.edge[i], s.window[i]};
      admitted = admitted || filter.admits(in.from, swap16(in.sourcePort));
    }
    admitted = admitted || (isAnchor(s) && s.state == 0) || (address && port) ||
               (isOfInside(s) && (filtering == Behaviour::EndpointIndependent ||
                                  (address && filtering == Behaviour::AddressDependent)));
    if (!forwarded) continue;
    const Flow out = flowOf(after);
    delivered = delivered || (out.to == s.inside && out.destinationPort == swap16(s.insidePort));
    require(shared || delivered, "delivered to another than the owner of the port");
  }
  if (forwarded) require(owned && admitted && delivered, "let in against the filter");
  if (result.reason == Reason::Filtered) require(owned && !admitted, "filtered though permitted");
  if (result.reason == Reason::NoMapping && !query)
    require(!owned, "no mapping though there is one");
}

/// A packet counts once in each session that it went through, and nowhere else.
void World::judgeCounters(Translator& nat, const std::map<uint32_t, Known>& known,
                          const Result& result, const Bytes& before) const {
  uint64_t counted = 0;
  for (const auto& [slot, is] : sessionsOf(nat)) {
    const auto was = known.find(slot);
    require(was != known.end(), "a session that was not created");
    const uint64_t more = packetsSince(is.session, was->second.session);
    require(more <= 1 || result.direction == Direction::Hairpin, "counted twice");
    counted += more;
  }
  const bool flow = before.size() >= kIpHeader && result.session != 0 &&
                    !(before[kIpProtocol] == kIcmp && before.size() > (before[0] & 15u) * 4 &&
                      isIcmpError(before[(before[0] & 15u) * 4]));
  const bool dropped = result.verdict == Verdict::Dropped;
  if (flow && !dropped && result.direction != Direction::Hairpin) {
    require(counted == 1, "not counted");
  }
  const bool explained = flow || result.reason == Reason::FragmentLimit;
  if (result.direction != Direction::Hairpin && !explained)
    require(counted == 0, "counted, but where?");
  require(counted <= 2, "counted too often");
}

std::map<uint32_t, World::Known> World::sessionsOf(Translator& nat) const {
  std::map<uint32_t, Known> known;
  for (uint32_t slot = 0; slot < nat.sessions().used(); slot++) {
    if (nat.sessions()[slot].protocol != 0) known[slot] = {nat.sessions()[slot], nat.isLive(slot)};
  }
  return known;
}

void World::audit(Translator& nat) const {
  const std::string fault = Audit::of(nat);
  if (!fault.empty()) fail(fault.c_str());
}

void World::check(Translator& nat) const {
  audit(nat);
  require(nat.stats.packetsIn == packets_ && nat.stats.bytesIn == bytes_, "packets in");
}

/// Twins have the same sessions, packets to put out and counts.
void World::compare() {
  require(std::memcmp(&nat_->stats, &twin_->stats, sizeof(Stats)) == 0, "the twins' counts differ");
  const auto mine = sessionsOf(*nat_), others = sessionsOf(*twin_);
  require(mine.size() == others.size(), "the twins' sessions differ in number");
  for (const auto& [slot, is] : mine) {
    const auto other = others.find(slot);
    require(other != others.end() &&
                std::memcmp(&is.session, &other->second.session, sizeof(Session)) == 0,
            "the twins' sessions differ");
  }
  require(nat_->pending() == twin_->pending(), "the twins' pending packets differ");
}

const World::Sent* World::earlier(uint8_t back) const {
  return history_.empty() ? nullptr : &history_[history_.size() - 1 - back % history_.size()];
}

void World::remember(const Packet& before, const Bytes& after, const Result& result) {
  if (before.bytes.size() < kIpHeader || (before.bytes[0] & 15) < 5) return;
  if (history_.size() == kHistory) history_.erase(history_.begin());
  const bool out = result.verdict == Verdict::Forwarded;
  const bool inside = isInside(config_, load<uint32_t>(&before.bytes[kIpSource]));
  history_.push_back({before, out ? after : Bytes{}, inside});
}

void World::say(const char* what, const Bytes& bytes, const Result* result) const {
  if (!trace_) return;
  std::printf("%s", what);
  if (result != nullptr) {
    std::printf(" %s %s %s session %u", kDirectionNames[static_cast<size_t>(result->direction)],
                kVerdictNames[static_cast<size_t>(result->verdict)],
                kReasonNames[static_cast<size_t>(result->reason)], result->session);
  }
  for (size_t i = 0; i < bytes.size(); i++) std::printf("%s%02x", i % 4 == 0 ? " " : "", bytes[i]);
  std::printf("\n");
}

}  // namespace napt::fuzz
