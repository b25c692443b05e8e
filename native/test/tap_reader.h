// Who reads a tap in a test.
#pragma once

#include <cstring>

#include "nat/tap.h"
#include "test/support.h"

namespace napt::test {

/// A tap and who reads it.
struct TapReader {
  static constexpr uint32_t kSize = Tap::kLeastRing;
  explicit TapReader(const TapFilter& filter = {})
      : memory((sizeof(Tap::Header) + kSize) / sizeof(uint64_t)),
        ring(reinterpret_cast<uint8_t*>(memory.data()) + sizeof(Tap::Header)),
        tap(Tap::over(ring - sizeof(Tap::Header), sizeof(Tap::Header) + kSize, filter)) {}

  Tap::Header& header() { return *reinterpret_cast<Tap::Header*>(memory.data()); }
  /// Whether there is one more; it is read into `record` and `bytes`.
  bool next() {
    if (header().read == header().written) return false;
    const auto at = [&] { return header().read & (kSize - 1); };
    if (load<uint32_t>(ring + at()) == 0) header().read += kSize - at();
    std::memcpy(&record, ring + at(), sizeof record);
    CHECK(at() + record.size <= kSize);
    const uint8_t* data = ring + at() + sizeof record;
    bytes.assign(data, data + record.captured);
    header().read += record.size;
    return true;
  }

  std::vector<uint64_t> memory;
  uint8_t* ring;
  std::unique_ptr<Tap> tap;
  TapRecord record{};
  Bytes bytes;
};

}  // namespace napt::test
