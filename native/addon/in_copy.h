// A copy of the process, to try something in that must leave no trace.
//
// A translation changes a dozen structures that refer to each other. Rather than to undo that, or
// to decide everything a second time without doing it, what asks "what if" does it for real, in a
// copy of the process that the system makes (fork) and that ends with the call. Pages are shared
// until one side writes to them, so it costs about a millisecond, however large the tables are.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>

namespace napt {

/// Memory that a copy has in common with this process: where it puts what it found out. Zero at
/// first.
class CommonMemory {
 public:
  explicit CommonMemory(size_t length);
  ~CommonMemory();
  CommonMemory(const CommonMemory&) = delete;
  CommonMemory& operator=(const CommonMemory&) = delete;

  /// Null when the system refuses.
  uint8_t* data() const { return data_; }

 private:
  uint8_t* data_ = nullptr;
  size_t length_;
};

/// Makes a call in a copy, and waits for its end. The copy has this thread alone, so the call must
/// not need another. False when the system refuses a copy (too many processes, no memory).
bool inCopy(const std::function<void()>& call);

}  // namespace napt
