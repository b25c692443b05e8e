#include "io/link_watch.h"

#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>

namespace napt {

LinkWatch::LinkWatch()
    : socket_(socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_ROUTE)) {
  sockaddr_nl address{};
  address.nl_family = AF_NETLINK;
  address.nl_groups = RTMGRP_LINK | RTMGRP_IPV4_IFADDR | RTMGRP_IPV4_ROUTE;
  if (socket_ < 0 || bind(socket_, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0) {
    return;
  }
  close(socket_);
  socket_ = -1;
}

LinkWatch::~LinkWatch() {
  if (socket_ >= 0) close(socket_);
}

bool LinkWatch::changed() {
  if (socket_ < 0) return false;
  char bytes[8192];
  bool any = false;
  // ENOBUFS says that word was lost: there was a change all the same.
  while (recv(socket_, bytes, sizeof bytes, 0) > 0 || errno == ENOBUFS) any = true;
  return any;
}

}  // namespace napt
