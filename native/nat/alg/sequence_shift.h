// How changes of text move the numbers of one direction of a TCP stream (RFC 3022, section 4.4).
//
// The sender counts the bytes as it wrote them, the receiver as they were passed on. An `Edit` is a
// stretch that was replaced. Its replacement goes on as one, with the last byte of the stretch: so
// however the sender cuts what it sends again, the receiver finds the same bytes under the same
// numbers. Edits are kept until the receiver has acknowledged them and their room is needed.
#pragma once

#include "packet/bytes.h"

namespace napt {

/// Whether sequence number `a` comes before `b` (RFC 9293, section 3.4).
constexpr bool isBefore(uint32_t a, uint32_t b) { return static_cast<int32_t>(a - b) < 0; }

struct Edit {
  static constexpr uint32_t kMost = 24;  // "255,255,255,255,255,255"

  uint32_t from;        // the sender's number of the first byte replaced
  uint8_t span;         // bytes replaced
  uint8_t length;       // bytes of `text`
  uint8_t text[kMost];  // what stands there instead

  uint32_t end() const { return from + span; }
  uint32_t growth() const { return uint32_t{length} - span; }  // modulo 2^32
};

class SequenceShift {
 public:
  static constexpr uint32_t kEdits = 4;  // most at a time that are not acknowledged

  /// The stream begins at this number, unchanged.
  void start(uint32_t sequence) {
    *this = SequenceShift{};
    acked_ = sequence;
  }
  /// Whether its edits follow one another, as those of a stream do.
  bool isSound() const;
  bool isIdentity() const { return count_ == 0 && offset_ == 0; }
  bool hasRoom() const { return count_ < kEdits || !isBefore(acked_, edits_[0].end()); }
  /// There must be room, and it comes after all others.
  void add(const Edit& edit);
  /// The receiver has all before this one of the sender's numbers.
  void acknowledge(uint32_t ack);

  /// A number of the sender's as the receiver counts; within an edit: that of its beginning.
  uint32_t toReceiver(uint32_t sequence) const;
  /// A number of the receiver's as the sender counts; within an edit: its beginning, or its end.
  uint32_t toSender(uint32_t number, bool up = false) const;

  /// How a segment of the sender's is changed: not, in bytes only, or in length.
  enum class Change : uint8_t { None, Text, Length };
  Change changeOf(uint32_t sequence, uint32_t length) const;
  uint32_t lengthOf(uint32_t sequence, uint32_t length) const {
    return toReceiver(sequence + length) - toReceiver(sequence);
  }
  /// Writes a segment's payload as it is passed on. `to` may be `payload` unless lengths change.
  void apply(uint32_t sequence, const uint8_t* payload, uint32_t length, uint8_t* to) const;

 private:
  void forget();

  uint32_t offset_ = 0;  // of bytes before the first edit
  uint32_t acked_ = 0;
  uint32_t count_ = 0;
  Edit edits_[kEdits] = {};  // in the order of the stream
};

}  // namespace napt
