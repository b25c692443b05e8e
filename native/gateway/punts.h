// Frames that wait for TypeScript.
#pragma once

#include <array>
#include <mutex>
#include <utility>
#include <vector>

#include "gateway/ethernet.h"
#include "io/port.h"

namespace napt {

enum GatewaySide : uint8_t { kInside, kOutside };

/// A frame for TypeScript.
struct Punt {
  GatewaySide side;  // it came in there, or is to leave there
  uint32_t hop;      // translated; only this next hop's hardware address is missing. 0: it is not
  Offload offload;
  std::vector<uint8_t> frame;
};

/// Room for so many, of which nobody has more than a share: one host that asks without end does not
/// keep the others from being heard. Any thread.
class Punts {
 public:
  static constexpr uint32_t kMost = 512, kShare = 64;
  enum Added : uint8_t { kFirst, kMore, kFull };

  Added add(GatewaySide side, uint32_t hop, const Frame& frame) {
    const std::lock_guard lock(mutex_);
    uint8_t& share = shares_[(hop != 0 ? hop : sender(frame)) * 2654435769U >> 24];
    if (waiting_.size() == kMost || share == kShare) return kFull;
    share++;
    waiting_.push_back({side, hop, frame.offload, {frame.data, frame.data + frame.length}});
    return waiting_.size() == 1 ? kFirst : kMore;
  }

  std::vector<Punt> take() {
    const std::lock_guard lock(mutex_);
    shares_ = {};
    return std::exchange(waiting_, {});
  }

 private:
  /// The IPv4 address that a frame says it is from.
  static uint32_t sender(const Frame& frame) {
    const uint32_t at =
        kEthernetHeader + (load16be(frame.data + kEtherType) == kEtherArp ? 14 : 12);
    return frame.length >= at + 4 ? load<uint32_t>(frame.data + at) : 0;
  }

  std::mutex mutex_;
  std::vector<Punt> waiting_;
  std::array<uint8_t, 256> shares_{};  // by a hash of the sender, or of the next hop
};

}  // namespace napt
