// Memory that grows without ever moving.
//
// An `Arena` reserves address space for the most it may ever hold; the system gives pages when they
// are first touched. So tables have stable addresses and slot numbers, growing is never a pause,
// and an almost empty table costs almost nothing. Pages are zero when first seen.
#pragma once

#include <sys/mman.h>

#include <cstddef>
#include <cstdint>
#include <utility>

namespace napt {

/// Asks for a cache line that will be needed soon. Any address will do: it never faults.
inline void prefetch(const void* address) {
  __builtin_prefetch(address, 1, 3);
  // g++ takes functions that do no more than that for functions without effects, and drops calls.
  asm volatile("");
}

/// Huge ones (2 MB, behind a head of 256 KB in small ones, so that a small table stays small) are
/// for memory that fills from its start: they spare a table of some size the walks that the
/// processor makes to find its pages.
enum class Pages { Small, Huge };

template <class T>
class Arena {
 public:
  Arena() = default;
  Arena(const Arena&) = delete;
  Arena& operator=(const Arena&) = delete;
  Arena(Arena&& other) noexcept { swap(other); }
  Arena& operator=(Arena&& other) noexcept {
    swap(other);
    return *this;
  }
  ~Arena() {
    if (base_ != nullptr) munmap(base_, bytes_);
  }

  /// Reserves room for `capacity` elements. False when the system refuses.
  bool reserve(size_t capacity, Pages pages = Pages::Small) {
    // Huge pages begin on their own boundary; what comes before it is the small head.
    constexpr size_t kHuge = size_t{2} << 20, kHead = size_t{256} << 10, kPage = 4096;
    const size_t wanted = capacity * sizeof(T);
    const bool huge = pages == Pages::Huge && wanted > kHead;
    const size_t bytes = (wanted + (huge ? kHuge : 0) + kPage) & ~(kPage - 1);
    void* p = mmap(nullptr, bytes, PROT_READ | PROT_WRITE,
                   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (p == MAP_FAILED) return false;
    base_ = p;
    bytes_ = bytes;
    capacity_ = capacity;
    auto start = reinterpret_cast<uintptr_t>(p);
    if (huge) start = ((start + kHead + kHuge - 1) & ~(kHuge - 1)) - kHead;
    data_ = reinterpret_cast<T*>(start);
#ifdef MADV_HUGEPAGE
    // A system without them refuses, and that is as well.
    if (huge) madvise(reinterpret_cast<void*>(start + kHead), wanted - kHead, MADV_HUGEPAGE);
#endif
    return true;
  }

  T& operator[](size_t i) { return data_[i]; }
  const T& operator[](size_t i) const { return data_[i]; }
  T* data() { return data_; }
  const T* data() const { return data_; }
  size_t capacity() const { return capacity_; }

 private:
  void swap(Arena& other) noexcept {
    std::swap(base_, other.base_);
    std::swap(bytes_, other.bytes_);
    std::swap(data_, other.data_);
    std::swap(capacity_, other.capacity_);
  }

  void* base_ = nullptr;
  size_t bytes_ = 0;
  T* data_ = nullptr;
  size_t capacity_ = 0;
};

}  // namespace napt
