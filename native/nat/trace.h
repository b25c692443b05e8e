// What a packet meets on its way, for who asks why (`Translator::trace`).
//
// A trace is a translation like any other, by the same code and with the same effects, and tells
// more of it. Who wants to know without the effects has it made in a copy (addon/in_copy.h).
#pragma once

#include "nat/session_table.h"
#include "nat/verdict.h"

namespace napt {

struct Trace {
  static constexpr uint32_t kUnknown = 0xffffffff;

  Result result;
  /// Slots of the sessions that it is of, or kNone: of a hairpinned packet first the sender's.
  uint32_t sessions[2] = {SessionTable::kNone, SessionTable::kNone};
  /// The first session of the binding at the public endpoint that it is for, or kNone.
  uint32_t owner = SessionTable::kNone;
  /// The number of its inside host's policy; of a hairpinned packet the sender's.
  uint32_t policy = kUnknown;
};

}  // namespace napt
