// An Ethernet segment of virtual machines, each by a stream socket: QEMU's `-netdev stream`, or any
// other that puts a frame's length before it, in 32 bits of network order.
//
// It is a switch, too: guests reach each other by it, and each has the hardware addresses that it
// was first to use. A guest that does not read loses its own frames, not those of others.
#pragma once

#include <unordered_map>
#include <vector>

#include "io/port.h"

namespace napt {

class QemuPort : public Port {
 public:
  /// Listens at a path. `hardwareAddress` is the port's own, 6 bytes. Null when it can't be;
  /// `fault` says why: EADDRINUSE when somebody listens there already.
  static std::unique_ptr<QemuPort> open(const std::string& path, const uint8_t* hardwareAddress,
                                        Fault& fault);
  ~QemuPort() override;

  const uint8_t* hardwareAddress() const override { return hardwareAddress_; }
  uint32_t mtu() const override { return kMtu; }
  int descriptor() const override { return events_; }
  uint8_t* memory() const override { return memory_; }
  size_t memorySize() const override { return size_t{kGuests} * kRoom; }
  uint32_t receive(Frame* frames, uint32_t most) override;
  void release() override {}
  void send(const Frame& frame) override;
  void flush() override;
  void recover() override {}
  const PortCounters& counters() override { return counters_; }

 private:
  static constexpr uint32_t kMtu = 1500;
  /// Guests at once, and hardware addresses of one.
  static constexpr uint32_t kGuests = 64, kAddresses = 64;
  /// Bytes that were received of a guest and not handled yet, and that wait for one to read.
  static constexpr uint32_t kRoom = 256 << 10, kWaiting = 512 << 10;

  struct Guest {
    int socket = -1;
    uint32_t from = 0, to = 0;     // what lies in its part of the memory
    std::vector<uint8_t> waiting;  // frames with their lengths, for it
    size_t sent = 0;               // of these
    bool awaited = false;          // until it reads
    uint32_t addresses = 0;
  };

  QemuPort() = default;
  bool listen(const std::string& path, Fault& fault);
  void accept();
  void leave(uint32_t number);
  void read(uint32_t number);
  bool next(uint32_t number, Frame& frame);
  bool learn(uint32_t number, const uint8_t* source);
  bool handOver(uint32_t number, const Frame& frame);
  void deliver(uint32_t number, const Frame& frame);
  uint8_t* place(Guest& guest, uint32_t length);
  void push(uint32_t number);
  void await(uint32_t number, bool room);
  uint8_t* roomOf(uint32_t number) const { return memory_ + size_t{number} * kRoom; }

  std::string path_;
  int listening_ = -1, events_ = -1;
  uint8_t hardwareAddress_[6] = {};
  uint8_t* memory_ = nullptr;
  Guest guests_[kGuests];
  uint32_t turn_ = 0;  // the guest that is read first
  std::unordered_map<uint64_t, uint32_t> stations_;
  PortCounters counters_;
};

}  // namespace napt
