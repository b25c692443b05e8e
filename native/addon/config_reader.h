// From the object that src/config/compile.ts makes to the core's Config.
#pragma once

#include <napi.h>

#include "nat/config.h"

namespace napt {

/// False, with a JavaScript exception pending, when the object is not what compile.ts makes.
bool readConfig(const Napi::Object& from, Config& to);

}  // namespace napt
