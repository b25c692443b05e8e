#include "io/qemu_port.h"

#include <linux/if_ether.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "packet/bytes.h"
#include "packet/segment.h"

namespace napt {

namespace {

constexpr uint32_t kLengthBytes = 4;
/// No frame is longer, jumbo and offloads included; what says so is not a frame's length.
constexpr uint32_t kLongest = 68 << 10;
constexpr uint32_t kListening = ~0u;
/// Types of super-packets (virtio_net_hdr).
constexpr uint8_t kGsoTcp4 = 1, kGsoUdp = 5, kGsoEcn = 0x80;

uint64_t keyOf(const uint8_t* address) {
  uint64_t key = 0;
  std::memcpy(&key, address, ETH_ALEN);
  return key;
}

bool isGroup(const uint8_t* address) { return (address[0] & 1) != 0; }

bool watch(int events, int operation, int socket, uint32_t what, uint32_t number) {
  epoll_event event{};
  event.events = what;
  event.data.u32 = number;
  return epoll_ctl(events, operation, socket, &event) == 0;
}

/// Whether somebody accepts connections at a path.
bool answers(const sockaddr_un& address) {
  const int probe = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  const bool connected =
      connect(probe, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0;
  close(probe);
  return connected;
}

}  // namespace

std::unique_ptr<QemuPort> QemuPort::open(const std::string& path, const uint8_t* hardwareAddress,
                                         Fault& fault) {
  std::unique_ptr<QemuPort> port(new QemuPort);
  std::memcpy(port->hardwareAddress_, hardwareAddress, sizeof port->hardwareAddress_);
  if (!port->listen(path, fault)) return nullptr;
  return port;
}

bool QemuPort::listen(const std::string& path, Fault& fault) {
  const auto fails = [&](const char* step) {
    fault = {errno, step};
    return false;
  };
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  path.copy(address.sun_path, sizeof address.sun_path - 1);
  const auto* at = reinterpret_cast<const sockaddr*>(&address);
  listening_ = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  events_ = epoll_create1(EPOLL_CLOEXEC);
  if (listening_ < 0 || events_ < 0) return fails("make the socket");
  // Its owner's alone, from the first moment on.
  const mode_t before = umask(0177);
  int bound = bind(listening_, at, sizeof address);
  if (bound != 0 && errno == EADDRINUSE && !answers(address)) {
    unlink(address.sun_path);  // of one that was killed
    bound = bind(listening_, at, sizeof address);
  }
  umask(before);
  if (bound != 0) return fails("make the socket");
  path_ = path;
  if (::listen(listening_, 16) != 0) return fails("listen at the socket");
  if (!watch(events_, EPOLL_CTL_ADD, listening_, EPOLLIN, kListening))
    return fails("watch the socket");
  void* memory = mmap(nullptr, memorySize(), PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (memory == MAP_FAILED) return fails("get memory for the socket");
  memory_ = static_cast<uint8_t*>(memory);
  return true;
}

QemuPort::~QemuPort() {
  for (Guest& guest : guests_) {
    if (guest.socket >= 0) close(guest.socket);
  }
  if (!path_.empty()) unlink(path_.c_str());
  if (listening_ >= 0) close(listening_);
  if (events_ >= 0) close(events_);
  if (memory_ != nullptr) munmap(memory_, memorySize());
}

void QemuPort::accept() {
  for (;;) {
    const int socket = accept4(listening_, nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (socket < 0) return;
    uint32_t number = 0;
    while (number < kGuests && guests_[number].socket >= 0) number++;
    if (number == kGuests || !watch(events_, EPOLL_CTL_ADD, socket, EPOLLIN, number)) {
      counters_.refused.add(1);
      close(socket);
      continue;
    }
    guests_[number] = Guest{};
    guests_[number].socket = socket;
  }
}

void QemuPort::leave(uint32_t number) {
  close(guests_[number].socket);
  guests_[number] = Guest{};
  std::erase_if(stations_, [number](const auto& station) { return station.second == number; });
}

/// Reads what a guest has sent, as far as there is room.
void QemuPort::read(uint32_t number) {
  Guest& guest = guests_[number];
  uint8_t* room = roomOf(number);
  if (guest.from != 0) {
    std::memmove(room, room + guest.from, guest.to - guest.from);
    guest.to -= guest.from;
    guest.from = 0;
  }
  if (guest.to == kRoom) return;
  const ssize_t got = recv(guest.socket, room + guest.to, kRoom - guest.to, 0);
  if (got > 0) {
    guest.to += static_cast<uint32_t>(got);
  } else if (got == 0 || (errno != EAGAIN && errno != EINTR)) {
    leave(number);
  }
}

/// Takes the next whole frame of a guest's. Who has lost the thread has to connect anew.
bool QemuPort::next(uint32_t number, Frame& frame) {
  Guest& guest = guests_[number];
  if (guest.to - guest.from < kLengthBytes) return false;
  uint8_t* at = roomOf(number) + guest.from;
  const uint32_t length = load32be(at);
  if (length == 0 || length > kLongest) {
    counters_.cut.add(1);
    leave(number);
    return false;
  }
  if (guest.to - guest.from - kLengthBytes < length) return false;
  guest.from += kLengthBytes + length;
  frame = {at + kLengthBytes, length, Offload{}};
  return true;
}

/// Whether a guest may use a hardware address: nobody else here does.
bool QemuPort::learn(uint32_t number, const uint8_t* source) {
  if (isGroup(source) || std::memcmp(source, hardwareAddress_, ETH_ALEN) == 0) return false;
  const auto known = stations_.find(keyOf(source));
  if (known != stations_.end()) return known->second == number;
  if (guests_[number].addresses >= kAddresses) return false;
  guests_[number].addresses++;
  stations_.emplace(keyOf(source), number);
  return true;
}

/// Gives a guest's frame to the other guests that it is for. Whether it may be for the port, too.
bool QemuPort::handOver(uint32_t number, const Frame& frame) {
  if (std::memcmp(frame.data, hardwareAddress_, ETH_ALEN) == 0) return true;
  const auto known = stations_.find(keyOf(frame.data));
  if (known != stations_.end()) {
    if (known->second != number) deliver(known->second, frame);
    return false;
  }
  for (uint32_t other = 0; other < kGuests; other++) {
    if (other != number && guests_[other].socket >= 0) deliver(other, frame);
  }
  return isGroup(frame.data);
}

uint32_t QemuPort::receive(Frame* frames, uint32_t most) {
  epoll_event events[kGuests + 1];
  const int ready = epoll_wait(events_, events, kGuests + 1, 0);
  for (int i = 0; i < ready; i++) {
    const uint32_t number = events[i].data.u32;
    if (number == kListening) {
      accept();
      continue;
    }
    if ((events[i].events & EPOLLOUT) != 0) push(number);
    if ((events[i].events & ~static_cast<uint32_t>(EPOLLOUT)) != 0 && guests_[number].socket >= 0) {
      read(number);
    }
  }
  uint32_t count = 0;
  uint64_t bytes = 0;
  const uint32_t first = turn_;
  for (uint32_t i = 0; i < kGuests && count < most; i++) {
    const uint32_t number = (first + i) % kGuests;
    turn_ = (number + 1) % kGuests;
    Frame frame{};
    while (count < most && next(number, frame)) {
      if (frame.length < ETH_HLEN) continue;
      if (!learn(number, frame.data + ETH_ALEN)) {
        counters_.spoofed.add(1);
      } else if (handOver(number, frame)) {
        frames[count++] = frame;
        bytes += frame.length;
      }
    }
  }
  flush();
  counters_.received.add(count);
  counters_.receivedBytes.add(bytes);
  return count;
}

void QemuPort::send(const Frame& frame) {
  const auto known = stations_.find(keyOf(frame.data));
  if (known != stations_.end()) {
    deliver(known->second, frame);
    return;
  }
  for (uint32_t number = 0; number < kGuests; number++) {
    if (guests_[number].socket >= 0) deliver(number, frame);
  }
}

/// Queues a frame for a guest, with all that was left to a card done.
void QemuPort::deliver(uint32_t number, const Frame& frame) {
  Guest& guest = guests_[number];
  const Offload& offload = frame.offload;
  if (offload.gsoType == 0) {
    uint8_t* out = place(guest, frame.length);
    if (out == nullptr) return;
    std::memcpy(out, frame.data, frame.length);
    if ((offload.flags & Offload::kNeedsChecksum) != 0) {
      completeChecksumAt(out, frame.length, offload.checksumStart, offload.checksumOffset);
    }
    return;
  }
  const uint8_t type = offload.gsoType & static_cast<uint8_t>(~kGsoEcn);
  Segmenter segments(frame.data + ETH_HLEN, frame.length - ETH_HLEN, offload.gsoSize);
  if ((type != kGsoTcp4 && type != kGsoUdp) || !segments.usable()) {
    counters_.cut.add(1);
    return;
  }
  while (const uint32_t length = segments.nextLength()) {
    uint8_t* out = place(guest, ETH_HLEN + length);
    if (out == nullptr) return;
    std::memcpy(out, frame.data, ETH_HLEN);
    segments.next(out + ETH_HLEN);
  }
}

/// Where a frame for a guest goes; null when it has too much to read already.
uint8_t* QemuPort::place(Guest& guest, uint32_t length) {
  const size_t end = guest.waiting.size();
  if (end + kLengthBytes + length > kWaiting) {
    counters_.refused.add(1);
    return nullptr;
  }
  guest.waiting.resize(end + kLengthBytes + length);
  store(guest.waiting.data() + end, swap32(length));
  counters_.sent.add(1);
  counters_.sentBytes.add(length);
  return guest.waiting.data() + end + kLengthBytes;
}

void QemuPort::flush() {
  for (uint32_t number = 0; number < kGuests; number++) {
    if (guests_[number].socket >= 0 && !guests_[number].awaited) push(number);
  }
}

/// Sends what waits for a guest, as far as it takes it.
void QemuPort::push(uint32_t number) {
  Guest& guest = guests_[number];
  if (guest.waiting.empty()) return;
  const ssize_t taken = ::send(guest.socket, guest.waiting.data() + guest.sent,
                               guest.waiting.size() - guest.sent, MSG_NOSIGNAL);
  if (taken < 0 && errno != EAGAIN && errno != EINTR) {
    leave(number);
    return;
  }
  if (taken > 0) guest.sent += static_cast<size_t>(taken);
  const bool done = guest.sent == guest.waiting.size();
  if (done) {
    guest.waiting.clear();
    guest.sent = 0;
  } else if (guest.sent > kWaiting / 2) {
    guest.waiting.erase(guest.waiting.begin(),
                        guest.waiting.begin() + static_cast<std::ptrdiff_t>(guest.sent));
    guest.sent = 0;
  }
  await(number, !done);
}

/// Whether to be told when a guest has read.
void QemuPort::await(uint32_t number, bool room) {
  Guest& guest = guests_[number];
  if (guest.awaited == room) return;
  guest.awaited = room;
  watch(events_, EPOLL_CTL_MOD, guest.socket, room ? EPOLLIN | EPOLLOUT : EPOLLIN, number);
}

}  // namespace napt
