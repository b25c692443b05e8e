// A port moves Ethernet frames between memory and the world, in bursts. It knows bytes only.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "io/tally.h"

namespace napt {

/// What is still to be done to a packet, as virtio has it (virtio_net_hdr, host byte order): its
/// transport checksum, or to cut a super-packet into segments when it leaves the machine.
struct Offload {
  static constexpr uint8_t kNeedsChecksum = 1;

  uint8_t flags, gsoType;
  uint16_t headerLength, gsoSize, checksumStart, checksumOffset;
};
static_assert(sizeof(Offload) == 10);

struct Frame {
  uint8_t* data;  // from the Ethernet header on; may be written
  uint32_t length;
  Offload offload;
};

/// A classic BPF program; empty: every frame.
using Filter = std::span<const uint8_t>;

/// Why a port can't be opened.
struct Fault {
  int error = 0;               // errno
  const char* step = nullptr;  // what was tried
};

struct PortCounters {
  Tally received, receivedBytes, sent, sentBytes;
  Tally lost;     // came while the ring was full
  Tally cut;      // larger than what the ring holds
  Tally tagged;   // of a VLAN
  Tally spoofed;  // from a hardware address that is another's
  Tally tooLong;  // larger than the interface's MTU
  Tally refused;  // not taken: a queue is full, or the interface is down
};

/// Belongs to one thread, but for its counters.
class Port {
 public:
  virtual ~Port() = default;

  /// The station's own address, and the largest packet it sends now. Any thread may ask.
  virtual const uint8_t* hardwareAddress() const = 0;
  virtual uint32_t mtu() const = 0;
  /// Whether frames can pass now.
  virtual bool isUp() const { return true; }

  /// Bytes at a frame's start that are made up here, and not on the wire.
  virtual uint32_t unseen() const { return 0; }

  /// To wait on: readable when frames wait.
  virtual int descriptor() const = 0;
  /// The memory that received frames lie in.
  virtual uint8_t* memory() const = 0;
  virtual size_t memorySize() const = 0;

  /// Gives up to `most` frames; theirs is the memory until `release`.
  virtual uint32_t receive(Frame* frames, uint32_t most) = 0;
  virtual void release() = 0;

  /// Queues a frame, whose bytes must stay until `flush`.
  virtual void send(const Frame& frame) = 0;
  virtual void flush() = 0;

  /// Takes only the frames that a classic BPF program accepts (SO_ATTACH_FILTER); false, with
  /// errno, when it can't. Any thread may.
  virtual bool filter(const Filter& /*program*/) { return false; }

  /// Clears an error of the descriptor's, as of an interface that went down.
  virtual void recover() = 0;

  /// What was counted until now; any thread may ask.
  virtual const PortCounters& counters() = 0;
};

}  // namespace napt
