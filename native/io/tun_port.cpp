#include "io/tun_port.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/if_ether.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

namespace napt {

namespace {

// Not in the headers of older systems.
constexpr unsigned kUso4 = 0x20, kUso6 = 0x40;

/// An interface's flags and MTU; brings it up where it is down. False, with errno, when it can't.
bool bringUp(const std::string& name, uint32_t& mtu) {
  const int any = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (any < 0) return false;
  ifreq request{};
  name.copy(request.ifr_name, sizeof request.ifr_name - 1);
  bool done = ioctl(any, SIOCGIFFLAGS, &request) == 0;
  if (done && (request.ifr_flags & IFF_UP) == 0) {
    request.ifr_flags = static_cast<short>(request.ifr_flags | IFF_UP);
    done = ioctl(any, SIOCSIFFLAGS, &request) == 0;
  }
  done = done && ioctl(any, SIOCGIFMTU, &request) == 0;
  mtu = static_cast<uint32_t>(request.ifr_mtu);
  const int error = errno;
  close(any);
  errno = error;
  return done;
}

/// Offsets in an offload header count from the frame's start.
void shift(Offload& offload, int bytes) {
  const auto moved = [bytes](uint16_t at) { return static_cast<uint16_t>(at + bytes); };
  if ((offload.flags & Offload::kNeedsChecksum) != 0) {
    offload.checksumStart = moved(offload.checksumStart);
  }
  if (offload.gsoType != 0) offload.headerLength = moved(offload.headerLength);
}

}  // namespace

std::unique_ptr<TunPort> TunPort::open(Kind kind, const std::string& name,
                                       const uint8_t* hardwareAddress, Fault& fault) {
  std::unique_ptr<TunPort> port(new TunPort(kind));
  std::memcpy(port->hardwareAddress_, hardwareAddress, sizeof port->hardwareAddress_);
  if (!port->prepare(name, fault)) return nullptr;
  return port;
}

bool TunPort::prepare(const std::string& name, Fault& fault) {
  const auto fails = [&](const char* step) {
    fault = {errno, step};
    return false;
  };
  device_ = ::open("/dev/net/tun", O_RDWR | O_CLOEXEC | O_NONBLOCK);
  if (device_ < 0) return fails("open /dev/net/tun for");
  ifreq request{};
  name.copy(request.ifr_name, sizeof request.ifr_name - 1);
  request.ifr_flags =
      static_cast<short>((kind_ == Kind::Tun ? IFF_TUN : IFF_TAP) | IFF_NO_PI | IFF_VNET_HDR);
  if (ioctl(device_, TUNSETIFF, &request) != 0) return fails("make the device");
  int headerBytes = sizeof(Offload);
  if (ioctl(device_, TUNSETVNETHDRSZ, &headerBytes) != 0)
    return fails("ask for offload headers of");
  constexpr unsigned kTcp = TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6 | TUN_F_TSO_ECN;
  // Without UDP on kernels before 6.2.
  if (ioctl(device_, TUNSETOFFLOAD, kTcp | kUso4 | kUso6) != 0 &&
      ioctl(device_, TUNSETOFFLOAD, kTcp) != 0) {
    return fails("ask for offloads of");
  }
  if (!bringUp(name, mtu_)) return fails("bring up");
  memory_ = std::make_unique_for_overwrite<uint8_t[]>(memorySize());
  return true;
}

TunPort::~TunPort() {
  if (device_ >= 0) close(device_);
}

uint32_t TunPort::unseen() const { return kind_ == Kind::Tun ? ETH_HLEN : 0; }

uint32_t TunPort::receive(Frame* frames, uint32_t most) {
  uint32_t count = 0;
  uint64_t bytes = 0;
  const uint32_t unseen = this->unseen();
  for (; count < std::min(most, kBurst); count++) {
    uint8_t* slot = memory_.get() + size_t{count} * kSlotBytes;
    Frame& frame = frames[count];
    iovec parts[2] = {{&frame.offload, sizeof(Offload)}, {slot + unseen, kSlotBytes - unseen}};
    const ssize_t got = readv(device_, parts, 2);
    if (got < static_cast<ssize_t>(sizeof(Offload))) break;
    frame.data = slot;
    frame.length = static_cast<uint32_t>(got) - static_cast<uint32_t>(sizeof(Offload)) + unseen;
    if (kind_ == Kind::Tun) {
      std::memcpy(slot, hardwareAddress_, ETH_ALEN);
      std::memset(slot + ETH_ALEN, 0, ETH_ALEN);
      const bool isIpv6 = frame.length > unseen && slot[unseen] >> 4 == 6;
      const uint16_t type = htons(isIpv6 ? ETH_P_IPV6 : ETH_P_IP);
      std::memcpy(slot + 2 * ETH_ALEN, &type, sizeof type);
      shift(frame.offload, ETH_HLEN);
    }
    bytes += frame.length;
  }
  counters_.received.add(count);
  counters_.receivedBytes.add(bytes);
  return count;
}

void TunPort::send(const Frame& frame) {
  const uint32_t unseen = this->unseen();
  Offload offload = frame.offload;
  if (unseen != 0) shift(offload, -static_cast<int>(unseen));
  iovec parts[2] = {{&offload, sizeof offload}, {frame.data + unseen, frame.length - unseen}};
  if (writev(device_, parts, 2) < 0) {
    counters_.refused.add(1);
    return;
  }
  counters_.sent.add(1);
  counters_.sentBytes.add(frame.length);
}

}  // namespace napt
