#include "addon/in_copy.h"

#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>

namespace napt {

CommonMemory::CommonMemory(size_t length) : length_(length) {
  void* p = mmap(nullptr, length, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (p != MAP_FAILED) data_ = static_cast<uint8_t*>(p);
}

CommonMemory::~CommonMemory() {
  if (data_ != nullptr) munmap(data_, length_);
}

bool inCopy(const std::function<void()>& call) {
  // A signal that reached the copy would be told to our own event loop, through its pipe.
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  const pid_t copy = fork();
  if (copy == 0) {
    call();
    _exit(0);  // runs nothing of what this process has to do at its end
  }
  if (copy > 0) {
    while (waitpid(copy, nullptr, 0) < 0 && errno == EINTR) {
    }
  }
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  return copy > 0;
}

}  // namespace napt
