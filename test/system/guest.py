"""A guest without a machine: a TAP device of this namespace, joined to a socket as QEMU joins a guest's card.

guest.py SOCKET DEVICE HARDWARE-ADDRESS; "ready" once it is joined. Ends when the socket does.
"""

import fcntl
import os
import select
import socket
import struct
import subprocess
import sys

TUNSETIFF = 0x400454CA
IFF_TAP = 0x0002
IFF_NO_PI = 0x1000

path, device, address = sys.argv[1:4]
tap = os.open("/dev/net/tun", os.O_RDWR)
fcntl.ioctl(tap, TUNSETIFF, struct.pack("16sH22x", device.encode(), IFF_TAP | IFF_NO_PI))
subprocess.run(["ip", "link", "set", device, "address", address, "up"], check=True)
wire = socket.socket(socket.AF_UNIX)
wire.connect(path)
print("ready", flush=True)

received = b""
while True:
    readable, _, _ = select.select([tap, wire], [], [])
    if tap in readable:
        frame = os.read(tap, 65536)
        wire.sendall(struct.pack("!I", len(frame)) + frame)
    if wire in readable:
        more = wire.recv(1 << 18)
        if not more:
            sys.exit(0)
        received += more
        while len(received) >= 4:
            (length,) = struct.unpack("!I", received[:4])
            if len(received) < 4 + length:
                break
            os.write(tap, received[4 : 4 + length])
            received = received[4 + length :]
