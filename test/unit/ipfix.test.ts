// IPFIX messages, byte by byte and by a collector of the test's own.
import { deepEqual, equal, ok } from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { parseIpv4 } from "../../src/config/cidr.js";
import { protocolNumber } from "../../src/conntrack.js";
import type { NatEvent } from "../../src/events/event.js";
import { IpfixEncoder, stamp, templateMessage } from "../../src/logs/ipfix.js";
import type { Chunk } from "../../src/logs/outbox.js";
import { EVENTS } from "../support/events.js";
import { IpfixCollector } from "../support/ipfix.js";

/** 2026-01-31T12:00:00.123Z */
const TIME = 1_769_860_800_123;

/** What events become, sent at TIME in domain 7; `sequence` goes on from message to message. */
function messagesOf(events: readonly NatEvent[], size = 1400, domain = 7): Chunk[] {
  const chunks: Chunk[] = [];
  const encoder = new IpfixEncoder(domain, size, (chunk) => chunks.push(chunk));
  for (const event of events) encoder.add(event, TIME + event.at);
  encoder.flush();
  encoder.flush();
  let sequence = 0;
  for (const { bytes, events } of chunks) {
    stamp(bytes, TIME, sequence);
    sequence += events;
  }
  return chunks;
}

const hex = (text: string) => text.replace(/#.*$/gm, "").replace(/\s/g, "");

test("a message with a session, as RFC 7011 and RFC 8158 have it, byte by byte", () => {
  const [message] = messagesOf([EVENTS.opened, { ...EVENTS.deleted, at: 1 }]);
  equal(
    Buffer.from(message!.bytes).toString("hex"),
    hex(`000a 004c      # version 10, 76 bytes
         697deec0       # export time, in seconds
         00000000       # sequence number
         00000007       # observation domain
         0100 003c      # set: template 256, 60 bytes
         0000019c13ec9e7b # observationTimeMilliseconds
         04             # natEvent: NAT44 session create
         11             # protocolIdentifier: UDP
         c0a8e287 0fa0  # 192.168.226.135, port 4000
         cb007101 9c40  # 203.0.113.1, port 40000
         c6336407 0035  # 198.51.100.7, port 53
         0000019c13ec9e7c 05 11 c0a8e287 0fa0 cb007101 9c40 c6336407 0035`),
  );
  equal(message!.events, 2);
});

test("the templates, byte by byte", () => {
  const { bytes, events } = templateMessage(7);
  stamp(bytes, TIME, 5);
  equal(
    Buffer.from(bytes).toString("hex"),
    hex(`000a 00d4 697deec0 00000005 00000007
         0002 00c4      # set: templates, 196 bytes
         0100 0009 0143 0008 00e6 0001 0004 0001 0008 0004 0007 0002 00e1 0004 00e3 0002 000c 0004 000b 0002
         0101 0007 0143 0008 00e6 0001 0004 0001 0008 0004 0007 0002 00e1 0004 00e3 0002
           0102 0008 0143 0008 00e6 0001 0008 0004 00e1 0004 0169 0002 016a 0002 016b 0002 016c 0002
           0103 0003 0143 0008 00e6 0001 011b 0004
           0104 0004 0143 0008 00e6 0001 00e1 0004 0004 0001
           0105 0006 0143 0008 00e6 0001 01d3 0004 01de 0004 00e1 0004 0004 0001
           0106 0004 0143 0008 00e6 0001 01d2 0004 0008 0004`),
  );
  equal(events, 0);
});

/** What a collector is to read of an event, by the numbers of IANA's registry; null: nothing. */
function expected(event: NatEvent): Record<number, number> | null {
  const time = { 323: TIME + event.at };
  const address = (text: string) => parseIpv4(text)!;
  if ("session" in event) {
    const natEvent = {
      "session-opened": 4,
      "session-expired": 5,
      "session-evicted": 5,
      "session-deleted": 5,
    }[event.type as string];
    if (natEvent === undefined) return null;
    const { protocol, inside, public: outer, remote } = event.session;
    return {
      ...time,
      230: natEvent,
      4: protocolNumber(protocol),
      8: address(inside.address),
      7: inside.port,
      225: address(outer.address),
      227: outer.port,
      12: address(remote.address),
      11: remote.port,
    };
  }
  switch (event.type) {
    case "binding-created":
    case "binding-released":
      return {
        ...time,
        230: event.type === "binding-created" ? 8 : 9,
        4: protocolNumber(event.protocol),
        8: address(event.inside.address),
        7: event.inside.port,
        225: address(event.public.address),
        227: event.public.port,
      };
    case "block-allocated":
    case "block-released":
      return {
        ...time,
        230: event.type === "block-allocated" ? 16 : 17,
        8: address(event.inside),
        225: address(event.address),
        361: event.ports[0],
        362: event.ports[1],
        363: 1,
        364: event.ports[1] - event.ports[0] + 1,
      };
    case "pool-exhausted":
      if (event.address === null) return { ...time, 230: 3, 283: 0 };
      return {
        ...time,
        230: 12,
        225: address(event.address),
        4: event.protocol === null ? 0 : protocolNumber(event.protocol),
      };
    case "pool-threshold":
      return {
        ...time,
        230: 18,
        467: 3,
        478: event.used,
        225: event.address === null ? 0 : address(event.address),
        4: event.protocol === null ? 0 : protocolNumber(event.protocol),
      };
    case "host-limit":
      return event.limit === "rate" ? null : { ...time, 230: 13, 466: 3, 8: address(event.inside) };
    default:
      return null;
  }
}

test("each kind of event is read as what it is", () => {
  const collector = new IpfixCollector();
  equal(collector.read(Buffer.from(templateMessage(7).bytes)).templates, 7);
  for (const event of Object.values(EVENTS)) {
    const read = messagesOf([event]).flatMap(({ bytes }) => [...collector.read(Buffer.from(bytes)).records]);
    const wanted = expected(event);
    deepEqual(
      read.map((record) => Object.fromEntries(record)),
      wanted === null ? [] : [wanted],
      event.type,
    );
  }
});

const address = fc.ipV4();
const port = fc.integer({ min: 0, max: 65_535 });
const endpoint = fc.record({ address, port });
const protocol = fc.constantFrom("tcp", "udp", "icmp", "sctp", "ip-4", "ip-255");
const events = fc.array(
  fc
    .record({
      event: fc.constantFrom(...Object.values(EVENTS)),
      at: fc.nat(1e9),
      protocol,
      inside: endpoint,
      public: endpoint,
      remote: endpoint,
      used: fc.nat(0xffffffff),
      pool: fc.option(address),
    })
    .map(({ event, at, pool, used, ...rest }): NatEvent => {
      if ("session" in event) return { ...event, at, session: { ...event.session, ...rest } } as NatEvent;
      if ("ports" in event) {
        const ports = [rest.inside.port, rest.public.port].sort((a, b) => a - b);
        return {
          ...event,
          at,
          inside: rest.inside.address,
          address: rest.public.address,
          ports,
        } as unknown as NatEvent;
      }
      if ("used" in event)
        return {
          ...event,
          at,
          address: pool,
          protocol: pool === null ? null : rest.protocol,
          used,
        } as NatEvent;
      if ("limit" in event) return { ...event, at, inside: rest.inside.address };
      return { ...event, at, ...rest } as NatEvent;
    }),
  { maxLength: 200 },
);

test("whatever the events and the size of messages, a collector reads just these events, in order", () => {
  fc.assert(
    fc.property(events, fc.integer({ min: 512, max: 3000 }), (events, size) => {
      const collector = new IpfixCollector();
      collector.read(Buffer.from(templateMessage(7).bytes));
      let sequence = 0;
      const read = messagesOf(events, size).flatMap(({ bytes, events }) => {
        ok(bytes.length <= size);
        const message = collector.read(Buffer.from(bytes));
        equal(message.records.length, events);
        equal(message.domain, 7);
        equal(message.time, Math.floor(TIME / 1000));
        equal(message.sequence, sequence);
        sequence += events;
        return [...message.records];
      });
      const wanted = events.map(expected).filter((record) => record !== null);
      deepEqual(
        read.map((record) => Object.fromEntries(record)),
        wanted,
      );
    }),
  );
});

test("no message is too long, wherever a set would begin", () => {
  const turns = Array.from({ length: 80 }, (_, i) => (i % 2 === 0 ? EVENTS.opened : EVENTS.bound));
  for (let size = 512; size < 600; size++) {
    ok(
      messagesOf(turns, size).every(({ bytes }) => bytes.length <= size),
      String(size),
    );
  }
});

test("a message is filled before another is begun", () => {
  const messages = messagesOf(
    Array.from({ length: 100 }, () => EVENTS.opened),
    1400,
  );
  // 28 bytes a record, 16 of the message's header and 4 of the set's.
  deepEqual(
    messages.map(({ events }) => events),
    [49, 49, 2],
  );
});
