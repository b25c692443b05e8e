// How little can a NAT's work cost here? The least that any NAT of this kind does to a packet of an
// established flow, and nothing else: find its session, rewrite address and port, mend both
// checksums, note the time and count. No ICMP, no fragments, no TCP states, no filtering, no
// expiry, no checks. A floor for the figures beside it.
//
//   limit FLOWS SECONDS     prints JSON: ns a packet, "touch", "outbound", "inbound", "established"
//
// One thread; 64-byte frames' packets of random flows, 256 at a time, laid into their ring outside
// the time that counts. A session is 32 bytes and lies at its public endpoint: inbound it is
// indexed; outbound it is found by a bucket of 16-bit tags and slot numbers. Both work by blocks of
// 64 packets, stage by stage, and prefetch what the next stage reads.
#include <emmintrin.h>
#include <sys/mman.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <vector>

namespace {

constexpr uint32_t kPacket = 50, kSlot = 64, kBatch = 256, kBlock = 64, kRing = 1024;
constexpr uint32_t kPortsPerAddress = 1 << 15, kFirstPort = 1 << 15;

template <class T>
T load(const uint8_t* p) {
  T value;
  std::memcpy(&value, p, sizeof value);
  return value;
}
template <class T>
void store(uint8_t* p, T value) {
  std::memcpy(p, &value, sizeof value);
}
uint16_t swap16(uint16_t v) { return static_cast<uint16_t>(v << 8 | v >> 8); }
uint16_t fold(uint64_t sum) {
  sum = (sum & 0xffffffff) + (sum >> 32);
  sum = (sum & 0xffff) + (sum >> 16);
  sum = (sum & 0xffff) + (sum >> 16);
  return static_cast<uint16_t>((sum & 0xffff) + (sum >> 16));
}

struct Session {
  uint32_t inside, remote;
  uint16_t insidePort, remotePort;
  uint8_t protocol, unused;
  uint16_t delta;  // of the transport checksum, outbound
  uint32_t last, packets;
  uint64_t bytes;
};
static_assert(sizeof(Session) == 32);

struct alignas(64) Bucket {
  uint16_t tag[8];
  uint32_t slot[8];
  uint32_t unused[4];
};

template <class T>
T* reserve(size_t count) {
  constexpr size_t kHuge = size_t{2} << 20;
  const size_t bytes = (count * sizeof(T) + 2 * kHuge - 1) & ~(kHuge - 1);
  void* p = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (p == MAP_FAILED) std::abort();
  auto start = (reinterpret_cast<uintptr_t>(p) + kHuge - 1) & ~(kHuge - 1);
  madvise(reinterpret_cast<void*>(start), bytes - kHuge, MADV_HUGEPAGE);
  return reinterpret_cast<T*>(start);
}

uint64_t mix(uint64_t low, uint64_t high) {
  const auto product =
      static_cast<unsigned __int128>(low ^ 0xa0761d6478bd642f) * (high ^ 0xe7037ed1a0b428db);
  return static_cast<uint64_t>(product) ^ static_cast<uint64_t>(product >> 64);
}

struct Random {
  uint64_t state = 0x2545f4914f6cdd1d;
  uint32_t below(uint32_t n) {
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return static_cast<uint32_t>((state & 0xffffffff) * n >> 32);
  }
};

class Limit {
 public:
  explicit Limit(uint32_t flows) : flows_(flows), sessions_(reserve<Session>(flows)) {
    while (buckets_ * 4 < flows) buckets_ *= 2;
    table_ = reserve<Bucket>(buckets_);
    for (uint32_t flow = 0; flow < flows; flow++) insert(flow);
    for (auto& stream : streams_) stream = reserve<uint8_t>(size_t{kStream} * kSlot);
    for (uint32_t i = 0; i < kStream; i++) {
      write(streams_[0] + size_t{i} * kSlot, random_.below(flows_), true);
      write(streams_[1] + size_t{i} * kSlot, random_.below(flows_), false);
    }
    ring_.resize(kRing * kSlot);
  }

  enum class Work { Touch, Outbound, Inbound, Both };

  /// ns a packet, the median of `seconds`' worth of samples.
  double measure(Work work, double seconds) {
    using Clock = std::chrono::steady_clock;
    std::vector<double> samples;
    uint32_t at = 0, next = 0;
    const auto end = Clock::now() + std::chrono::duration<double>(seconds);
    while (Clock::now() < end) {
      double total = 0;
      constexpr int kCalls = 256;
      for (int call = 0; call < kCalls; call++) {
        uint8_t* batch = &ring_[at * kSlot];
        at = (at + kBatch) % kRing;
        for (uint32_t i = 0; i < kBatch; i++) {
          const bool in = work == Work::Inbound || (work == Work::Both && (i & 1) != 0);
          std::memcpy(batch + i * kSlot, streams_[in] + size_t{next + i} * kSlot, kPacket);
        }
        next = (next + kBatch) % kStream;
        const auto begin = Clock::now();
        for (uint32_t i = 0; i < kBatch; i += kBlock) block(work, batch + i * kSlot);
        total += std::chrono::duration<double, std::nano>(Clock::now() - begin).count();
      }
      samples.push_back(total / kCalls / kBatch);
    }
    std::sort(samples.begin(), samples.end());
    return samples[samples.size() / 2];
  }

  uint64_t counted() const {
    uint64_t sum = 0;
    for (uint32_t flow = 0; flow < flows_; flow++) sum += sessions_[flow].packets;
    return sum;
  }

 private:
  static uint32_t insideOf(uint32_t flow) {
    return 10u | (flow / 1000 & 0xff) << 24 | (flow / 1000 & 0xff00) << 8;
  }
  static uint16_t insidePortOf(uint32_t flow) {
    return swap16(static_cast<uint16_t>(2000 + flow % 1000));
  }
  static uint32_t remoteOf(uint32_t flow) { return 0x006433c6u | (flow % 250) << 24; }
  static uint8_t protocolOf(uint32_t flow) { return flow % 2 == 0 ? 17 : 6; }
  static uint32_t publicOf(uint32_t slot) { return 0x000a12c6u | (slot / kPortsPerAddress) << 24; }
  static uint16_t publicPortOf(uint32_t slot) {
    return swap16(static_cast<uint16_t>(kFirstPort + slot % kPortsPerAddress));
  }

  void insert(uint32_t flow) {
    Session& s = sessions_[flow];
    s.inside = insideOf(flow);
    s.remote = remoteOf(flow);
    s.insidePort = insidePortOf(flow);
    s.remotePort = swap16(443);
    s.protocol = protocolOf(flow);
    s.delta = fold(uint64_t{static_cast<uint32_t>(~s.inside)} + publicOf(flow) +
                   static_cast<uint16_t>(~s.insidePort) + publicPortOf(flow));
    const uint64_t hash =
        mix(s.inside | uint64_t{s.remote} << 32,
            s.insidePort | uint64_t{s.remotePort} << 16 | uint64_t{s.protocol} << 32);
    for (uint64_t at = hash & (buckets_ - 1);; at = (at + 1) & (buckets_ - 1)) {
      for (uint32_t i = 0; i < 8; i++) {
        if (table_[at].tag[i] != 0) continue;
        table_[at].tag[i] = tagOf(hash);
        table_[at].slot[i] = flow;
        return;
      }
    }
  }

  static uint16_t tagOf(uint64_t hash) { return static_cast<uint16_t>(hash >> 48 | 1); }

  void write(uint8_t* p, uint32_t flow, bool out) {
    const Session& s = sessions_[flow];
    std::memset(p, 0x5a, kPacket);
    const uint8_t head[] = {0x45, 0, 0, kPacket, 0x12, 0x34, 0x40, 0, 64, s.protocol, 0, 0};
    std::memcpy(p, head, sizeof head);
    store(p + 12, out ? s.inside : s.remote);
    store(p + 16, out ? s.remote : publicOf(flow));
    store(p + 20, out ? s.insidePort : s.remotePort);
    store(p + 22, out ? s.remotePort : publicPortOf(flow));
  }

  void block(Work work, uint8_t* packets) {
    uint64_t hash[kBlock], low[kBlock], high[kBlock];
    uint32_t slot[kBlock];
    bool in[kBlock];
    if (work == Work::Touch) {
      for (uint32_t i = 0; i < kBlock; i++) {
        uint8_t* p = packets + i * kSlot;
        const uint64_t addresses = load<uint64_t>(p + 12);
        store(p + 12, addresses << 32 | addresses >> 32);
        store(p + 20, load<uint32_t>(p + 20) ^ p[9]);
      }
      return;
    }
    for (uint32_t i = 0; i < kBlock; i++) {
      const uint8_t* p = packets + i * kSlot;
      low[i] = load<uint64_t>(p + 12);
      high[i] = load<uint32_t>(p + 20) | uint64_t{p[9]} << 32;
      const auto destination = static_cast<uint32_t>(low[i] >> 32);
      in[i] = (destination & 0x00ffffff) == 0x000a12c6;
      if (in[i]) {
        slot[i] =
            (destination >> 24) * kPortsPerAddress + (swap16(load<uint16_t>(p + 22)) - kFirstPort);
        slot[i] = slot[i] < flows_ ? slot[i] : 0;
        __builtin_prefetch(&sessions_[slot[i]], 1);
      } else {
        hash[i] = mix(low[i], high[i]);
        __builtin_prefetch(&table_[hash[i] & (buckets_ - 1)]);
      }
    }
    for (uint32_t i = 0; i < kBlock; i++) {
      if (in[i]) continue;
      const __m128i tag = _mm_set1_epi16(static_cast<short>(tagOf(hash[i])));
      slot[i] = 0;
      for (uint64_t at = hash[i] & (buckets_ - 1);; at = (at + 1) & (buckets_ - 1)) {
        const Bucket& bucket = table_[at];
        const auto tags = _mm_load_si128(reinterpret_cast<const __m128i*>(bucket.tag));
        const int hits = _mm_movemask_epi8(_mm_cmpeq_epi16(tags, tag));
        if (hits == 0) continue;
        slot[i] = bucket.slot[__builtin_ctz(static_cast<unsigned>(hits)) >> 1];
        break;
      }
      __builtin_prefetch(&sessions_[slot[i]], 1);
    }
    for (uint32_t i = 0; i < kBlock; i++) {
      uint8_t* p = packets + i * kSlot;
      Session& s = sessions_[slot[i]];
      const uint32_t own = publicOf(slot[i]);
      const bool out = !in[i];
      const uint32_t from = out ? s.inside : own, to = out ? own : s.inside;
      const uint16_t port = out ? publicPortOf(slot[i]) : s.insidePort;
      const uint16_t delta = out ? s.delta : static_cast<uint16_t>(~s.delta);
      const uint32_t remote = static_cast<uint32_t>(out ? low[i] >> 32 : low[i]);
      if (s.remote != remote || s.protocol != static_cast<uint8_t>(high[i] >> 32)) continue;
      const uint32_t field = 26 + 10 * (s.protocol == 6);
      const auto ip = load<uint16_t>(p + 10), transport = load<uint16_t>(p + field);
      store(p + 10, static_cast<uint16_t>(~fold(uint64_t{static_cast<uint16_t>(~ip)} +
                                                static_cast<uint32_t>(~from) + to)));
      uint16_t sum =
          static_cast<uint16_t>(~fold(uint64_t{static_cast<uint16_t>(~transport)} + delta));
      sum = s.protocol == 17 && sum == 0 ? uint16_t{0xffff} : sum;
      store(p + field, sum);
      store(p + (out ? 12 : 16), to);
      store(p + (out ? 20 : 22), port);
      s.last++;
      s.packets++;
      s.bytes += kPacket;
    }
  }

  uint32_t flows_;
  Session* sessions_;
  Bucket* table_ = nullptr;
  uint64_t buckets_ = 1;
  static constexpr uint32_t kStream = 1 << 20;
  uint8_t* streams_[2];
  std::vector<uint8_t> ring_;
  Random random_;
};

}  // namespace

int main(int count, char** arguments) {
  const auto flows = static_cast<uint32_t>(count > 1 ? std::atoi(arguments[1]) : 1000);
  const double seconds = count > 2 ? std::atof(arguments[2]) : 1;
  Limit limit(flows);
  using Work = Limit::Work;
  limit.measure(Work::Both, seconds / 4);
  const double touch = limit.measure(Work::Touch, seconds);
  const double out = limit.measure(Work::Outbound, seconds);
  const double in = limit.measure(Work::Inbound, seconds);
  const double both = limit.measure(Work::Both, seconds);
  if (limit.counted() == 0) return 1;
  std::printf(
      "{\"flows\":%u,\"touch\":%.2f,\"outbound\":%.2f,\"inbound\":%.2f,\"established\":%.2f}\n",
      flows, touch, out, in, both);
}
