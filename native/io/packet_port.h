// An interface through AF_PACKET: a TPACKET_V2 ring to receive, sendmmsg to send.
//
// Version 2 of the ring tells of each frame at once; version 3 collects them for a millisecond.
// With PACKET_VNET_HDR super-packets and partial checksums pass through whole, both ways.
#pragma once

#include <net/if.h>
#include <sys/socket.h>

#include "io/port.h"

namespace napt {

class PacketPort : public Port {
 public:
  /// Null when it can't be opened; `fault` says why: EADDRINUSE when another port has the
  /// interface. `program` is in force from the first frame on. Needs CAP_NET_RAW.
  static std::unique_ptr<PacketPort> open(const std::string& interface, const Filter& program,
                                          Fault& fault);
  ~PacketPort() override;

  const uint8_t* hardwareAddress() const override { return hardwareAddress_; }
  uint32_t mtu() const override;
  bool isUp() const override;
  int descriptor() const override { return receiving_; }
  uint8_t* memory() const override { return ring_; }
  size_t memorySize() const override { return ringBytes_; }
  uint32_t receive(Frame* frames, uint32_t most) override;
  void release() override;
  void send(const Frame& frame) override;
  void flush() override;
  bool filter(const Filter& program) override;
  void recover() override;
  const PortCounters& counters() override;

 private:
  static constexpr uint32_t kBurst = 64;

  explicit PacketPort(std::string interface) : interface_(std::move(interface)) {}
  bool prepare(int index, const Filter& program, Fault& fault);
  bool isFit();
  bool claim();
  bool ask(unsigned long what, ifreq& request) const;
  uint8_t* slot(uint32_t number) const;
  void refuse(int error);

  const std::string interface_;
  uint8_t hardwareAddress_[6] = {};
  int receiving_ = -1, sending_ = -1;
  int claim_ = -1;
  uint8_t* ring_ = nullptr;
  size_t ringBytes_ = 0;
  uint32_t slots_ = 0;
  uint32_t next_ = 0;      // the slot to look at next
  uint32_t released_ = 0;  // the first slot that is ours to give back
  // What is queued: an offload header and a frame each.
  uint32_t queued_ = 0;
  mmsghdr messages_[kBurst] = {};
  iovec parts_[kBurst][2] = {};
  Offload offloads_[kBurst] = {};
  PortCounters counters_;
};

}  // namespace napt
