// A TUN or TAP device: what the kernel sends to it comes here, and what is sent here comes to the
// kernel as from a wire. With IFF_VNET_HDR super-packets and partial checksums pass through whole.
//
// A TUN device carries bare IP packets; here they have an Ethernet header all the same, between two
// made-up stations, so that whoever uses a port needs to know of one kind of frame only.
#pragma once

#include <vector>

#include "io/port.h"

namespace napt {

class TunPort : public Port {
 public:
  enum class Kind : uint8_t { Tun, Tap };

  /// Makes the device, or takes over one that is there; one that was made is gone with the port.
  /// `hardwareAddress` is the port's own, 6 bytes. Null when it can't be; `fault` says why. Needs
  /// CAP_NET_ADMIN, unless the device is persistent, up, and this user's.
  static std::unique_ptr<TunPort> open(Kind kind, const std::string& name,
                                       const uint8_t* hardwareAddress, Fault& fault);
  ~TunPort() override;

  const uint8_t* hardwareAddress() const override { return hardwareAddress_; }
  uint32_t mtu() const override { return mtu_; }
  uint32_t unseen() const override;
  int descriptor() const override { return device_; }
  uint8_t* memory() const override { return memory_.get(); }
  size_t memorySize() const override { return size_t{kBurst} * kSlotBytes; }
  uint32_t receive(Frame* frames, uint32_t most) override;
  void release() override {}
  void send(const Frame& frame) override;
  void flush() override {}
  void recover() override {}
  const PortCounters& counters() override { return counters_; }

 private:
  static constexpr uint32_t kBurst = 64, kSlotBytes = 68 << 10;

  explicit TunPort(Kind kind) : kind_(kind) {}
  bool prepare(const std::string& name, Fault& fault);

  const Kind kind_;
  int device_ = -1;
  uint8_t hardwareAddress_[6] = {};
  uint32_t mtu_ = 0;
  std::unique_ptr<uint8_t[]> memory_;
  PortCounters counters_;
};

}  // namespace napt
