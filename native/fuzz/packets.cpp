// The packet path with its state, for libFuzzer.
#include <random>

#include "fuzz/world.h"

using namespace napt::fuzz;

extern "C" {
size_t LLVMFuzzerMutate(uint8_t* data, size_t size, size_t most);
int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size);
size_t LLVMFuzzerCustomMutator(uint8_t* data, size_t size, size_t most, unsigned seed);
size_t LLVMFuzzerCustomCrossOver(const uint8_t* a, size_t aSize, const uint8_t* b, size_t bSize,
                                 uint8_t* out, size_t most, unsigned seed);
}

int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  World(Input(data, size), false).run();
  return 0;
}

/// Besides what libFuzzer does to bytes: changes, repeats, moves, drops and adds whole steps.
size_t LLVMFuzzerCustomMutator(uint8_t* data, size_t size, size_t most, unsigned seed) {
  std::minstd_rand random(seed);
  const size_t steps = size < kHeaderBytes ? 0 : (size - kHeaderBytes) / kStepBytes;
  const auto place = [&](size_t i) { return data + kHeaderBytes + i * kStepBytes; };
  const uint32_t choice = random() % 8;
  if (choice < 2 || steps == 0) return LLVMFuzzerMutate(data, size, most);
  if (choice == 2) {
    LLVMFuzzerMutate(data, kHeaderBytes, kHeaderBytes);
    return size;
  }
  const size_t at = random() % steps;
  if (choice < 5) {
    for (uint32_t n = 1 + random() % 3; n != 0; n--) {
      place(at)[random() % kStepBytes] = static_cast<uint8_t>(random());
    }
    return size;
  }
  if (choice == 5) {
    std::memmove(place(at), place(at + 1), size - kHeaderBytes - (at + 1) * kStepBytes);
    return size - kStepBytes;
  }
  if (size + kStepBytes > most) return size;
  // A step again, or a new one, in front of another.
  uint8_t added[kStepBytes];
  std::memcpy(added, place(random() % steps), kStepBytes);
  if (choice == 7) added[0] = static_cast<uint8_t>(random());
  if (choice == 7 && random() % 2 == 0) {
    for (uint8_t& byte : added) byte = static_cast<uint8_t>(random());
  }
  std::memmove(place(at + 1), place(at), size - kHeaderBytes - at * kStepBytes);
  std::memcpy(place(at), added, kStepBytes);
  return size + kStepBytes;
}

/// The header and the first steps of one, then steps of the other.
size_t LLVMFuzzerCustomCrossOver(const uint8_t* a, size_t aSize, const uint8_t* b, size_t bSize,
                                 uint8_t* out, size_t most, unsigned seed) {
  std::minstd_rand random(seed);
  if (aSize < kHeaderBytes || bSize < kHeaderBytes) return 0;
  const size_t first =
      kHeaderBytes + random() % ((aSize - kHeaderBytes) / kStepBytes + 1) * kStepBytes;
  const size_t from =
      kHeaderBytes + random() % ((bSize - kHeaderBytes) / kStepBytes + 1) * kStepBytes;
  const size_t rest = std::min(bSize - from, most > first ? most - first : 0);
  if (first > most) return 0;
  std::memcpy(out, a, first);
  std::memcpy(out + first, b + from, rest);
  return first + rest;
}
