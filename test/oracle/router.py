"""A Linux router that does NAT, in network namespaces of its own, spoken to in lines of JSON.

    inside  nic ----veth---- in  router  out ----veth---- nic  outside

Nobody lives inside and outside: raw sockets there send packets and see what comes out. The namespaces have no
names. They belong to this process alone, so the kernel takes everything down when it ends, however it ends; and it
ends when its standard input does.

Requests, one a line, each answered by one line, {"error": text} when it failed:
  {"addresses": [...], "mtu": {side: bytes}, "sysctl": {name: value}, "rules": text for nft}
      give the router public addresses, MTUs, settings and rules; all connections are forgotten
  {"send": [[side, hex of an IPv4 packet], ...]}
      send packets in that order; answers what came out by then,
      {"out": [[side, hex], ...], "invalid": how many packets conntrack called invalid, "at": seconds}
  {"table": true}
      the router's connections, {"table": text}
"""

import ctypes
import json
import os
import select
import socket
import struct
import subprocess
import sys
import time

CLONE_NEWNET = 0x40000000
ETH_P_IP = 0x0800
SIDES = ("inside", "outside")
LINK = {"inside": "in", "outside": "out"}
NETWORK = {"inside": "10.0.0.0/24", "outside": "default"}
LINK_MAC = {"inside": "02:00:00:00:01:01", "outside": "02:00:00:00:02:01"}
# A sentinel crosses the router behind the packets that it waits for. The rules let 192.0.2.0/30 pass untracked.
SENTINEL = {"inside": "192.0.2.1", "outside": "192.0.2.2"}
PATIENCE = 10  # seconds until a sentinel that has not arrived is an error

libc = ctypes.CDLL(None, use_errno=True)


def check(result):
    if result != 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def make_namespace():
    check(libc.unshare(CLONE_NEWNET))
    return os.open("/proc/self/ns/net", os.O_RDONLY)


def enter(namespace):
    check(libc.setns(namespace, CLONE_NEWNET))


def run(*command, text=None):
    done = subprocess.run(command, input=text, capture_output=True, text=True)
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(command)}: {done.stderr.strip()}")


def sysctl(name, value):
    with open("/proc/sys/" + name.replace(".", "/"), "w") as file:
        file.write(str(value))


def open_nic():
    """A socket for IPv4 packets; it sees what arrives at nic, not what it sends."""
    nic = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_IP))
    nic.bind(("nic", ETH_P_IP))
    nic.setblocking(False)
    return nic


def checksum(header):
    total = sum(struct.unpack(f"!{len(header) // 2}H", header))
    while total > 0xFFFF:
        total = (total & 0xFFFF) + (total >> 16)
    return total ^ 0xFFFF


def sentinel(side, number):
    """A packet of the protocol for experiments (253), sent on this side."""
    source, destination = (SENTINEL[s] for s in (SIDES if side == "inside" else reversed(SIDES)))
    payload = struct.pack("!I", number)
    header = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(payload), 0, 0x4000, 64, 253, 0,
                         socket.inet_aton(source), socket.inet_aton(destination))
    return header[:10] + struct.pack("!H", checksum(header)) + header[12:] + payload


class Router:
    def __init__(self):
        # One CPU handles packets in the order they were sent: what a sentinel follows has come out before it.
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
        namespaces = {side: make_namespace() for side in SIDES}
        self.here = make_namespace()
        self.nics = {}
        self.sentinels = 0
        sysctl("net.ipv6.conf.default.disable_ipv6", 1)
        for side in SIDES:
            # Without ARP every neighbour is there at once.
            run("ip", "link", "add", LINK[side], "address", LINK_MAC[side], "arp", "off",
                "type", "veth", "peer", "name", f"nic-{side}")
            run("ip", "link", "set", f"nic-{side}", "arp", "off", "name", "nic",
                "netns", f"/proc/{os.getpid()}/fd/{namespaces[side]}")
            enter(namespaces[side])
            sysctl("net.ipv6.conf.nic.disable_ipv6", 1)
            run("ip", "link", "set", "nic", "up")
            self.nics[side] = open_nic()
            enter(self.here)
            run("ip", "link", "set", LINK[side], "up")
        run("ip", "link", "set", "lo", "up")
        sysctl("net.ipv4.ip_forward", 1)
        for one in ("all", "in", "out"):
            sysctl(f"net.ipv4.conf.{one}.rp_filter", 0)
            sysctl(f"net.ipv4.conf.{one}.send_redirects", 0)
        sysctl("net.ipv4.icmp_ratelimit", 0)
        sysctl("net.ipv4.icmp_msgs_per_sec", 1000000)
        sysctl("net.ipv4.icmp_msgs_burst", 1000000)
        # Fragments whose datagram stays incomplete do no harm, and nobody hears of them.
        sysctl("net.ipv4.ipfrag_time", 3600)
        sysctl("net.ipv4.ipfrag_high_thresh", 1 << 28)
        # The inside link has no address of its own: what the router itself says comes from the public one.
        run("ip", "address", "add", "203.0.113.1/32", "dev", "out")
        run("ip", "route", "add", SENTINEL["inside"], "dev", "in")
        # Of the namespace that opens it.
        self.statistics = open("/proc/net/stat/nf_conntrack")

    def configure(self, request):
        for address in request.get("addresses", []):
            run("ip", "address", "replace", f"{address}/32", "dev", "out")
        for side, mtu in request.get("mtu", {}).items():
            self.route(side, mtu)
        if "rules" in request:
            run("nft", "-f", "-", text=request["rules"])
        for name, value in request.get("sysctl", {}).items():
            sysctl(name, value)
        self.forget()
        return {}

    def route(self, side, mtu):
        """The MTU is the route's, so that larger packets can still come in over the link."""
        run("ip", "route", "replace", NETWORK[side], "dev", LINK[side], "src", "203.0.113.1", "mtu", "lock", str(mtu))

    def forget(self):
        """Ends all connections: ctnetlink's "delete" of nothing in particular."""
        delete, flags = 1 << 8 | 2, 1 | 4  # NLM_F_REQUEST, NLM_F_ACK
        with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 12) as netlink:
            netlink.send(struct.pack("=IHHIIBBH", 20, delete, flags, 1, 0, socket.AF_INET, 0, 0))
            (error,) = struct.unpack_from("=i", netlink.recv(4096), 16)
            if error != 0:
                raise OSError(-error, os.strerror(-error))

    def invalid(self):
        self.statistics.seek(0)
        names, *cpus = (line.split() for line in self.statistics)
        column = names.index("invalid")
        return sum(int(cpu[column], 16) for cpu in cpus)

    def transmit(self, side, packet):
        frame = bytes.fromhex(LINK_MAC[side].replace(":", "")) + bytes(6) + struct.pack("!H", ETH_P_IP) + packet
        self.nics[side].send(frame)

    def send(self, packets):
        before = self.invalid()
        for side, text in packets:
            self.transmit(side, bytes.fromhex(text))
        at = time.monotonic()
        self.sentinels += 1
        for side in SIDES:
            self.transmit(side, sentinel(side, self.sentinels))
        out = [[side, packet.hex()] for side in SIDES for packet in self.receive(side)]
        return {"out": out, "invalid": self.invalid() - before, "at": at}

    def receive(self, side):
        """What came out on this side, up to the sentinel."""
        packets = []
        last = struct.pack("!I", self.sentinels)
        while True:
            ready, _, _ = select.select([self.nics[side]], [], [], PATIENCE)
            if not ready:
                raise RuntimeError(f"no sentinel came out on the {side}; so far {[p.hex() for p in packets]}")
            packet = self.nics[side].recv(65536)[14:]
            if packet[9] != 253:
                packets.append(packet)
            elif packet[20:24] == last:
                return packets

    def table(self):
        with open("/proc/net/nf_conntrack") as file:
            return {"table": file.read()}

    def answer(self, request):
        if "send" in request:
            return self.send(request["send"])
        return self.table() if "table" in request else self.configure(request)


def main():
    router = Router()
    print("{}", flush=True)
    for line in sys.stdin:
        try:
            answer = router.answer(json.loads(line))
        except (OSError, RuntimeError) as error:
            answer = {"error": str(error)}
        print(json.dumps(answer), flush=True)


try:
    main()
except KeyboardInterrupt:
    pass
except (OSError, RuntimeError) as error:
    sys.exit(f"router: {error}")
