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
  bool reserve(size_t capacity) {
    // Huge pages need their own alignment: 2 MB more are reserved and the start moved up.
    constexpr size_t kHuge = size_t{2} << 20;
    const size_t wanted = capacity * sizeof(T);
    const bool huge = wanted >= 4 * kHuge;
    bytes_ = (wanted + (huge ? kHuge : 0) + 4095) & ~size_t{4095};
    if (bytes_ == 0) bytes_ = 4096;
    void* p = mmap(nullptr, bytes_, PROT_READ | PROT_WRITE,
                   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (p == MAP_FAILED) {
      bytes_ = 0;
      return false;
    }
    base_ = p;
    auto start = reinterpret_cast<uintptr_t>(p);
    if (huge) start = (start + kHuge - 1) & ~(kHuge - 1);
    data_ = reinterpret_cast<T*>(start);
    capacity_ = capacity;
    return true;
  }

  /// Asks for 2 MB pages: worth it for memory that fills from its start (shared/limit: 1.6 to 2 x
  /// at 8 M sessions). A system without them ignores it.
  void useHugePages() {
#ifdef MADV_HUGEPAGE
    madvise(data_, capacity_ * sizeof(T), MADV_HUGEPAGE);
#endif
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
