// What the bytes of an input mean to the packet fuzzer.
//
// The first 64 bytes choose a config, then each 16 bytes are a step. All have a fixed place and any
// value means something, so an input stays alive when it is cut, joined or changed anywhere.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <vector>

namespace napt::fuzz {

constexpr size_t kHeaderBytes = 64, kStepBytes = 16;

/// Bytes that choose the config (scene.cpp says which does what), and how the input is run.
struct Header {
  uint8_t byte[kHeaderBytes];

  uint8_t operator[](size_t i) const { return byte[i]; }
};

enum class Op : uint8_t {
  FromInside,   // a new packet
  FromOutside,  // the same
  Reply,        // to an earlier packet, as it came out
  Follow,       // the next packet of an earlier one's sender
  Again,        // an earlier packet once more
  Error,        // an ICMP error about an earlier packet
  Split,        // the fragments of a new packet or a reply; the first to send comes with it
  Piece,        // another of those fragments
  Raw,          // the bytes of the next steps as a packet
  Wait,
  Sweep,
  Delete,  // a session; or what is asked for explicitly
  Flush,
  Take,
  Reconfigure,
  Batch,  // so many packets from here go in one call
  Count
};

/// One step. Fields that an operation doesn't need are free.
struct Step {
  uint8_t op;
  uint8_t from, to;
  uint8_t sourcePort, destinationPort;
  uint8_t protocol;
  uint8_t flags;    // TCP flags; ICMP type
  uint8_t numbers;  // TCP: sequence number (high half) and acknowledgement, off by a table's entry
  uint8_t size;     // of the payload
  uint8_t header;   // TTL, DF, options
  uint8_t damage;   // what is wrong with it
  uint8_t back;     // how far back the earlier packet is
  uint8_t extra;    // what the payload is; and more, by operation
  uint8_t window;   // TCP: window; its scale
  uint8_t where, value;

  Op operation() const { return static_cast<Op>(op % static_cast<uint8_t>(Op::Count)); }
};
static_assert(sizeof(Step) == kStepBytes);

/// An input, read step by step.
class Input {
 public:
  Input(const uint8_t* data, size_t size) : data_(data), size_(size) {
    std::memset(&header, 0, sizeof header);
    std::memcpy(&header, data, std::min(size, kHeaderBytes));
    at_ = std::min(size, kHeaderBytes);
  }

  bool next(Step& step) {
    if (size_ - at_ < kStepBytes) return false;
    std::memcpy(&step, data_ + at_, kStepBytes);
    at_ += kStepBytes;
    return true;
  }
  /// Up to `count` bytes, whole steps.
  std::vector<uint8_t> raw(size_t count) {
    const size_t steps =
        std::min((count + kStepBytes - 1) / kStepBytes, (size_ - at_) / kStepBytes);
    const uint8_t* from = data_ + at_;
    at_ += steps * kStepBytes;
    return {from, from + std::min(count, steps * kStepBytes)};
  }

  Header header;

 private:
  const uint8_t* data_;
  size_t size_, at_;
};

}  // namespace napt::fuzz
