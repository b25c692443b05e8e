// The system's clocks.
#pragma once

#include <cstdint>
#include <ctime>

namespace napt {

constexpr uint64_t kMillisecond = 1'000'000;

/// Nanoseconds since some moment before the start.
inline uint64_t monotonic() {
  timespec time{};
  clock_gettime(CLOCK_MONOTONIC, &time);
  return static_cast<uint64_t>(time.tv_sec) * 1000 * kMillisecond +
         static_cast<uint64_t>(time.tv_nsec);
}

/// Nanoseconds since 1970.
inline uint64_t wallClock() {
  timespec time{};
  clock_gettime(CLOCK_REALTIME, &time);
  return static_cast<uint64_t>(time.tv_sec) * 1000 * kMillisecond +
         static_cast<uint64_t>(time.tv_nsec);
}

}  // namespace napt
