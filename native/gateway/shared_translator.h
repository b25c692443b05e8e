// A translator that the gateway's thread and JavaScript's use in turn.
#pragma once

#include <mutex>

#include "nat/tap.h"
#include "nat/translator.h"

namespace napt {

struct SharedTranslator {
  std::mutex mutex;           // held for a burst, or for a call
  Translator* nat = nullptr;  // another one after a change of config; null once closed
  Taps taps;                  // outlast a change of config; not under the mutex
};

}  // namespace napt
