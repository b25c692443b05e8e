// Writing a TCP segment as it is passed on: its text, and its numbers as its receiver counts.
#pragma once

#include "nat/alg/sequence_shift.h"
#include "packet/ipv4.h"

namespace napt {

/// Translates a segment's sequence number and urgent pointer by the shift of its own direction, its
/// acknowledgement and SACK blocks (RFC 2018) by the other one's. The checksum follows, unless it
/// is partial: that one does not cover the header. What was cut off stays.
void renumber(const PacketView& packet, const Parsed& parsed, const SequenceShift& own,
              const SequenceShift& other);

/// Writes the changed text of a segment, `length` bytes at `payload`, into a packet that has its
/// headers and as much room as the text takes: the same packet if no length changes. Both lengths
/// and checksums follow, a partial one only the length.
void rewriteText(const PacketView& to, const Parsed& parsed, const uint8_t* payload,
                 uint32_t length, const SequenceShift& own);

}  // namespace napt
