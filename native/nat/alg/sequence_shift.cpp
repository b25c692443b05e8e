#include "nat/alg/sequence_shift.h"

#include <algorithm>

namespace napt {

/// The first edit is done with; what the sender repeats of it, the receiver has.
void SequenceShift::forget() {
  offset_ += edits_[0].growth();
  std::copy(edits_ + 1, edits_ + count_, edits_);
  count_--;
}

bool SequenceShift::isSound() const {
  constexpr uint32_t kFar = 1u << 30;  // as `acknowledge` has it
  if (count_ > kEdits) return false;
  uint32_t end = 0;  // of the one before, from where the first begins
  for (const Edit* e = edits_; e != edits_ + count_; e++) {
    const uint32_t from = e->from - edits_[0].from;
    if (e->span == 0 || e->length > Edit::kMost || from < end || from > kFar) return false;
    end = from + e->span;
  }
  return true;
}

void SequenceShift::add(const Edit& edit) {
  if (count_ == kEdits) forget();
  edits_[count_++] = edit;
}

void SequenceShift::acknowledge(uint32_t ack) {
  if (isBefore(acked_, ack)) acked_ = ack;
  // Numbers only compare within half of their space.
  constexpr uint32_t kLongAgo = 1u << 30;
  while (count_ != 0 && isBefore(edits_[0].end() + kLongAgo, acked_)) forget();
}

uint32_t SequenceShift::toReceiver(uint32_t sequence) const {
  uint32_t offset = offset_;
  for (const Edit* e = edits_; e != edits_ + count_; e++) {
    if (!isBefore(e->from, sequence)) break;
    if (isBefore(sequence, e->end())) return e->from + offset;
    offset += e->growth();
  }
  return sequence + offset;
}

uint32_t SequenceShift::toSender(uint32_t number, bool up) const {
  uint32_t offset = offset_;
  for (const Edit* e = edits_; e != edits_ + count_; e++) {
    const uint32_t sequence = number - offset;
    if (!isBefore(e->from, sequence)) break;
    if (isBefore(sequence, e->from + e->length)) return up ? e->end() : e->from;
    offset += e->growth();
  }
  return number - offset;
}

SequenceShift::Change SequenceShift::changeOf(uint32_t sequence, uint32_t length) const {
  const uint32_t end = sequence + length;
  Change change = Change::None;
  for (const Edit* e = edits_; e != edits_ + count_; e++) {
    if (!isBefore(sequence, e->end()) || !isBefore(e->from, end)) continue;
    const bool whole = !isBefore(e->from, sequence) && !isBefore(end, e->end());
    if (!whole || e->growth() != 0) return Change::Length;
    change = Change::Text;
  }
  return change;
}

void SequenceShift::apply(uint32_t sequence, const uint8_t* payload, uint32_t length,
                          uint8_t* to) const {
  uint32_t at = sequence;
  const uint32_t end = sequence + length;
  const auto copyUntil = [&](uint32_t until) {
    if (!isBefore(at, until)) return;
    std::memmove(to, payload + (at - sequence), until - at);
    to += until - at;
    at = until;
  };
  for (const Edit* e = edits_; e != edits_ + count_; e++) {
    if (!isBefore(at, e->end()) || !isBefore(e->from, end)) continue;
    copyUntil(e->from);
    if (isBefore(end, e->end())) return;
    std::memcpy(to, e->text, e->length);
    to += e->length;
    at = e->end();
  }
  copyUntil(end);
}

}  // namespace napt
