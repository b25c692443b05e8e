// What must hold of every packet that a NAT puts out, whatever its state: judged from the bytes
// before and after, with code of its own.
#pragma once

#include "fuzz/craft.h"
#include "fuzz/scene.h"
#include "nat/verdict.h"

namespace napt::fuzz {

/// Says what is wrong and ends the process; for fuzzers and their replay.
[[noreturn]] void fail(const char* what);
inline void require(bool ok, const char* what) {
  if (!ok) fail(what);
}

class Judge {
 public:
  explicit Judge(const Config& config) : config_(config) {}

  /// A packet that was translated in place, or refused.
  void inPlace(const Packet& before, const Bytes& after, const Result& result) const;
  /// A packet that was held, as it came out: whole, or in pieces.
  void released(const Packet& before, const std::vector<Bytes>& pieces, bool toInside) const;
  /// An ICMP error that the NAT sent about a packet.
  void originated(const Bytes& cause, const Bytes& error, bool toInside) const;

 private:
  void direction(const Bytes& before, const Bytes& after, Direction direction) const;
  void quotation(const Bytes& after, size_t ip, Direction direction) const;
  void rewritten(const Packet& before, const Bytes& after, Direction direction) const;
  bool isExempt(uint32_t remote) const;
  bool isRead(const Bytes& packet) const;

  const Config& config_;
};

}  // namespace napt::fuzz
