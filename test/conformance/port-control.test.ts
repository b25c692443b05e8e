// Port control: PCP (RFC 6887) and NAT-PMP (RFC 6886).
import { deepEqual, equal, notEqual, ok } from "node:assert/strict";
import { drops, passes, range } from "./lab.js";
import {
  filter,
  header,
  mapRequest,
  option,
  PortControl,
  PREFER_FAILURE,
  peerRequest,
  RESULT,
  THIRD_PARTY,
} from "./port-control-client.js";
import { row } from "./suite.js";
import { A, addressOf, at, inside, opening, portOf, tcp, udp, X, X2, Y, Z } from "./traffic.js";

const CLIENT = addressOf(X);
const EVERY_MAPPING = ["endpoint-independent", "address-dependent", "address-and-port-dependent"];

row("RFC6888-REQ-9", "a subscriber opens a port by PCP, and by NAT-PMP", () => {
  const control = new PortControl();
  const { outside } = control.map(X, { protocol: "tcp" });
  passes(control.nat.in(tcp(Z, outside, "S")));
  const { port } = control.pmpMap(X2, "udp");
  equal(passes(control.nat.in(udp(Z, at(A, port)))).destination, X2);
});

row("RFC6887-S7", "ANNOUNCE, MAP and PEER are answered with R, the epoch and reserved fields of 0", () => {
  const control = new PortControl();
  control.ask(header(0, 0, CLIENT));
  const { lifetime, epoch } = control.map(X);
  deepEqual([lifetime, epoch], [3600, 0]);
  control.peer(X2, Y);
  const announcement = control.server.announcement(5000);
  deepEqual([...announcement.subarray(0, 4)], [2, 128, 0, 0]);
  equal(announcement.length, 24);
  equal(announcement.readUInt32BE(8), 5);
});

row("RFC6887-S7", "reserved fields are ignored", () => {
  const control = new PortControl();
  const request = mapRequest(X);
  request[2] = 1;
  request[3] = 2;
  request.fill(3, 24 + 13, 24 + 16);
  equal(control.ask(request).result, RESULT.SUCCESS);
});

row("RFC6887-S7", "lengths: more than 1100, no multiple of 4, too short for the opcode", () => {
  const control = new PortControl();
  const long = (count: number) => mapRequest(X, { options: [option(200, Buffer.alloc(count))] });
  equal(control.ask(long(1100 - 60 - 4)).result, RESULT.SUCCESS);
  equal(control.refused(long(1104 - 60 - 4)), RESULT.MALFORMED_REQUEST);
  equal(control.refused(mapRequest(X2).subarray(0, 59)), RESULT.MALFORMED_REQUEST);
  equal(control.refused(mapRequest(X2).subarray(0, 56)), RESULT.MALFORMED_REQUEST);
  equal(control.refused(peerRequest(X2, Y).subarray(0, 76)), RESULT.MALFORMED_REQUEST);
  equal(control.nat.sessions.length, 1);
});

row("RFC6887-S8.2", "responses, stumps and requests from outside are dropped", () => {
  const control = new PortControl();
  equal(control.send(Buffer.alloc(0), CLIENT), null);
  equal(control.send(Buffer.from([2]), CLIENT), null);
  for (const length of [2, 8, 23]) equal(control.send(mapRequest(X).subarray(0, length), CLIENT), null);
  const response = mapRequest(X);
  response[1]! |= 0x80;
  equal(control.send(response, CLIENT), null);
  for (const address of [A, addressOf(Y), "0.0.0.0"]) {
    equal(control.send(mapRequest(at(address, 4000)), address), null);
  }
  equal(control.nat.sessions.length, 0);
});

row("RFC6887-S8.2", "unknown versions and opcodes, an address that is not the sender's", () => {
  const control = new PortControl();
  for (const version of [1, 3, 255]) {
    const request = mapRequest(X);
    request[0] = version;
    equal(control.refused(request), RESULT.UNSUPP_VERSION);
  }
  for (const opcode of [3, 96, 127]) equal(control.refused(header(opcode, 0, CLIENT)), RESULT.UNSUPP_OPCODE);
  equal(control.refused(mapRequest(X), addressOf(X2)), RESULT.ADDRESS_MISMATCH);
  const six = mapRequest(X);
  six.fill(0x20, 8, 24);
  equal(control.refused(six, CLIENT), RESULT.ADDRESS_MISMATCH);
  equal(control.nat.sessions.length, 0);
});

row("RFC6887-S7.3", "an unknown mandatory option is refused, an optional one ignored", () => {
  const control = new PortControl();
  for (const code of [0, 4, 127]) {
    equal(control.refused(mapRequest(X, { options: [option(code)] })), RESULT.UNSUPP_OPTION);
  }
  equal(control.nat.sessions.length, 0);
  for (const code of [128, 255]) control.map(X, { options: [option(code, Buffer.alloc(7))] });
});

row("RFC6887-S7.3", "options that are cut, twice there or of a wrong length change nothing", () => {
  const control = new PortControl();
  const cut = option(3, Buffer.alloc(20));
  cut.writeUInt16BE(24, 2);
  const misshapen = [
    [cut],
    [option(2, Buffer.alloc(4))],
    [PREFER_FAILURE, PREFER_FAILURE],
    [option(3, Buffer.alloc(16))],
    [filter(addressOf(Y), 33)],
    [filter(addressOf(Y), -1)],
  ];
  for (const options of misshapen) {
    equal(control.refused(mapRequest(X, { options })), RESULT.MALFORMED_OPTION);
  }
  const renewed = control.map(X, { lifetime: 1000 });
  equal(control.refused(mapRequest(X, { lifetime: 3600, options: [option(4)] })), RESULT.UNSUPP_OPTION);
  control.nat.at(1001);
  drops(control.nat.in(udp(Y, renewed.outside)), "no-mapping");
  equal(control.refused(peerRequest(X, Y, { options: [PREFER_FAILURE] })), RESULT.MALFORMED_OPTION);
});

row("RFC6887-S8.5", "the epoch counts seconds, and begins again when a new config has ended mappings", () => {
  const control = new PortControl();
  equal(control.map(X).epoch, 0);
  control.nat.at(100);
  equal(control.ask(header(0, 0, CLIENT)).epoch, 100);
  control.nat.change({ timeouts: { udp: 200 } });
  control.nat.at(200);
  equal(control.ask(header(0, 0, CLIENT)).epoch, 200, "nothing was lost");
  control.nat.change({ outside: ["203.0.113.9"] });
  control.nat.at(300);
  equal(control.ask(header(0, 0, CLIENT)).epoch, 0, "the mapping was lost");
  control.nat.at(301);
  equal(control.map(X).epoch, 1);
});

row("RFC6887-S8.5", "mappings are kept by a new config, with lifetime, filters and owner", () => {
  const control = new PortControl();
  const { outside } = control.map(X, { options: [filter(addressOf(Y))] });
  control.nat.change({ mapping: "address-and-port-dependent" });
  passes(control.nat.in(udp(Y, outside)));
  drops(control.nat.in(udp(Z, outside)), "filtered");
  equal(control.refused(mapRequest(X, { nonce: 2 })), RESULT.NOT_AUTHORIZED);
  equal(control.map(X).outside, outside);
  control.nat.at(3600);
  drops(control.nat.in(udp(Y, outside)), "no-mapping");
});

row("RFC6887-S11.3-NEW", "the suggested endpoint, if it is free; else another", () => {
  const control = new PortControl({ outside: [A, "203.0.113.2"] });
  const wished = "203.0.113.2:7777";
  equal(control.map(X, { suggested: wished }).outside, wished);
  const other = control.map(X2, { suggested: wished }).outside;
  notEqual(other, wished);
  equal(passes(control.nat.in(udp(Y, other))).destination, X2);
  // Not the NAT's at all, or outside its range.
  ok([A, "203.0.113.2"].includes(addressOf(control.map(inside(3), { suggested: "192.0.2.1:80" }).outside)));
  const small = new PortControl({ outside: [{ address: A, ports: "20000-20100" }] });
  const { outside } = small.map(X, { suggested: at(A, 80) });
  ok(portOf(outside) >= 20000 && portOf(outside) <= 20100);
});

row("RFC6887-S11.3-NEW", "a port of an address, without one suggested, and an address without a port", () => {
  const control = new PortControl({ outside: [A, "203.0.113.2"] });
  equal(portOf(control.map(X, { suggested: "0.0.0.0:7777" }).outside), 7777);
  equal(addressOf(control.map(X2, { suggested: "203.0.113.2:0" }).outside), "203.0.113.2");
});

row("RFC6887-S11.3-SAME", "asked again: the same mapping with a new lifetime, for its owner only", () => {
  const control = new PortControl();
  const first = control.map(X, { lifetime: 600 });
  control.nat.at(500);
  const again = control.map(X, { lifetime: 600, suggested: at(A, 9999) });
  deepEqual([again.outside, again.lifetime], [first.outside, 600]);
  equal(control.refused(mapRequest(X, { nonce: 2 })), RESULT.NOT_AUTHORIZED);
  equal(control.refused(mapRequest(X, { nonce: 2, lifetime: 0 })), RESULT.NOT_AUTHORIZED);
  control.nat.at(1099);
  passes(control.nat.in(udp(Y, first.outside)));
  control.nat.at(1100);
  drops(control.nat.in(udp(Y, first.outside)), "no-mapping");
  // Nobody's any more: anybody may have it.
  control.map(X, { nonce: 2 });
});

row("RFC6887-S11.3-SAME", "an endpoint that has an implicit mapping gets that", () => {
  const control = new PortControl();
  const outside = control.nat.map("udp", X, Y);
  equal(control.map(X).outside, outside);
  equal(control.nat.map("udp", X, Z), outside);
});

row("RFC6887-S11.3-SAME", "the mapping is the same for all remotes, however the NAT maps", () => {
  for (const mapping of EVERY_MAPPING) {
    for (const protocol of ["udp", "tcp"] as const) {
      const overloading = mapping !== "endpoint-independent";
      const control = new PortControl({ mapping, portAssignment: { overloading } });
      const { outside } = control.map(X, { protocol });
      for (const to of [Y, Z, at(Z, 6000)]) equal(control.nat.map(protocol, X, to), outside);
    }
  }
});

row("RFC6887-S11.3-STATIC", "forwards and 1:1 mappings are told as they are, and not deleted", () => {
  const control = new PortControl({
    forwards: [{ protocol: "udp", outside: at(A, 5000), inside: X }],
    static: [{ outside: "203.0.113.9", inside: addressOf(X2) }],
  });
  const forward = control.map(X, { suggested: at(A, 9999) });
  deepEqual([forward.outside, forward.lifetime], [at(A, 5000), 0xffffffff]);
  const one = control.map(X2, { protocol: "tcp" });
  deepEqual([one.outside, one.lifetime], ["203.0.113.9:4000", 0xffffffff]);
  equal(control.refused(mapRequest(X, { lifetime: 0 })), RESULT.NOT_AUTHORIZED);
  passes(control.nat.in(udp(Y, at(A, 5000))));
});

row("RFC6887-S11.3-PROTO", "UDP is not mapped with TCP, nor TCP with UDP", () => {
  for (const [asked, other] of [
    ["udp", "tcp"],
    ["tcp", "udp"],
  ] as const) {
    const control = new PortControl();
    const { outside } = control.map(X, { protocol: asked });
    drops(control.nat.in(opening(other, Y, outside)), "no-mapping");
  }
});

row("RFC6887-S11.3-PROTO", "UDP 5350 and 5351 are nobody's, TCP's are free", () => {
  const control = new PortControl({ portAssignment: { preserve: true } });
  for (const port of [5350, 5351]) {
    const host = at(X, port);
    ok(![5350, 5351].includes(portOf(control.map(host, { suggested: at(A, port) }).outside)));
    equal(
      control.refused(mapRequest(at(X2, port), { suggested: at(A, port), options: [PREFER_FAILURE] })),
      RESULT.CANNOT_PROVIDE_EXTERNAL,
    );
    equal(portOf(control.map(host, { protocol: "tcp", suggested: at(A, port) }).outside), port);
  }
});

row("RFC6887-S11.3-PROTO", "protocols without ports that a NAT can choose", () => {
  const control = new PortControl({ protocols: { sctp: true } });
  for (const protocol of ["icmp", "sctp", 47, 33] as const) {
    equal(control.refused(mapRequest(X, { protocol })), RESULT.UNSUPP_PROTOCOL);
  }
  equal(control.refused(mapRequest(at(X, 0))), RESULT.UNSUPP_PROTOCOL);
  equal(control.refused(mapRequest(at(X, 0), { protocol: 0 })), RESULT.UNSUPP_PROTOCOL);
  equal(control.refused(mapRequest(X, { protocol: 0 })), RESULT.MALFORMED_REQUEST);
});

row("RFC6887-S11-INBOUND", "anybody is let in, however the NAT maps and filters", () => {
  for (const mapping of EVERY_MAPPING) {
    for (const filtering of EVERY_MAPPING) {
      const control = new PortControl({ mapping, filtering });
      for (const protocol of ["udp", "tcp"] as const) {
        const { outside } = control.map(X, { protocol });
        for (const from of [Y, Z, at(Z, 1)]) {
          const came = passes(control.nat.in(opening(protocol, from, outside)));
          equal(came.destination, X);
          equal(passes(control.nat.out(came.reply)).source, outside);
        }
      }
      passes(control.nat.out(udp(X2, control.map(X).outside)), "hairpinned");
    }
  }
});

row("RFC6887-S12", "PEER makes the mapping of a flow before its first packet", () => {
  for (const mapping of EVERY_MAPPING) {
    for (const protocol of ["udp", "tcp"] as const) {
      const control = new PortControl({ mapping });
      const { outside, lifetime } = control.peer(X, Y, { protocol, lifetime: 10_000 });
      equal(lifetime, 10_000);
      control.nat.at(9000);
      equal(passes(control.nat.out(opening(protocol, X, Y))).source, outside);
      passes(control.nat.in(protocol === "tcp" ? tcp(Y, outside, "SA") : udp(Y, outside)));
      drops(control.nat.in(opening(protocol, Z, outside)), "filtered");
    }
  }
});

row("RFC6887-S12", "PEER extends the mapping of a flow; neither a short lifetime nor 0 takes from it", () => {
  const control = new PortControl();
  const outside = control.nat.map("udp", X, Y);
  for (const lifetime of [0, 120]) {
    const told = control.peer(X, Y, { lifetime });
    deepEqual([told.outside, told.lifetime], [outside, 300]);
  }
  equal(control.peer(X, Y, { lifetime: 5000 }).lifetime, 5000);
  control.nat.at(100);
  control.nat.out(udp(X, Y));
  equal(control.peer(X, Y, { lifetime: 0 }).lifetime, 4900);
  control.nat.at(4999);
  passes(control.nat.in(udp(Y, outside)));
  control.nat.at(5000);
  drops(control.nat.in(udp(Y, outside)), "no-mapping");
});

row("RFC6887-S12", "PEER with a short lifetime extends a flow that is about to end", () => {
  const control = new PortControl();
  const outside = control.nat.map("udp", X, Y);
  control.nat.at(250);
  equal(control.peer(X, Y, { lifetime: 120 }).lifetime, 120);
  control.nat.at(369);
  passes(control.nat.in(udp(Y, outside)));
  control.nat.at(370);
  drops(control.nat.in(udp(Y, outside)), "no-mapping");
});

row("RFC6887-S12", "PEER with a suggested endpoint: that, or CANNOT_PROVIDE_EXTERNAL", () => {
  const control = new PortControl();
  equal(control.peer(X, Y, { suggested: at(A, 7777) }).outside, at(A, 7777));
  equal(control.refused(peerRequest(X2, Y, { suggested: at(A, 7777) })), RESULT.CANNOT_PROVIDE_EXTERNAL);
});

row("RFC6887-S12", "PEER without a peer", () => {
  const control = new PortControl();
  equal(control.refused(peerRequest(X, at(Y, 0))), RESULT.MALFORMED_REQUEST);
  equal(control.refused(peerRequest(X, at("0.0.0.0", 1))), RESULT.MALFORMED_REQUEST);
  equal(control.refused(peerRequest(X, X2)), RESULT.MALFORMED_REQUEST);
  equal(control.nat.sessions.length, 0);
});

row("RFC6887-S13.1", "THIRD_PARTY is refused, for others and for oneself", () => {
  const control = new PortControl();
  for (const address of [addressOf(X2), CLIENT]) {
    equal(control.refused(mapRequest(X, { options: [THIRD_PARTY(address)] })), RESULT.UNSUPP_OPTION);
  }
  equal(control.nat.sessions.length, 0);
});

row("RFC6887-S13.2", "PREFER_FAILURE with a taken port, a foreign address, another mapping", () => {
  const control = new PortControl();
  const options = [PREFER_FAILURE];
  const told = control.map(X, { suggested: at(A, 7777), options });
  equal(told.outside, at(A, 7777));
  ok(told.answer.includes(PREFER_FAILURE), "the option is in the answer");
  equal(control.map(X, { suggested: at(A, 7777), options }).outside, at(A, 7777));
  for (const [host, suggested] of [
    [X2, at(A, 7777)],
    [X2, "203.0.113.2:7778"],
    [X, at(A, 7778)],
  ] as const) {
    equal(control.refused(mapRequest(host, { suggested, options })), RESULT.CANNOT_PROVIDE_EXTERNAL);
  }
  equal(control.nat.sessions.length, 1);
  equal(control.refused(mapRequest(X2, { options })), RESULT.MALFORMED_OPTION, "insists on nothing");
});

row("RFC6887-S13.3", "a filter lets in its remote, its prefix, its port, and nobody else", () => {
  const control = new PortControl();
  const one = control.map(X, { options: [filter(addressOf(Y))] });
  passes(control.nat.in(udp(Y, one.outside)));
  passes(control.nat.in(udp(at(Y, 1), one.outside)));
  drops(control.nat.in(udp(Z, one.outside)), "filtered");
  const port = control.map(X2, { protocol: "tcp", options: [filter("198.51.100.128", 25, 5000)] });
  passes(control.nat.in(tcp("198.51.100.200:5000", port.outside, "S")));
  drops(control.nat.in(tcp("198.51.100.200:5001", port.outside, "S")), "filtered");
  drops(control.nat.in(tcp("198.51.100.127:5000", port.outside, "S")), "filtered");
});

row("RFC6887-S13.3", "filters add up, are kept, can be taken away, and are not endless", () => {
  const control = new PortControl();
  const { outside } = control.map(X, { options: [filter(addressOf(Y))] });
  control.map(X, { options: [filter(addressOf(Z))] });
  control.map(X);
  for (const from of [Y, Z]) passes(control.nat.in(udp(from, outside)));
  drops(control.nat.in(udp("198.51.100.3:1", outside)), "filtered");
  equal(control.refused(mapRequest(X, { options: [filter("198.51.100.3")] })), RESULT.EXCESSIVE_REMOTE_PEERS);
  control.map(X, { options: [filter("0.0.0.0", null), filter("198.51.100.3")] });
  passes(control.nat.in(udp("198.51.100.3:1", outside)));
  drops(control.nat.in(udp(Y, outside)), "filtered");
  control.map(X, { options: [filter("0.0.0.0", null)] });
  passes(control.nat.in(udp(Y, outside)));
});

row("RFC6887-S15", "a mapping lives as long as was told, 120 s to a day", () => {
  for (const [asked, told] of [
    [1, 120],
    [120, 120],
    [7200, 7200],
    [0xffffffff, 86_400],
  ] as const) {
    const control = new PortControl();
    const { outside, lifetime } = control.map(X, { lifetime: asked });
    equal(lifetime, told);
    control.nat.at(told - 1);
    passes(control.nat.in(udp(Y, outside)));
    control.nat.at(told);
    drops(control.nat.in(udp(Y, outside)), "no-mapping");
  }
  equal(new PortControl({}, { minLifetime: 5, maxLifetime: 10 }).map(X, { lifetime: 100 }).lifetime, 10);
});

row("RFC6887-S15", "whole seconds by a clock of fractions", () => {
  const control = new PortControl();
  for (const n of range(200)) {
    control.nat.wait(0.777);
    const now = control.nat.now + n / 7;
    const answer = control.server.answer(mapRequest(X, { lifetime: 600 }), { address: CLIENT }, now)!;
    equal(answer.readUInt32BE(4), 600);
  }
});

row("RFC6887-S15", "lifetime 0 deletes at once, twice too; the port rests", () => {
  const control = new PortControl();
  const { outside } = control.map(X, { suggested: at(A, 7777) });
  equal(control.map(X, { lifetime: 0 }).lifetime, 0);
  drops(control.nat.in(udp(Y, outside)), "no-mapping");
  control.map(X, { lifetime: 0 });
  notEqual(control.map(X2, { suggested: outside }).outside, outside);
});

row("RFC6887-S15", "a deleted mapping's flows go on until they are idle, but let in nobody else", () => {
  for (const mapping of EVERY_MAPPING) {
    const control = new PortControl({ mapping });
    const { outside } = control.map(X);
    equal(control.nat.map("udp", X, Y), outside);
    control.map(X, { lifetime: 0 });
    passes(control.nat.in(udp(Y, outside)));
    drops(control.nat.in(udp(Z, outside)), "filtered");
    equal(control.nat.map("udp", X, Y), outside);
    control.nat.at(300);
    drops(control.nat.in(udp(Y, outside)), "no-mapping");
  }
});

row("RFC6887-S15", "port 0 and protocol 0 delete all that the nonce owns", () => {
  const control = new PortControl();
  const all = [
    control.map(X),
    control.map(at(X, 4001)),
    control.map(X, { protocol: "tcp" }),
    control.map(at(X, 4002), { nonce: 2 }),
  ].map(({ outside }) => outside);
  const open = () =>
    all.map((outside, i) => control.nat.in(opening(i === 2 ? "tcp" : "udp", Y, outside)).cameThrough);
  control.map(at(X, 0), { lifetime: 0 });
  deepEqual(open(), [false, false, true, true]);
  control.map(at(X, 0), { lifetime: 0, protocol: 0 });
  control.nat.at(241); // until the connection that was begun is over
  deepEqual(open(), [false, false, false, true]);
});

row("RFC6887-S17.2", "a host's quota, and the end of resources", () => {
  const quota = new PortControl({ limits: { portsPerHost: 3 } });
  for (const n of range(3)) quota.map(at(X, 4000 + n));
  equal(quota.refused(mapRequest(at(X, 5000))), RESULT.USER_EX_QUOTA);
  quota.map(X2);
  const table = new PortControl({ limits: { sessions: 2 } });
  for (const n of range(2)) table.map(inside(n));
  equal(table.refused(mapRequest(inside(3))), RESULT.NO_RESOURCES);
  const ports = new PortControl({
    outside: [{ address: A, ports: "20000-20001" }],
    portAssignment: { parity: false },
  });
  for (const n of range(2)) ports.map(inside(n));
  equal(ports.refused(mapRequest(inside(3))), RESULT.NO_RESOURCES);
});

row("RFC6887-S17.2", "mappings of a host lie in its port blocks", () => {
  const control = new PortControl({ portAssignment: { blockSize: 64 } });
  const first = portOf(control.map(X).outside);
  const block = first - ((first - 1024) % 64);
  for (const n of range(10)) {
    const port = portOf(control.map(at(X, 4000 + n)).outside);
    ok(port >= block && port < block + 64);
  }
  control.map(X2);
  const foreign = control.map(X2, { suggested: at(A, block + 63) }).outside;
  notEqual(foreign, at(A, block + 63));
});

row("RFC6887-A", "version 0 is answered as NAT-PMP, version 2 as PCP", () => {
  const control = new PortControl();
  equal(control.send(Buffer.from([0, 0]), CLIENT)![0], 0);
  equal(control.send(header(0, 0, CLIENT), CLIENT)![0], 2);
  // Two faces of one table.
  const { port } = control.pmpMap(X, "udp");
  equal(portOf(control.map(X).outside), port);
  equal(control.pmpMap(X, "udp").result, 2, "a nonce owns it now");
});

row("RFC6886-S3.2", "the outside address of each host, and seconds since the start", () => {
  const control = new PortControl({
    outside: [A, "203.0.113.2"],
    static: [{ outside: "203.0.113.9", inside: addressOf(inside(9)) }],
  });
  equal(control.pmpAddress(addressOf(inside(9))).address, "203.0.113.9");
  for (const n of range(4)) {
    const outside = control.nat.map("udp", inside(n), Y);
    equal(control.pmpAddress(addressOf(inside(n))).address, addressOf(outside));
  }
  control.nat.at(77);
  deepEqual(control.pmpAddress(addressOf(inside(8))), { result: 0, epoch: 77, address: A });
});

row("RFC6886-S3.3", "two hosts want one port: the first gets it, for both protocols", () => {
  const control = new PortControl();
  equal(control.pmpMap(X, "udp", { port: 7777 }).port, 7777);
  for (const protocol of ["udp", "tcp"] as const) {
    const { result, port } = control.pmpMap(X2, protocol, { port: 7777 });
    equal(result, 0);
    notEqual(port, 7777);
  }
  drops(control.nat.in(tcp(Y, at(A, 7777), "S")), "filtered");
  equal(control.pmpMap(X, "tcp", { port: 7777 }).port, 7777);
  equal(passes(control.nat.in(tcp(Y, at(A, 7777), "S"))).destination, X);
  equal(passes(control.nat.in(udp(Y, at(A, 7777)))).destination, X);
});

row("RFC6886-S3.3", "repeated, the same answer; the sender is the inside host", () => {
  const control = new PortControl();
  const first = control.pmpMap(X, "tcp", { port: 80 });
  control.nat.at(60);
  deepEqual(control.pmpMap(X, "tcp", { port: 81 }), { ...first, epoch: 60 });
  equal(control.nat.sessions.filter(({ inside: { address } }) => address !== CLIENT).length, 0);
});

row("RFC6886-S3.3", "a flow's own port for the other protocol is no obstacle", () => {
  const control = new PortControl();
  const flow = control.nat.map("udp", X, Y);
  const { result, port } = control.pmpMap(X, "tcp");
  equal(result, 0);
  passes(control.nat.in(tcp(Z, at(A, port), "S")));
  equal(control.nat.map("udp", X, Z), flow);
});

row("RFC6886-S3.3-LIFE", "a mapping and its companion go at the end of their lifetime", () => {
  const control = new PortControl();
  const { port, lifetime } = control.pmpMap(X, "udp");
  equal(lifetime, 7200);
  control.nat.at(7199);
  passes(control.nat.in(udp(Y, at(A, port))));
  control.nat.at(7201);
  drops(control.nat.in(udp(Y, at(A, port))), "no-mapping");
  equal(control.nat.sessions.length, 0);
});

row("RFC6886-S3.4", "lifetime 0 deletes a mapping, and only that", () => {
  const control = new PortControl();
  const udpPort = control.pmpMap(X, "udp").port;
  equal(control.pmpMap(X, "tcp").port, udpPort);
  for (let twice = 0; twice < 2; twice++) {
    deepEqual(control.pmpMap(X, "udp", { lifetime: 0 }), { result: 0, epoch: 0, port: 0, lifetime: 0 });
  }
  ok(!control.nat.in(udp(Y, at(A, udpPort))).cameThrough);
  passes(control.nat.in(tcp(Y, at(A, udpPort), "S")));
  control.nat.wait(241);
  equal(control.pmpMap(X, "tcp", { lifetime: 0 }).result, 0);
  equal(control.nat.sessions.length, 0, "the companions are gone too");
});

row("RFC6886-S3.4", "port 0 deletes all of the protocol", () => {
  const control = new PortControl();
  const ports = range(3).map((n) => control.pmpMap(at(X, 4000 + n), "udp").port);
  const kept = control.pmpMap(at(X, 4000), "tcp").port;
  const others = control.pmpMap(X2, "udp").port;
  equal(control.pmpMap(at(X, 0), "udp", { lifetime: 0 }).result, 0);
  for (const port of ports) ok(!control.nat.in(udp(Y, at(A, port))).cameThrough);
  passes(control.nat.in(tcp(Y, at(A, kept), "S")));
  passes(control.nat.in(udp(Y, at(A, others))));
});

row("RFC6886-S3.4", "what is not the client's can't be deleted", () => {
  const control = new PortControl({ forwards: [{ protocol: "udp", outside: at(A, 5000), inside: X }] });
  equal(control.pmpMap(X, "udp", { lifetime: 0 }).result, 2);
  passes(control.nat.in(udp(Y, at(A, 5000))));
  control.map(X2);
  equal(control.pmpMap(X2, "udp", { lifetime: 0 }).result, 2);
  equal(control.pmpMap(at(X2, 0), "udp", { lifetime: 0 }).result, 2);
});

row("RFC6886-S3.5", "unknown opcodes, stumps, responses, requests from outside, no resources", () => {
  const control = new PortControl({ limits: { sessions: 1 } });
  for (const opcode of [3, 127]) {
    const answer = control.send(Buffer.from([0, opcode, 0, 0]), CLIENT)!;
    deepEqual([...answer.subarray(0, 4)], [0, opcode + 128, 0, 5]);
  }
  equal(control.send(Buffer.from([0, 1, 0, 0]), CLIENT), null);
  equal(control.send(Buffer.from([0, 128]), CLIENT), null);
  equal(control.send(Buffer.from([0, 0]), addressOf(Y)), null);
  control.nat.map("udp", X2, Y);
  equal(control.pmpMap(X, "tcp").result, 4);
});
