// The BPF program that tells the gateway's packets from the host's, run by a small interpreter.
import { deepEqual, equal, throws } from "node:assert/strict";
import { test } from "node:test";
import { portFilter } from "../../src/gateway/host/filter.js";
import { ownPorts } from "../../src/gateway/host/ports.js";

const ADDRESS = 0xcb007101;
const forward = (protocol: "tcp" | "udp", port: number) => ({
  protocol,
  outside: `203.0.113.1:${port}`,
  inside: "192.168.226.135:80",
});

/** Bytes of a frame that the program takes (bpf(4)); what it reads beyond the frame rejects it. */
function run(program: Uint8Array, frame: Buffer): number {
  const steps = new DataView(program.buffer, program.byteOffset, program.byteLength);
  let [a, x] = [0, 0];
  for (let at = 0; ; at++) {
    const [code, yes, no, k] = [
      steps.getUint16(at * 8, true),
      steps.getUint8(at * 8 + 2),
      steps.getUint8(at * 8 + 3),
      steps.getUint32(at * 8 + 4, true),
    ];
    const jump = (holds: boolean) => {
      at += holds ? yes : no;
    };
    try {
      if (code === 0x06) return k;
      if (code === 0x05) at += k;
      else if (code === 0x15) jump(a === k);
      else if (code === 0x25) jump(a > k);
      else if (code === 0x35) jump(a >= k);
      else if (code === 0x45) jump((a & k) !== 0);
      else if (code === 0x20) a = frame.readUInt32BE(k);
      else if (code === 0x28) a = frame.readUInt16BE(k);
      else if (code === 0x30) a = frame.readUInt8(k);
      else if (code === 0x48) a = frame.readUInt16BE(x + k);
      else if (code === 0x50) a = frame.readUInt8(x + k);
      else if (code === 0xb1) x = (frame.readUInt8(k) & 15) * 4;
      else throw new Error(`no operation ${code}`);
    } catch (error) {
      if (error instanceof RangeError) return 0;
      throw error;
    }
  }
}

interface Described {
  protocol?: number;
  to?: number;
  port?: number;
  /** ICMP: type, and identifier. */
  icmp?: readonly [type: number, id: number];
  offset?: number;
  options?: number;
  etherType?: number;
}

function frameOf({
  protocol = 6,
  to = ADDRESS,
  port = 0,
  icmp,
  offset = 0,
  options = 0,
  etherType = 0x0800,
}: Described) {
  const frame = Buffer.alloc(14 + 20 + options + 8);
  frame.writeUInt16BE(etherType, 12);
  frame[14] = 0x45 + options / 4;
  frame.writeUInt16BE(offset, 20);
  frame[23] = icmp === undefined ? protocol : 1;
  frame.writeUInt32BE(to, 30);
  const transport = frame.subarray(34 + options);
  if (icmp === undefined) {
    transport.writeUInt16BE(port, 2);
  } else {
    transport[0] = icmp[0];
    transport.writeUInt16BE(icmp[1], 4);
  }
  return frame;
}

test("what is for the gateway's ports is taken, what is the host's is not", () => {
  const own = ownPorts({ lo: 61000, hi: 65535 }, [
    forward("tcp", 8080),
    forward("tcp", 8081),
    forward("udp", 53),
  ]);
  deepEqual(own.tcp, [
    { lo: 8080, hi: 8081 },
    { lo: 61000, hi: 65535 },
  ]);
  const program = portFilter(ADDRESS, own);
  const takes = (described: Described) => run(program, frameOf(described)) === 0x40000;
  for (const options of [0, 40]) {
    for (const [protocol, ports] of [
      [6, [8080, 8081]],
      [17, [53]],
      [33, []],
      [132, []],
      [136, []],
    ] as const) {
      const taken = [0, 52, 53, 54, 8079, 8080, 8081, 8082, 60999, 61000, 65535].filter((port) =>
        takes({ protocol, port, options }),
      );
      deepEqual(taken, [...ports, 61000, 65535], `protocol ${protocol}`);
      equal(takes({ protocol, port: 61000, to: ADDRESS + 1, options }), false);
    }
    for (let type = 0; type < 20; type++) {
      const [isReply, isError] = [[0, 14].includes(type), [3, 4, 5, 11, 12].includes(type)];
      equal(takes({ icmp: [type, 61000], options }), isReply || isError, `ICMP ${type}`);
      equal(takes({ icmp: [type, 8080], options }), isError, `ICMP ${type}`);
    }
  }
  equal(takes({ protocol: 47 }), true);
  equal(takes({ port: 22, offset: 0x2000 }), false);
  equal(takes({ port: 22, offset: 0x2001 }), true);
  equal(takes({ etherType: 0x0806, to: 0 }), true);
  equal(takes({ etherType: 0x86dd, port: 61000 }), false);
  const short = frameOf({ port: 61000 });
  for (let length = 0; length < 38; length++) equal(run(program, short.subarray(0, length)), 0);
});

test("there is an end to separate places", () => {
  const scattered = (count: number) => Array.from({ length: count }, (_, i) => forward("tcp", 2 * i + 1));
  const range = { lo: 61000, hi: 65535 };
  const frame = frameOf({ port: 1021 });
  equal(run(portFilter(ADDRESS, ownPorts(range, scattered(511))), frame), 0x40000);
  throws(() => ownPorts(range, scattered(512)), { code: "NAT_ERR_GATEWAY", message: /513.*\(512\)/ });
});
