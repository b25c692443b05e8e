// The DHCP server's answers, message by message (RFC 2131, sections 3 and 4.3).
import { deepEqual, equal, ok } from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { leasesFromJson, leasesToJson } from "../../src/gateway/dhcp/leases.js";
import { addresses, OPTION, readRequest, TYPE } from "../../src/gateway/dhcp/message.js";
import { type DhcpAnswer, DhcpServer } from "../../src/gateway/dhcp/server.js";
import { addressNumber, addressText } from "../support/packets.js";

const OWN = addressNumber("192.168.226.2");
const NETWORK = { address: OWN, network: addressNumber("192.168.226.0"), mask: 0xffffff00, mtu: 1400 };

function server(options = {}) {
  let now = 1000;
  const taken = new Set<number>();
  const warnings: string[] = [];
  const range = { low: addressNumber("192.168.226.100"), high: addressNumber("192.168.226.102") };
  const reservations = new Map([["02:00:00:00:00:09", addressNumber("192.168.226.9")]]);
  const all = { range, lease: 600, dns: [], domain: "", search: [], reservations, file: null, ...options };
  const dhcp = new DhcpServer(NETWORK, all, {
    isTaken: (address) => taken.has(address),
    warn: (text) => void warnings.push(text),
    clock: () => now,
  });
  const pass = (seconds: number) => {
    now += seconds;
  };
  return { dhcp, taken, warnings, pass };
}

interface Fields {
  readonly mac?: number;
  readonly requested?: string;
  readonly serverId?: string;
  readonly ciaddr?: string;
  readonly broadcast?: boolean;
  readonly more?: readonly (readonly [number, Buffer])[];
}

/** A client's message. */
function message(
  type: number,
  { mac = 7, requested, serverId, ciaddr, broadcast, more = [] }: Fields = {},
): Buffer {
  const bytes = Buffer.alloc(240);
  bytes.set([1, 1, 6]);
  bytes.writeUInt32BE(0x12345678, 4);
  if (broadcast) bytes[10] = 0x80;
  if (ciaddr !== undefined) bytes.writeUInt32BE(addressNumber(ciaddr), 12);
  bytes.set([2, 0, 0, 0, 0, mac], 28);
  bytes.writeUInt32BE(0x63825363, 236);
  const options: (readonly [number, Buffer])[] = [[OPTION.messageType, Buffer.from([type])], ...more];
  if (requested !== undefined) options.push([OPTION.requestedAddress, addresses([addressNumber(requested)])]);
  if (serverId !== undefined) options.push([OPTION.serverId, addresses([addressNumber(serverId)])]);
  const parts = options.flatMap(([option, value]) => [Buffer.from([option, value.length]), value]);
  return Buffer.concat([bytes, ...parts, Buffer.from([OPTION.end])]);
}

/** "offer 192.168.226.100 > 192.168.226.100", or "nothing". */
function say(answer: DhcpAnswer | null): string {
  if (answer === null) return "nothing";
  const names = Object.entries(TYPE).map(([name, type]) => [type, name] as const);
  const type = new Map<number, string>(names).get(answer.payload[242]!);
  const to = answer.broadcast ? "all" : addressText(answer.destination);
  return `${type} ${addressText(answer.payload.readUInt32BE(16))} > ${to}`;
}

const OURS = "192.168.226.2";
const lease = (dhcp: DhcpServer, mac: number) => {
  const offered = dhcp.answer(message(TYPE.discover, { mac }))!;
  const requested = addressText(offered.payload.readUInt32BE(16));
  return say(dhcp.answer(message(TYPE.request, { mac, requested, serverId: OURS })));
};

test("an offer, and what is asked for is given; by broadcast to who can't take unicast", () => {
  const { dhcp } = server();
  equal(say(dhcp.answer(message(TYPE.discover))), "offer 192.168.226.100 > 192.168.226.100");
  equal(say(dhcp.answer(message(TYPE.discover, { broadcast: true }))), "offer 192.168.226.100 > all");
  const request = { requested: "192.168.226.100", serverId: OURS };
  equal(say(dhcp.answer(message(TYPE.request, request))), "ack 192.168.226.100 > 192.168.226.100");
  // Renewing it speaks from its address; rebinding too.
  equal(
    say(dhcp.answer(message(TYPE.request, { ciaddr: "192.168.226.100" }))),
    "ack 192.168.226.100 > 192.168.226.100",
  );
  // After a reboot it only asks whether it may go on.
  equal(
    say(dhcp.answer(message(TYPE.request, { requested: "192.168.226.100" }))),
    "ack 192.168.226.100 > 192.168.226.100",
  );
});

test("what can't be had is refused, to all", () => {
  const { dhcp } = server();
  equal(lease(dhcp, 7), "ack 192.168.226.100 > 192.168.226.100");
  for (const requested of [
    "192.168.226.100",
    "192.168.226.9",
    "192.168.226.2",
    "192.168.226.50",
    "10.0.0.1",
  ]) {
    equal(say(dhcp.answer(message(TYPE.request, { mac: 8, requested }))), "nak 0.0.0.0 > all", requested);
  }
  equal(say(dhcp.answer(message(TYPE.request, { mac: 8 }))), "nothing");
});

test("who takes another server's offer gives ours back", () => {
  const { dhcp } = server();
  dhcp.answer(message(TYPE.discover));
  equal(dhcp.leases.size, 1);
  equal(
    say(dhcp.answer(message(TYPE.request, { requested: "192.168.226.77", serverId: "192.168.226.3" }))),
    "nothing",
  );
  equal(dhcp.leases.size, 0);
});

test("addresses go in turn, rest while they can, and come back to who had them", () => {
  const { dhcp, pass, warnings } = server();
  deepEqual(
    [1, 2, 3].map((mac) => lease(dhcp, mac).split(" ")[1]),
    ["192.168.226.100", "192.168.226.101", "192.168.226.102"],
  );
  equal(say(dhcp.answer(message(TYPE.discover, { mac: 4 }))), "nothing");
  equal(warnings.length, 1);
  dhcp.answer(message(TYPE.release, { mac: 2, ciaddr: "192.168.226.101" }));
  equal(lease(dhcp, 2).split(" ")[1], "192.168.226.101", "it is remembered");
  dhcp.answer(message(TYPE.release, { mac: 2, ciaddr: "192.168.226.102" }));
  equal(
    say(dhcp.answer(message(TYPE.discover, { mac: 4 }))),
    "nothing",
    "nobody gives back what is another's",
  );
  pass(599);
  equal(say(dhcp.answer(message(TYPE.discover, { mac: 4 }))), "nothing");
  pass(1);
  equal(lease(dhcp, 4).split(" ")[1], "192.168.226.100");
});

test("an offer stands for half a minute, and takes nothing from who has a lease", () => {
  const { dhcp, pass } = server();
  dhcp.answer(message(TYPE.discover, { mac: 1 }));
  for (const mac of [2, 3]) lease(dhcp, mac);
  equal(say(dhcp.answer(message(TYPE.discover, { mac: 4 }))), "nothing");
  pass(30);
  equal(lease(dhcp, 4).split(" ")[1], "192.168.226.100");
  dhcp.answer(message(TYPE.discover, { mac: 4 }));
  pass(31);
  equal(say(dhcp.answer(message(TYPE.discover, { mac: 5 }))), "nothing");
});

test("addresses that are somebody else's are left alone", () => {
  const { dhcp, taken, pass } = server();
  taken.add(addressNumber("192.168.226.100"));
  equal(say(dhcp.answer(message(TYPE.discover))), "offer 192.168.226.101 > 192.168.226.101");
  dhcp.answer(message(TYPE.decline, { requested: "192.168.226.101", serverId: OURS }));
  equal(say(dhcp.answer(message(TYPE.discover))), "offer 192.168.226.102 > 192.168.226.102");
  dhcp.answer(message(TYPE.decline, { requested: "192.168.226.102", serverId: OURS }));
  equal(say(dhcp.answer(message(TYPE.discover))), "nothing");
  pass(600);
  ok(say(dhcp.answer(message(TYPE.discover))).startsWith("offer"));
});

test("a reservation is its client's, and nobody else's", () => {
  const { dhcp } = server();
  equal(lease(dhcp, 9), "ack 192.168.226.9 > 192.168.226.9");
  equal(
    say(dhcp.answer(message(TYPE.request, { mac: 9, requested: "192.168.226.101" }))),
    "nak 0.0.0.0 > all",
  );
  equal(
    say(dhcp.answer(message(TYPE.discover, { mac: 8, requested: "192.168.226.9" }))),
    "offer 192.168.226.100 > 192.168.226.100",
  );
});

test("INFORM gets options and no lease", () => {
  const { dhcp } = server();
  const answer = dhcp.answer(message(TYPE.inform, { ciaddr: "192.168.226.50" }));
  equal(say(answer), "ack 0.0.0.0 > 192.168.226.50");
  ok(!answer!.payload.subarray(240).includes(Buffer.from([OPTION.leaseTime, 4])));
  equal(dhcp.leases.size, 0);
});

test("options in pieces and in borrowed fields are read; relays and damage are not", () => {
  const name = [OPTION.hostName, Buffer.from("ab")] as const;
  const request = readRequest(message(TYPE.discover, { more: [name, name] }))!;
  equal(request.hostName, "abab");
  const borrowed = message(TYPE.discover, { more: [[OPTION.overload, Buffer.from([3])]] });
  borrowed.set([OPTION.hostName, 1, 0x78, OPTION.end], 108);
  borrowed.set([OPTION.hostName, 1, 0x79, OPTION.end], 44);
  equal(readRequest(borrowed)!.hostName, "xy");
  const relayed = message(TYPE.discover);
  relayed[24] = 10;
  equal(readRequest(relayed), null);
  const whole = message(TYPE.discover);
  for (let length = 0; length < 243; length++) equal(readRequest(whole.subarray(0, length)), null);
});

test("no bytes make it fail, or lease what it does not have", () => {
  const { dhcp } = server();
  const whole = message(TYPE.request, { requested: "192.168.226.100", serverId: OURS });
  fc.assert(
    fc.property(
      fc.array(fc.tuple(fc.nat(whole.length - 1), fc.nat(255)), { maxLength: 12 }),
      fc.nat(400),
      (changes, length) => {
        const bytes = Buffer.from(whole);
        for (const [at, value] of changes) bytes[at] = value;
        dhcp.answer(bytes.subarray(0, length));
        for (const { address } of dhcp.leases) {
          ok(
            (address >= 0xc0a8e264 && address <= 0xc0a8e266) || address === 0xc0a8e209,
            addressText(address),
          );
        }
      },
    ),
    { seed: 1, numRuns: 5000 },
  );
});

test("leases come back from their file as they were", () => {
  const { dhcp } = server();
  for (const mac of [1, 2]) lease(dhcp, mac);
  dhcp.answer(message(TYPE.discover, { mac: 3 }));
  const kept = [...dhcp.leases].filter(({ offered }) => !offered);
  equal(kept.length, 2);
  deepEqual(leasesFromJson(leasesToJson(dhcp.leases)), kept);
});
