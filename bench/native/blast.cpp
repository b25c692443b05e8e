// UDP in 64-byte frames from many inside hosts, as fast as a core can or at a rate.
//
//   blast INTERFACE FROM_MAC TO_MAC FROM TO FLOWS SECONDS [--rate PACKETS_PER_SECOND] [--new N]
//
// FROM is the first host's address; each has 1,000 flows. 0 flows: each packet is a new one; with
// --new one packet in N is. Prints a line when it begins, and JSON at the end.
#include <arpa/inet.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <netinet/ether.h>
#include <sys/prctl.h>
#include <sys/socket.h>

#include <cerrno>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <thread>

#include "traffic.h"

namespace napt::bench {
namespace {

constexpr uint32_t kBurst = 32, kHeader = sizeof(ether_header), kFrame = kHeader + kPacketBytes;

[[noreturn]] void fail(const std::string& message) {
  std::fprintf(stderr, "blast: %s\n", message.c_str());
  std::exit(1);
}

uint32_t addressOf(const char* text) {
  in_addr address{};
  if (inet_pton(AF_INET, text, &address) != 1) fail(std::string("not an address: ") + text);
  return address.s_addr;
}

void writeMac(uint8_t* to, const char* text) {
  const ether_addr* mac = ether_aton(text);
  if (mac == nullptr) fail(std::string("not a hardware address: ") + text);
  std::memcpy(to, mac, sizeof *mac);
}

int openPort(const char* interface) {
  const int port = socket(AF_PACKET, SOCK_RAW, 0);
  if (port < 0) fail(std::string("a packet socket: ") + std::strerror(errno));
  const int one = 1;
  setsockopt(port, SOL_PACKET, PACKET_QDISC_BYPASS, &one, sizeof one);
  sockaddr_ll address{};
  address.sll_family = AF_PACKET;
  address.sll_ifindex = static_cast<int>(if_nametoindex(interface));
  if (bind(port, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) {
    fail(std::string(interface) + ": " + std::strerror(errno));
  }
  return port;
}

/// A flow from the hosts that begin at `from`. A remote port for each host, so that a NAT that
/// keeps ports finds all of them free.
Flow flowFrom(uint64_t number, uint32_t from, uint32_t to) {
  const uint32_t host = swap32(from) + static_cast<uint32_t>(number / 1000);
  return {kUdp, swap32(host), to, swap16(static_cast<uint16_t>(2000 + number % 1000)),
          swap16(static_cast<uint16_t>(2000 + host % 60000))};
}

int run(int count, char** arguments) {
  if (count < 8 || count % 2 != 0) {
    fail("usage: blast INTERFACE FROM_MAC TO_MAC FROM TO FLOWS SECONDS [--rate N] [--new N]");
  }
  double rate = 0;
  uint64_t every = 0;
  for (int i = 8; i < count; i += 2) {
    if (std::strcmp(arguments[i], "--rate") == 0) {
      rate = std::atof(arguments[i + 1]);
    } else if (std::strcmp(arguments[i], "--new") == 0) {
      every = std::strtoull(arguments[i + 1], nullptr, 10);
    } else {
      fail(std::string("no such option: ") + arguments[i]);
    }
  }
  const int port = openPort(arguments[1]);
  const uint32_t from = addressOf(arguments[4]), to = addressOf(arguments[5]);
  const uint64_t flows = std::strtoull(arguments[6], nullptr, 10);
  const double seconds = std::atof(arguments[7]);

  uint8_t frames[kBurst][kFrame] = {};
  iovec parts[kBurst];
  mmsghdr messages[kBurst] = {};
  for (uint32_t i = 0; i < kBurst; i++) {
    writeMac(frames[i], arguments[3]);
    writeMac(frames[i] + ETH_ALEN, arguments[2]);
    store16be(frames[i] + 2 * ETH_ALEN, ETHERTYPE_IP);
    parts[i] = {frames[i], kFrame};
    messages[i].msg_hdr.msg_iov = &parts[i];
    messages[i].msg_hdr.msg_iovlen = 1;
  }

  using Clock = std::chrono::steady_clock;
  using Seconds = std::chrono::duration<double>;
  prctl(PR_SET_TIMERSLACK, 1);
  std::printf("sending\n");
  std::fflush(stdout);
  uint64_t sent = 0, lost = 0;
  const auto begin = Clock::now();
  const auto since = [&] { return Seconds(Clock::now() - begin).count(); };
  while (since() < seconds) {
    if (rate > 0) {
      const auto due = std::chrono::duration_cast<Clock::duration>(Seconds(double(sent) / rate));
      std::this_thread::sleep_until(begin + due);
    }
    for (uint32_t i = 0; i < kBurst; i++) {
      // Steps of a prime: flows that follow each other in time do not in anybody's table.
      const uint64_t packet = sent + i;
      const bool isNew = every != 0 && packet % every == 0;
      const uint64_t number = isNew        ? flows + packet / every
                              : flows == 0 ? packet
                                           : packet * 7919 % flows;
      write(frames[i] + kHeader, flowFrom(number, from, to));
    }
    for (uint32_t done = 0; done < kBurst;) {
      const int taken = sendmmsg(port, messages + done, kBurst - done, 0);
      if (taken > 0) {
        done += static_cast<uint32_t>(taken);
        continue;
      }
      if (errno == EINTR) continue;
      if (errno != ENOBUFS && errno != EAGAIN) fail(std::strerror(errno));
      // The next queue is full: that packet is lost, as on any wire.
      done++;
      lost++;
    }
    sent += kBurst;
  }
  std::printf("{\"sent\": %llu, \"seconds\": %.6f}\n", static_cast<unsigned long long>(sent - lost),
              since());
  return 0;
}

}  // namespace
}  // namespace napt::bench

int main(int count, char** arguments) { return napt::bench::run(count, arguments); }
