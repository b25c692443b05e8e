// A hash index: from a keyed 64-bit hash to 32-bit slot numbers of some table.
//
// A bucket is one cache line: ten 16-bit tags, ten slot numbers, and a link for the few that
// overflow. It grows by linear hashing, one bucket split for every few insertions, inside memory
// that is reserved up front: no pause, no copy, and its size follows the number of entries.
//
// The index stores no keys. `find` asks the caller to compare, and a split asks for the hash of a
// slot, so each entry costs about 10 bytes.
#pragma once

#include "nat/arena.h"
#include "nat/random.h"

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

namespace napt {

/// Keyed mix of a 16-byte key by two folded 64 x 64 multiplications. An attacker who does not know
/// the key can't choose colliding endpoints.
struct HashKey {
  uint64_t a, b, c;

  /// Draws a key; a seed as poor as 1 makes one as good as any.
  static HashKey from(Seed seed) {
    Random random({~seed.low, ~seed.high});
    return {random.next(), random.next(), random.next()};
  }
};
inline uint64_t foldedMultiply(uint64_t x, uint64_t y) {
  const auto product = static_cast<unsigned __int128>(x) * y;
  return static_cast<uint64_t>(product) ^ static_cast<uint64_t>(product >> 64);
}
inline uint64_t hash128(uint64_t low, uint64_t high, const HashKey& key) {
  return foldedMultiply(foldedMultiply(low ^ key.a, high ^ key.b) ^ key.c, 0x9e3779b97f4a7c15);
}

class Index {
 public:
  static constexpr uint32_t kNone = 0xffffffff;
  static constexpr uint32_t kSlots = 10;  // of a bucket

  struct alignas(64) Bucket {
    uint16_t tag[kSlots];  // 0 is a free place
    uint32_t slot[kSlots];
    uint32_t next;  // overflow bucket plus one, 0 for none
  };
  static_assert(sizeof(Bucket) == 64);

  bool reserve(size_t entries) {
    size_t buckets = kFirst;
    while (buckets * kLoad < entries) buckets <<= 1;
    // Linear hashing may stop anywhere below the next power of two.
    if (!buckets_.reserve(buckets, Pages::Huge) || !overflow_.reserve(buckets)) return false;
    return true;
  }

  uint32_t size() const { return count_; }

  /// Where a hash belongs, for `candidate`: what the batched path prefetches.
  const Bucket* bucket(uint64_t hash) const { return &buckets_[bucketOf(hash)]; }

  /// The first slot in a bucket whose tag fits, without a comparison of keys: the batched path
  /// prefetches that slot, and compares later. kNone if there is none.
  uint32_t candidate(const Bucket* bucket, uint64_t hash) const {
    const uint32_t hits = matches(*bucket, tagOf(hash));
    return hits != 0 ? bucket->slot[first(hits)] : kNone;
  }
  /// What a bucket overflows to, or nullptr.
  const Bucket* next(const Bucket* bucket) const {
    return bucket->next == 0 ? nullptr : &overflow_[bucket->next - 1];
  }

  /// The slot with this hash for which `equal(slot)` holds, or kNone.
  template <class Equal>
  uint32_t find(uint64_t hash, Equal equal) const {
    const uint16_t tag = tagOf(hash);
    for (const Bucket* bucket = &buckets_[bucketOf(hash)];; bucket = &overflow_[bucket->next - 1]) {
      for (uint32_t hits = matches(*bucket, tag); hits != 0; hits = without(hits)) {
        const uint32_t slot = bucket->slot[first(hits)];
        if (equal(slot)) return slot;
      }
      if (bucket->next == 0) return kNone;
    }
  }

  /// The most buckets that a search for this hash reads.
  uint32_t chain(uint64_t hash) const {
    uint32_t buckets = 1;
    for (const Bucket* bucket = &buckets_[bucketOf(hash)]; bucket->next != 0; buckets++) {
      bucket = &overflow_[bucket->next - 1];
    }
    return buckets;
  }

  /// Adds a slot; `hashOf(slot)` must give the hash of any slot in the index. False when full.
  template <class HashOf>
  bool insert(uint64_t hash, uint32_t slot, HashOf hashOf) {
    if (!place(bucketOf(hash), tagOf(hash), slot)) return false;
    count_++;
    if (count_ > kLoad * live_ && live_ < buckets_.capacity()) split(hashOf);
    return true;
  }

  /// Takes a slot out; false if it is not there.
  bool erase(uint64_t hash, uint32_t slot) {
    const uint16_t tag = tagOf(hash);
    Bucket& home = buckets_[bucketOf(hash)];
    for (Bucket* bucket = &home;; bucket = &overflow_[bucket->next - 1]) {
      for (uint32_t hits = matches(*bucket, tag); hits != 0; hits = without(hits)) {
        if (bucket->slot[first(hits)] != slot) continue;
        bucket->tag[first(hits)] = 0;
        count_--;
        if (home.next != 0) tighten(home);
        return true;
      }
      if (bucket->next == 0) return false;
    }
  }

 private:
  friend class Audit;

  static constexpr uint32_t kFirst = 16, kLoad = 6;

  static uint16_t tagOf(uint64_t hash) { return static_cast<uint16_t>(hash >> 48 | 1); }
  size_t bucketOf(uint64_t hash) const {
    const size_t bucket = hash & (2 * round_ - 1);
    return bucket < live_ ? bucket : bucket - round_;
  }

#if defined(__SSE2__)
  static uint32_t matches(const Bucket& bucket, uint16_t tag) {
    const __m128i wanted = _mm_set1_epi16(static_cast<short>(tag));
    const auto eight = [&](const uint16_t* tags) {
      const __m128i here = _mm_loadu_si128(reinterpret_cast<const __m128i*>(tags));
      return static_cast<uint32_t>(_mm_movemask_epi8(_mm_cmpeq_epi16(here, wanted)));
    };
    return eight(bucket.tag) | eight(bucket.tag + kSlots - 8) << 2 * (kSlots - 8);
  }
#else
  static uint32_t matches(const Bucket& bucket, uint16_t tag) {
    uint32_t hits = 0;
    for (uint32_t i = 0; i < kSlots; i++) hits |= (bucket.tag[i] == tag ? 3u : 0u) << (2 * i);
    return hits;
  }
#endif
  // A match sets two bits, as bytes of a 16-bit tag compare equal.
  static constexpr uint32_t kAll = (1u << 2 * kSlots) - 1;
  static uint32_t first(uint32_t hits) { return static_cast<uint32_t>(__builtin_ctz(hits)) >> 1; }
  static uint32_t without(uint32_t hits) { return hits & (hits - 1) & ((hits & (hits - 1)) - 1); }

  bool place(size_t at, uint16_t tag, uint32_t slot) {
    for (Bucket* bucket = &buckets_[at];; bucket = &overflow_[bucket->next - 1]) {
      const uint32_t free = matches(*bucket, 0);
      if (free != 0) {
        bucket->tag[first(free)] = tag;
        bucket->slot[first(free)] = slot;
        return true;
      }
      if (bucket->next == 0) {
        const uint32_t link = takeOverflow();
        if (link == 0) return false;
        bucket->next = link;
      }
    }
  }

  /// After an entry of an overflowing bucket went: moves another one up to its place, so that a
  /// chain gets short again when the crowd is gone.
  [[gnu::noinline]] void tighten(Bucket& home) {
    const uint32_t link = home.next;
    Bucket& below = overflow_[link - 1];
    const uint32_t free = matches(home, 0);
    const uint32_t used = ~matches(below, 0) & kAll;
    if (free != 0 && used != 0) {
      home.tag[first(free)] = below.tag[first(used)];
      home.slot[first(free)] = below.slot[first(used)];
      below.tag[first(used)] = 0;
    }
    if (matches(below, 0) != kAll) return;
    home.next = below.next;
    giveOverflow(link);
  }

  void giveOverflow(uint32_t link) {
    overflow_[link - 1].next = freeOverflow_;
    freeOverflow_ = link;
  }

  [[gnu::noinline]] uint32_t takeOverflow() {
    uint32_t link = freeOverflow_;
    if (link != 0) {
      freeOverflow_ = overflow_[link - 1].next;
    } else {
      if (usedOverflow_ >= overflow_.capacity()) return 0;
      link = ++usedOverflow_;
    }
    overflow_[link - 1] = Bucket{};
    return link;
  }

  template <class HashOf>
  [[gnu::noinline]] void split(HashOf hashOf) {
    const size_t from = live_ - round_;
    Bucket chain = buckets_[from];
    buckets_[from] = Bucket{};
    if (++live_ == 2 * round_) round_ *= 2;
    for (;;) {
      for (uint32_t i = 0; i < kSlots; i++) {
        if (chain.tag[i] == 0) continue;
        // Can't fail: there are as many overflow buckets as buckets, and few chains are long.
        place(bucketOf(hashOf(chain.slot[i])), chain.tag[i], chain.slot[i]);
      }
      const uint32_t link = chain.next;
      if (link == 0) return;
      chain = overflow_[link - 1];
      giveOverflow(link);
    }
  }

  Arena<Bucket> buckets_;
  Arena<Bucket> overflow_;
  size_t round_ = kFirst;  // buckets at the start of this round of splits
  size_t live_ = kFirst;   // buckets in use
  uint32_t count_ = 0;
  uint32_t usedOverflow_ = 0;
  uint32_t freeOverflow_ = 0;
};

}  // namespace napt