#include "io/packet_port.h"

#include <arpa/inet.h>
#include <linux/filter.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <vector>

namespace napt {

namespace {

// A slot holds a super-packet of 64 KiB. Slots lie in blocks of whole pages.
constexpr uint32_t kSlotBytes = 17 * 4096, kSlotsOfBlock = 4, kBlocks = 128;

template <class T>
bool set(int socket, int name, const T& value) {
  return setsockopt(socket, SOL_PACKET, name, &value, sizeof value) == 0;
}

bool bindTo(int socket, int index, uint16_t protocol) {
  sockaddr_ll address{};
  address.sll_family = AF_PACKET;
  address.sll_protocol = htons(protocol);
  address.sll_ifindex = index;
  return bind(socket, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0;
}

uint32_t* statusOf(uint8_t* slot) { return &reinterpret_cast<tpacket2_hdr*>(slot)->tp_status; }

}  // namespace

std::unique_ptr<PacketPort> PacketPort::open(const std::string& interface, const Filter& program,
                                             Fault& fault) {
  const unsigned index = if_nametoindex(interface.c_str());
  if (index == 0) {
    fault = {errno, "find the interface"};
    return nullptr;
  }
  std::unique_ptr<PacketPort> port(new PacketPort(interface));
  if (!port->prepare(static_cast<int>(index), program, fault)) return nullptr;
  return port;
}

bool PacketPort::ask(unsigned long what, ifreq& request) const {
  request = {};
  interface_.copy(request.ifr_name, sizeof request.ifr_name - 1);
  return ioctl(sending_, what, &request) == 0;
}

uint32_t PacketPort::mtu() const {
  ifreq request;
  return ask(SIOCGIFMTU, request) ? static_cast<uint32_t>(request.ifr_mtu) : 0;
}

bool PacketPort::isUp() const {
  constexpr int kBoth = IFF_UP | IFF_RUNNING;
  ifreq request;
  return ask(SIOCGIFFLAGS, request) && (request.ifr_flags & kBoth) == kBoth;
}

/// Whether the interface is fit; errno says why not.
bool PacketPort::isFit() {
  ifreq request;
  if (!ask(SIOCGIFFLAGS, request)) return false;
  if ((request.ifr_flags & IFF_UP) == 0) {
    errno = ENETDOWN;
    return false;
  }
  if (!ask(SIOCGIFHWADDR, request)) return false;
  if (request.ifr_hwaddr.sa_family != ARPHRD_ETHER) {
    errno = EPROTONOSUPPORT;
    return false;
  }
  std::memcpy(hardwareAddress_, request.ifr_hwaddr.sa_data, sizeof hardwareAddress_);
  return true;
}

/// Takes a name that one socket of this network namespace can have, and that ends with the process.
bool PacketPort::claim() {
  claim_ = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  const std::string name = "napt interface " + interface_;
  name.copy(address.sun_path + 1, sizeof address.sun_path - 1);
  return claim_ >= 0 && bind(claim_, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0;
}

bool PacketPort::filter(const Filter& program) {
  sock_fprog compiled{};
  compiled.len = static_cast<unsigned short>(program.size() / sizeof(sock_filter));
  std::vector<sock_filter> steps(compiled.len);
  std::memcpy(steps.data(), program.data(), steps.size() * sizeof(sock_filter));
  compiled.filter = steps.data();
  return setsockopt(receiving_, SOL_SOCKET, SO_ATTACH_FILTER, &compiled, sizeof compiled) == 0;
}

bool PacketPort::prepare(int index, const Filter& program, Fault& fault) {
  const auto fails = [&](const char* step) {
    fault = {errno, step};
    return false;
  };
  const int one = 1, version = TPACKET_V2;
  receiving_ = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);
  sending_ = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);
  if (receiving_ < 0 || sending_ < 0) return fails("open a packet socket");
  if (!isFit()) return fails("use the interface");
  if (!claim()) return fails("have the interface to itself:");
  if (!set(receiving_, PACKET_VERSION, version)) return fails("ask for TPACKET_V2");
  if (!set(receiving_, PACKET_IGNORE_OUTGOING, one)) return fails("ask for received frames only");
  if (!set(receiving_, PACKET_VNET_HDR, one) || !set(sending_, PACKET_VNET_HDR, one)) {
    return fails("ask for offload headers");
  }
  tpacket_req ring{};
  ring.tp_frame_size = kSlotBytes;
  ring.tp_block_size = kSlotBytes * kSlotsOfBlock;
  ring.tp_block_nr = kBlocks;
  ring.tp_frame_nr = kSlotsOfBlock * kBlocks;
  if (!set(receiving_, PACKET_RX_RING, ring)) return fails("make the receive ring");
  ringBytes_ = size_t{ring.tp_block_size} * ring.tp_block_nr;
  slots_ = ring.tp_frame_nr;
  void* memory = mmap(nullptr, ringBytes_, PROT_READ | PROT_WRITE, MAP_SHARED, receiving_, 0);
  if (memory == MAP_FAILED) return fails("map the receive ring");
  ring_ = static_cast<uint8_t*>(memory);
  // Not with PACKET_QDISC_BYPASS: the kernel drops super-packets there that the card can't cut.
  const int room = 16 << 20;
  if (setsockopt(sending_, SOL_SOCKET, SO_SNDBUFFORCE, &room, sizeof room) != 0) {
    setsockopt(sending_, SOL_SOCKET, SO_SNDBUF, &room, sizeof room);
  }
  if (!bindTo(sending_, index, 0)) return fails("bind to the interface");
  if (!program.empty() && !filter(program)) return fails("filter what comes by");
  // From here on frames come.
  if (!bindTo(receiving_, index, ETH_P_ALL)) return fails("bind to the interface");
  for (uint32_t i = 0; i < kBurst; i++) {
    messages_[i].msg_hdr.msg_iov = parts_[i];
    messages_[i].msg_hdr.msg_iovlen = 2;
    parts_[i][0] = {&offloads_[i], sizeof(Offload)};
  }
  return true;
}

PacketPort::~PacketPort() {
  if (ring_ != nullptr) munmap(ring_, ringBytes_);
  if (receiving_ >= 0) close(receiving_);
  if (sending_ >= 0) close(sending_);
  if (claim_ >= 0) close(claim_);
}

uint8_t* PacketPort::slot(uint32_t number) const { return ring_ + size_t{number} * kSlotBytes; }

uint32_t PacketPort::receive(Frame* frames, uint32_t most) {
  uint32_t count = 0;
  uint64_t bytes = 0;
  while (count < most) {
    uint8_t* at = slot(next_);
    const uint32_t status = __atomic_load_n(statusOf(at), __ATOMIC_ACQUIRE);
    if ((status & TP_STATUS_USER) == 0) break;
    // All slots are ours: the kernel waits for one.
    const uint32_t following = next_ + 1 == slots_ ? 0 : next_ + 1;
    if (following == released_) break;
    next_ = following;
    const auto& header = *reinterpret_cast<const tpacket2_hdr*>(at);
    // The kernel writes it; yet nothing beyond the slot is believed.
    if (header.tp_mac < sizeof(Offload) || header.tp_mac > kSlotBytes ||
        header.tp_snaplen > kSlotBytes - header.tp_mac || header.tp_snaplen != header.tp_len) {
      counters_.cut.add(1);
      continue;
    }
    if ((status & TP_STATUS_VLAN_VALID) != 0) {
      counters_.tagged.add(1);
      continue;
    }
    Frame& frame = frames[count++];
    frame.data = at + header.tp_mac;
    frame.length = header.tp_snaplen;
    std::memcpy(&frame.offload, frame.data - sizeof(Offload), sizeof(Offload));
    bytes += frame.length;
  }
  counters_.received.add(count);
  counters_.receivedBytes.add(bytes);
  return count;
}

void PacketPort::release() {
  for (; released_ != next_; released_ = released_ + 1 == slots_ ? 0 : released_ + 1) {
    __atomic_store_n(statusOf(slot(released_)), TP_STATUS_KERNEL, __ATOMIC_RELEASE);
  }
}

void PacketPort::send(const Frame& frame) {
  offloads_[queued_] = frame.offload;
  parts_[queued_][1] = {frame.data, frame.length};
  if (++queued_ == kBurst) flush();
}

void PacketPort::refuse(int error) {
  (error == EMSGSIZE ? counters_.tooLong : counters_.refused).add(1);
}

void PacketPort::flush() {
  for (uint32_t done = 0; done < queued_;) {
    const int taken = sendmmsg(sending_, messages_ + done, queued_ - done, MSG_DONTWAIT);
    if (taken <= 0) {
      if (taken < 0 && errno == EINTR) continue;
      refuse(errno);
      done++;
      continue;
    }
    uint64_t bytes = 0;
    for (const uint32_t end = done + static_cast<uint32_t>(taken); done < end; done++) {
      bytes += parts_[done][1].iov_len;
    }
    counters_.sent.add(static_cast<uint64_t>(taken));
    counters_.sentBytes.add(bytes);
  }
  queued_ = 0;
}

void PacketPort::recover() {
  for (const int socket : {receiving_, sending_}) {
    int error = 0;
    socklen_t size = sizeof error;
    getsockopt(socket, SOL_SOCKET, SO_ERROR, &error, &size);
  }
}

const PortCounters& PacketPort::counters() {
  tpacket_stats since{};
  socklen_t size = sizeof since;
  // Asking sets it to zero.
  if (getsockopt(receiving_, SOL_PACKET, PACKET_STATISTICS, &since, &size) == 0) {
    counters_.lost.add(since.tp_drops);
  }
  return counters_;
}

}  // namespace napt
