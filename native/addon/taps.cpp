// An engine's taps: what a caller's own translations show of themselves. (A gateway's thread shows
// what it moves itself.)
#include <cmath>

#include "addon/engine.h"

namespace napt {

namespace {

/// Bits of `openTap`'s second argument.
enum Wanted : uint32_t { kInsides = 1, kOutsides = 2, kDrops = 4, kOthers = 8 };

/// Milliseconds since 1970 have no room for all of them in one number.
uint64_t nanoseconds(double ms) {
  if (!(ms > 0)) return 0;
  const double whole = std::floor(ms);
  return static_cast<uint64_t>(whole) * 1'000'000 +
         static_cast<uint64_t>(std::llround((ms - whole) * 1e6));
}

/// Where a packet came in: by its direction, or where it has none by what the caller or its source
/// says.
TapSide arrivalOf(const Translator& nat, const Descriptor& d, const Tapped& came) {
  const auto direction = static_cast<Direction>(d.verdict >> 8 & 0xff);
  if (direction == Direction::Inbound) return kTapOutside;
  if (direction != Direction::None) return kTapInside;
  if ((d.flags & kFromOutside) != 0 || came.captured < kIpHeader) return kTapOutside;
  return nat.isInside(load<uint32_t>(came.bytes + kIpSource)) ? kTapInside : kTapOutside;
}

}  // namespace

/// openTap(memory: Uint8Array, wanted, snaplen): its number; 0 when there are as many as may be
Napi::Value Engine::openTap(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  if (!isOpen(env)) return env.Undefined();
  auto memory = info[0].As<Napi::Uint8Array>();
  const uint32_t wanted = info[1].As<Napi::Number>().Uint32Value();
  TapFilter filter;
  filter.sides[kTapInside] = (wanted & kInsides) != 0;
  filter.sides[kTapOutside] = (wanted & kOutsides) != 0;
  filter.dropped = (wanted & kDrops) != 0;
  filter.others = (wanted & kOthers) != 0;
  filter.snaplen = info[2].As<Napi::Number>().Uint32Value();
  std::unique_ptr<Tap> tap = Tap::over(memory.Data(), memory.ByteLength(), filter);
  if (tap == nullptr) {
    Napi::TypeError::New(env, "internal: a tap's memory has another size")
        .ThrowAsJavaScriptException();
    return env.Undefined();
  }
  const uint32_t number = share()->taps.open(std::move(tap));
  if (number != 0) tapMemory_[number] = Napi::Persistent(memory);
  return Napi::Number::New(env, number);
}

/// closeTap(number)
Napi::Value Engine::closeTap(const Napi::CallbackInfo& info) {
  const uint32_t number = info[0].As<Napi::Number>().Uint32Value();
  if (tapMemory_.count(number) == 0) return info.Env().Undefined();
  shared_->taps.close(number);
  tapMemory_.erase(number);
  return info.Env().Undefined();
}

/// As `Translator::translateBatch`, in bursts that taps are shown.
void Engine::translateTapped(Descriptor* descriptors, uint32_t count, uint8_t* bytes, size_t length,
                             double now) {
  for (uint32_t first = 0; first < count; first += TapBurst::kMost) {
    // JavaScript may write to the batch's own meanwhile.
    Descriptor burst[TapBurst::kMost];
    const uint32_t most = std::min(count - first, TapBurst::kMost);
    std::memcpy(burst, descriptors + first, most * sizeof(Descriptor));
    translateFew(burst, most, bytes, length, now);
    for (uint32_t i = 0; i < most; i++) {
      descriptors[first + i].verdict = burst[i].verdict;
      descriptors[first + i].session = burst[i].session;
    }
  }
}

void Engine::translateFew(Descriptor* descriptors, uint32_t count, uint8_t* bytes, size_t length,
                          double now) {
  Taps& taps = shared_->taps;
  tapBurst_.begin(taps.demand());
  const auto lengthOf = [&](const Descriptor& d) {
    return d.offset <= length && d.length <= length - d.offset ? d.length : 0;
  };
  const auto startOf = [&](const Descriptor& d) {
    return bytes + (lengthOf(d) == 0 ? 0 : d.offset);
  };
  for (uint32_t i = 0; i < count; i++) {
    tapBurst_.keep(i, startOf(descriptors[i]), lengthOf(descriptors[i]));
  }
  nat_->translateBatch(descriptors, count, bytes, length, toTime(now));
  tapBurst_.meet(*nat_, descriptors, count);
  taps.show(tapBurst_.demand(), [&](auto&& show) {
    for (uint32_t i = 0; i < count; i++) {
      const Descriptor& d = descriptors[i];
      const auto verdict = static_cast<Verdict>(d.verdict & 0xff);
      const auto direction = static_cast<Direction>(d.verdict >> 8 & 0xff);
      Tapped seen{};
      seen.kind = TapKind::Translated;
      seen.link = TapLink::Ipv4;
      seen.bytes = startOf(d);
      seen.captured = lengthOf(d);
      seen.length = std::max(d.wire, d.length);
      seen.result = d.verdict;
      seen.tag = d.tag;
      seen.session = tapBurst_.session(i);
      seen.time = nanoseconds(now) + d.delay;
      const Tapped left = seen;
      if (verdict != Verdict::Dropped) {
        seen.bytes = tapBurst_.bytes(i);
        seen.captured = tapBurst_.captured(i);
      }
      seen.side = arrivalOf(*nat_, d, seen);
      show(seen);
      const bool went = verdict == Verdict::Forwarded || verdict == Verdict::Passed;
      if (!went || direction == Direction::None) continue;
      seen = left;
      seen.side = direction == Direction::Outbound ? kTapOutside : kTapInside;
      seen.left = true;
      show(seen);
    }
  });
}

/// Shows a packet that the engine puts out, as its caller takes it.
void Engine::showEmitted(const StoredPacket& packet, const uint8_t* bytes) {
  if (packet.origin == Origin::Discarded || packet.toSibling) return;
  Tapped seen{};
  seen.side = packet.toInside ? kTapInside : kTapOutside;
  seen.left = true;
  seen.kind = tapKindOf(packet, bytes);
  seen.link = TapLink::Ipv4;
  seen.bytes = bytes;
  seen.captured = packet.length;
  seen.length = packet.wire;
  seen.tag = packet.tag;
  seen.time = nanoseconds(toMs(packet.at));
  Taps& taps = shared_->taps;
  taps.show(taps.demand(), [&](auto&& show) { show(seen); });
}

}  // namespace napt
