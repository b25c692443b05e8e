// The core alone, without Node: what the packet path costs, for profilers and for counting
// instructions.
//
//   core WORK FLOWS BATCH PACKETS     prints JSON with ns a packet (median of 9)
//
// Under callgrind, collect in Translator::translateBatch only: all that is not under test goes
// packet by packet through `translate`.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <string>

#include "traffic.h"

namespace napt::bench {
namespace {

struct Random {
  uint64_t state = 0x2545f4914f6cdd1d;
  uint32_t below(uint32_t n) {
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return static_cast<uint32_t>((state & 0xffffffff) * n >> 32);
  }
};

[[noreturn]] void fail(const std::string& message) {
  std::fprintf(stderr, "core: %s\n", message.c_str());
  std::exit(1);
}

/// Which packets a work sends.
struct Work {
  const char* name;
  uint8_t protocols[2];
  bool outbound, inbound;
};
constexpr Work kWorks[] = {
    {"established", {kUdp, kTcp}, true, true},  {"outbound", {kUdp, kTcp}, true, false},
    {"inbound", {kUdp, kTcp}, false, true},     {"outbound-udp", {kUdp, kUdp}, true, false},
    {"inbound-udp", {kUdp, kUdp}, false, true}, {"outbound-tcp", {kTcp, kTcp}, true, false},
    {"inbound-tcp", {kTcp, kTcp}, false, true}, {"udp", {kUdp, kUdp}, true, true},
    {"tcp", {kTcp, kTcp}, true, true},          {"icmp", {kIcmp, kIcmp}, true, true},
    {"new", {kUdp, kTcp}, true, false},
};

/// The share of the ports in use; that of one protocol alone is twice this.
double filledBy(const Work& work) {
  return work.protocols[0] == work.protocols[1] ? 1.0 / 3 : 2.0 / 3;
}

class Bench {
 public:
  Bench(const Work& work, uint32_t flows, uint32_t batch)
      : work_(work),
        flows_(flows),
        batch_(batch),
        nat_(Translator::create(configFor(flows, filledBy(work)), {1, 2})),
        descriptors_(batch),
        bytes_(size_t{batch} * kSlotBytes) {
    if (nat_ == nullptr) fail("the system refused the memory");
    for (uint32_t i = 0; i < batch; i++) {
      descriptors_[i] = {i * kSlotBytes, kPacketBytes, 0, 0, 0, 0, 0, 0};
    }
    if (std::string(work.name) != "new") establish();
  }

  /// ns for each of `packets` packets.
  double run(uint32_t packets) {
    using Clock = std::chrono::steady_clock;
    double total = 0;
    uint32_t done = 0;
    const bool isNew = std::string(work_.name) == "new";
    for (; done < packets; done += batch_) {
      for (uint32_t i = 0; i < batch_; i++) {
        uint8_t* slot = &bytes_[size_t{i} * kSlotBytes];
        if (isNew) {
          const uint32_t number = made_++;
          write(slot, flowOf(number % (10 * flows_), work_.protocols), kSyn);
          continue;
        }
        std::memcpy(slot, &stream_[at_ * kSlotBytes], kPacketBytes);
        at_ = (at_ + 1) % kStream;
      }
      if (isNew) now_ += uint64_t{batch_} * 300'000'000'000 / flows_;
      const auto begin = Clock::now();
      nat_->translateBatch(descriptors_.data(), batch_, bytes_.data(), bytes_.size(), now_);
      total += std::chrono::duration<double, std::nano>(Clock::now() - begin).count();
    }
    for (uint64_t dropped : nat_->stats.drops) {
      if (dropped != 0) fail("packets were dropped");
    }
    return total / done;
  }

 private:
  void establish() {
    std::vector<uint8_t> packets[2];
    for (auto& side : packets) side.resize(size_t{flows_} * kSlotBytes);
    for (uint32_t flow = 0; flow < flows_; flow++) {
      uint8_t* out = &packets[0][size_t{flow} * kSlotBytes];
      uint8_t* in = &packets[1][size_t{flow} * kSlotBytes];
      write(out, flowOf(flow, work_.protocols));
      std::memcpy(in, out, kPacketBytes);
      pass(in);
      turn(in);
      uint8_t answer[kPacketBytes];
      std::memcpy(answer, in, kPacketBytes);
      pass(answer);
    }
    // Laid out beforehand, so that filling a batch leaves no cache misses behind.
    stream_.resize(kStream * kSlotBytes);
    for (size_t i = 0; i < kStream; i++) {
      const bool in = work_.inbound && (!work_.outbound || random_.below(2) != 0);
      const size_t flow = random_.below(flows_);
      std::memcpy(&stream_[i * kSlotBytes], &packets[in][flow * kSlotBytes], kPacketBytes);
    }
  }
  void pass(uint8_t* packet) {
    const Result result = nat_->translate({packet, kPacketBytes, kPacketBytes, false}, 0, now_);
    if (result.verdict != Verdict::Forwarded) fail("a flow could not be established");
  }

  const Work& work_;
  const uint32_t flows_, batch_;
  std::unique_ptr<Translator> nat_;
  std::vector<Descriptor> descriptors_;
  std::vector<uint8_t> bytes_;
  static constexpr size_t kStream = size_t{1} << 20;
  std::vector<uint8_t> stream_;
  size_t at_ = 0;
  Random random_;
  uint64_t now_ = 1;
  uint32_t made_ = 0;
};

int run(int count, char** arguments) {
  if (count != 5) fail("usage: core WORK FLOWS BATCH PACKETS");
  const std::string name = arguments[1];
  const auto number = [&](int i) { return static_cast<uint32_t>(std::atoi(arguments[i])); };
  const Work* work = std::find_if(std::begin(kWorks), std::end(kWorks),
                                  [&](const Work& w) { return name == w.name; });
  if (work == std::end(kWorks)) fail("no such work: " + name);
  Bench bench(*work, number(2), number(3));
  constexpr uint32_t kRuns = 9;
  std::vector<double> samples;
  for (uint32_t i = 0; i < kRuns; i++) samples.push_back(bench.run(number(4) / kRuns));
  std::sort(samples.begin(), samples.end());
  std::printf(
      "{\"work\":\"%s\",\"sessions\":%u,\"batch\":%u,\"nsPerPacket\":%.2f,\"min\":%.2f,\"max\":%."
      "2f}"
      "\n",
      work->name, number(2), number(3), samples[kRuns / 2], samples[0], samples[kRuns - 1]);
  return 0;
}

}  // namespace
}  // namespace napt::bench

int main(int count, char** arguments) { return napt::bench::run(count, arguments); }
