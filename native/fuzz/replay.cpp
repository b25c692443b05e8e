// Runs inputs of the packet fuzzer once: files, or all files of directories. `--trace` tells what
// happens in them.
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string_view>

#include "fuzz/world.h"

int main(int count, char** arguments) {
  namespace fs = std::filesystem;
  bool trace = false;
  std::vector<fs::path> files;
  for (int i = 1; i < count; i++) {
    if (std::string_view(arguments[i]) == "--trace") {
      trace = true;
    } else if (fs::is_directory(arguments[i])) {
      for (const auto& entry : fs::directory_iterator(arguments[i])) files.push_back(entry.path());
    } else {
      files.push_back(arguments[i]);
    }
  }
  if (files.empty()) {
    std::fprintf(stderr, "usage: napt_replay [--trace] FILE|DIRECTORY...\n");
    return 2;
  }
  for (const fs::path& file : files) {
    std::ifstream in(file, std::ios::binary);
    const std::vector<char> bytes{std::istreambuf_iterator<char>(in), {}};
    if (!in.is_open()) {
      std::fprintf(stderr, "%s can't be read\n", file.c_str());
      return 1;
    }
    if (trace) std::printf("%s\n", file.c_str());
    const auto* data = reinterpret_cast<const uint8_t*>(bytes.data());
    napt::fuzz::World(napt::fuzz::Input(data, bytes.size()), trace).run();
  }
  std::printf("%zu inputs\n", files.size());
  return 0;
}
