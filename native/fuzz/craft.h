// Packets from steps: whole ones of every protocol, answers, errors and fragments, each with the
// damage that the step asks for.
#pragma once

#include "fuzz/input.h"
#include "packet/ipv4.h"

namespace napt::fuzz {

using Bytes = std::vector<uint8_t>;

struct Packet {
  Bytes bytes;
  uint32_t wire = 0;  // this and what follows as in PacketView
  bool partial = false;
  bool fromOutside = false;

  PacketView view(uint8_t* bytes_) const {
    const auto size = static_cast<uint32_t>(bytes.size());
    return {bytes_, size, std::max(size, wire), partial, fromOutside};
  }
};

/// Who sends what to whom.
struct Flow {
  uint32_t from, to;  // network order
  uint16_t sourcePort,
      destinationPort;  // host order; identifiers of ICMP queries and calls are both
  uint8_t protocol;
  uint32_t sequence, ack;  // TCP; SCTP: the first is the verification tag
  uint8_t icmpType;
  uint16_t id;  // IPv4 identification
};

uint8_t protocolOf(const Step& step);
/// The flow of a packet that is at least a header, as far as it goes.
Flow flowOf(const Bytes& packet);
/// The answer to a packet, and the next one of its sender; the step says how far TCP's numbers are
/// off.
Flow answerTo(const Bytes& packet, const Step& step);
Flow nextOf(const Bytes& packet, const Step& step);

Packet build(const Flow& flow, const Step& step);
/// An ICMP error of `router` (0: the receiver) about a packet that was sent.
Packet buildError(const Bytes& about, uint32_t router, const Step& step);
/// The fragments of a packet, in order.
std::vector<Packet> split(const Packet& packet, const Step& step);
/// Puts right what can be put right about a header, so that noise gets further.
void mend(Bytes& packet);
/// Does to a finished packet what the step asks for.
void damage(Packet& packet, const Step& step);

/// RFC 1071, the slow way; host order.
uint16_t checksum(const uint8_t* p, size_t length, uint32_t initial = 0);
uint32_t pseudoHeader(const uint8_t* ip, uint8_t protocol, size_t length);

}  // namespace napt::fuzz
