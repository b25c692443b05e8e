import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { Nat, type Verdict } from "../../src/index.js";
import {
  checksumError,
  decode,
  describe,
  echo,
  endpoints,
  endpointText,
  fragments,
  fullChecksums,
  headerChecksumOf,
  hex,
  reassemble,
  replaceFields,
  replyTo,
  setHeaderChecksum,
  setTransportChecksum,
  tcp,
  transportChecksumIn,
  transportChecksumOf,
  udp,
} from "../support/packets.js";
import { check } from "./world.js";

const CONFIG = { inside: ["10.0.0.0/8"], outside: ["203.0.113.1"] };
const PUBLIC = "203.0.113.1";

const bytes = (max: number) => fc.uint8Array({ maxLength: max });
const words = (max: number) =>
  fc.array(fc.nat(255), { maxLength: max * 4 }).map((all) => Uint8Array.from(all.slice(0, all.length & ~3)));
/** Options a router ignores: no-operation and end, any number of 32-bit words. */
const ipOptions = fc.nat({ max: 10 }).map((count) => new Uint8Array(count * 4).fill(1));
const payload = fc.oneof(
  bytes(40),
  fc.nat({ max: 40 }).map((length) => new Uint8Array(length)),
  fc.nat({ max: 41 }).map((length) => new Uint8Array(length).fill(255)),
);
const port = fc.oneof(fc.integer({ min: 1, max: 65535 }), fc.constantFrom(1, 1023, 1024, 65535));
const address = fc.tuple(fc.nat(255), fc.nat(255), fc.integer({ min: 1, max: 254 }));
const host = address.map(([a, b, c]) => `10.${a}.${b}.${c}`);
const remote = address.map(([a, b, c]) => `${a % 2 === 0 ? 198 : 100}.${b}.${a}.${c}`);
const header = fc.record({
  ttl: fc.integer({ min: 2, max: 255 }),
  id: fc.nat(65535),
  tos: fc.nat(255),
  df: fc.boolean(),
  options: ipOptions,
});

/** A valid packet that leaves. */
const outbound: fc.Arbitrary<Uint8Array> = fc
  .tuple(
    header,
    host,
    port,
    remote,
    port,
    payload,
    fc.record({
      protocol: fc.constantFrom("udp", "udp unsummed", "tcp", "echo"),
      flags: fc.subarray([..."FSPAUEC"]).map((letters) => letters.join("")),
      seq: fc.nat(0xffffffff),
      ack: fc.nat(0xffffffff),
      window: fc.nat(65535),
      urgent: fc.nat(65535),
      tcpOptions: words(10),
      identifier: fc.nat(65535),
      sequence: fc.nat(65535),
    }),
  )
  .map(([fields, source, sport, target, dport, data, more]) => {
    const common = { ...fields, src: `${source}:${sport}`, dst: `${target}:${dport}`, payload: data };
    const { protocol, identifier, sequence, ...segment } = more;
    if (protocol === "tcp") return tcp({ ...common, ...segment });
    if (protocol === "echo") return echo({ ...common, identifier, sequence });
    return udp({ ...common, ...(protocol === "udp" ? {} : { checksum: 0 }) });
  });

function through(nat: Nat, packet: Uint8Array, options = {}): { verdict: Verdict; packet: Uint8Array } {
  const copy = new Uint8Array(packet);
  return { verdict: nat.translate(copy, { now: 0, ...options }), packet: copy };
}

function withNat<T>(config: object, seed: number, action: (nat: Nat) => T): T {
  const nat = new Nat({ ...CONFIG, ...config }, { seed });
  try {
    return action(nat);
  } finally {
    nat.close();
  }
}

/** The fields that may change have; everything else and all checksums are as recomputed. */
function checkOutbound(before: Uint8Array, after: Uint8Array, label = describe(before)): void {
  const { src } = endpoints(decode(after));
  assert.equal(src.address, PUBLIC, label);
  assert.ok(src.port >= 1024, label);
  const expected = fullChecksums(replaceFields(before, { src, ttl: before[8]! - 1 }));
  assert.equal(hex(after), hex(expected), label);
}

test("an outbound packet: address, port, TTL and checksums change, and nothing else", () => {
  check(
    fc.property(outbound, fc.nat(), (packet, seed) => {
      withNat({}, seed, (nat) => {
        const out = through(nat, packet);
        assert.deepEqual(
          out.verdict,
          { verdict: "forwarded", direction: "outbound", reason: null },
          describe(packet),
        );
        checkOutbound(packet, out.packet);
      });
    }),
    4000,
  );
});

test("the answer is restored to the inside endpoint, byte for byte", () => {
  check(
    fc.property(outbound, fc.nat(), fc.integer({ min: 2, max: 255 }), (packet, seed, ttl) => {
      withNat({}, seed, (nat) => {
        const out = through(nat, packet).packet;
        const answer = through(nat, replyTo(out, { ttl }));
        assert.deepEqual(
          answer.verdict,
          { verdict: "forwarded", direction: "inbound", reason: null },
          describe(packet),
        );
        // What the far end would have said to the inside host without a NAT in between.
        assert.equal(hex(answer.packet), hex(replyTo(packet, { ttl: ttl - 1 })), describe(packet));
      });
    }),
    4000,
  );
});

test("an answer of nothing but zeros gets the checksum 0xffff", () => {
  withNat({ ttl: "keep" }, 1, (nat) => {
    const request = echo({ src: "10.0.0.1", dst: "198.51.100.1", identifier: 0, sequence: 0 });
    const out = through(nat, request).packet;
    const answer = through(nat, replyTo(out)).packet;
    assert.equal(hex(answer), hex(replyTo(request)));
    assert.equal(transportChecksumIn(answer), 0xffff);
  });
});

test("a wrong checksum stays exactly as wrong, both ways", () => {
  const wrong = fc.record({
    transport: fc.integer({ min: 1, max: 0xfffe }),
    header: fc.nat(0xfffe),
    both: fc.boolean(),
  });
  check(
    fc.property(outbound, fc.nat(), wrong, (packet, seed, by) => {
      const unsummed = decode(packet).protocol === 17 && transportChecksumIn(packet) === 0;
      fc.pre(!unsummed);
      const spoil = (whole: Uint8Array) => {
        const spoilt = new Uint8Array(whole);
        const value = (transportChecksumOf(whole) + by.transport) % 0xffff;
        setTransportChecksum(spoilt, value === 0 ? 0xffff : value); // 0 would be no checksum to UDP
        if (by.both) setHeaderChecksum(spoilt, (headerChecksumOf(whole) + by.header) % 0xffff);
        return spoilt;
      };
      const compare = (before: Uint8Array, after: Uint8Array) => {
        assert.equal(
          checksumError(transportChecksumIn(after), transportChecksumOf(after)),
          checksumError(transportChecksumIn(before), transportChecksumOf(before)),
          `transport checksum of ${describe(before)}`,
        );
        assert.equal(
          checksumError(decode(after).headerChecksum, headerChecksumOf(after)),
          checksumError(decode(before).headerChecksum, headerChecksumOf(before)),
          `header checksum of ${describe(before)}`,
        );
      };
      withNat({ verifyHeaderChecksum: false }, seed, (nat) => {
        const before = spoil(packet);
        const out = through(nat, before);
        assert.equal(out.verdict.verdict, "forwarded", describe(before));
        compare(before, out.packet);
        const answer = spoil(replyTo(fullChecksums(out.packet), { ttl: 64 }));
        const back = through(nat, answer);
        assert.equal(back.verdict.verdict, "forwarded", describe(answer));
        compare(answer, back.packet);
      });
    }),
    3000,
  );
});

test("a wrong header checksum drops the packet and leaves it and the table alone", () => {
  check(
    fc.property(outbound, fc.integer({ min: 1, max: 0xfffe }), (packet, by) => {
      const spoilt = new Uint8Array(packet);
      setHeaderChecksum(spoilt, (headerChecksumOf(packet) + by) % 0xffff);
      withNat({}, 1, (nat) => {
        const out = through(nat, spoilt);
        assert.deepEqual(out.verdict.reason, "header-checksum", describe(packet));
        assert.equal(hex(out.packet), hex(spoilt));
        assert.equal(nat.conntrack.size, 0);
      });
    }),
    500,
  );
});

test("a packet that a capture cut comes out as the same part of the whole", () => {
  check(
    fc.property(outbound, fc.nat(), fc.nat(), (packet, seed, cut) => {
      const whole = withNat({}, seed, (nat) => through(nat, packet).packet);
      const headerLength = (packet[0]! & 15) * 4;
      const ports = headerLength + (decode(packet).protocol === 1 ? 6 : 4);
      const length = headerLength + (cut % (packet.length - headerLength + 1));
      withNat({}, seed, (nat) => {
        const out = through(nat, packet.slice(0, length), { wireLength: packet.length });
        if (length < ports) assert.equal(out.verdict.verdict, "dropped", describe(packet));
        else if (out.verdict.verdict === "forwarded") {
          // Half a checksum is not there to be changed.
          const half = [6, 16].some((at) => length === headerLength + at + 1);
          const end = half ? length - 1 : length;
          assert.equal(
            hex(out.packet.slice(0, end)),
            hex(whole.slice(0, end)),
            `${describe(packet)} cut to ${length}`,
          );
        } else assert.ok(length < ports + 12, `${describe(packet)} cut to ${length}: ${out.verdict.reason}`);
      });
    }),
    1500,
  );
});

/** Sends pieces and puts what comes out, at once or later, back together. */
function throughInPieces(nat: Nat, pieces: readonly Uint8Array[]): Uint8Array {
  const arrived: Uint8Array[] = [];
  for (const piece of pieces) {
    const out = through(nat, piece);
    assert.ok(
      ["forwarded", "held"].includes(out.verdict.verdict),
      `${describe(piece)}: ${out.verdict.reason}`,
    );
    if (out.verdict.verdict === "forwarded") arrived.push(out.packet);
    if (nat.pending) arrived.push(...nat.take().map((taken) => taken.packet));
  }
  const whole = reassemble(arrived);
  assert.ok(whole !== null, `of ${pieces.length} pieces ${arrived.length} came out`);
  return whole;
}

test("fragments in any order come out as the fragments of the translated datagram, both ways", () => {
  const datagram = fc
    .tuple(
      host,
      port,
      remote,
      port,
      fc.uint8Array({ minLength: 30, maxLength: 120 }),
      fc.nat(65535),
      fc.boolean(),
    )
    .map(([source, sport, target, dport, data, id, unsummed]) => {
      const fields = { src: `${source}:${sport}`, dst: `${target}:${dport}`, payload: data, id };
      return udp(unsummed ? { ...fields, checksum: 0 } : fields);
    });
  const cuts = fc.uniqueArray(
    fc.integer({ min: 1, max: 12 }).map((unit) => unit * 8),
    { maxLength: 4 },
  );
  const order = fc.array(fc.nat(), { minLength: 5, maxLength: 5 });
  check(
    fc.property(datagram, cuts, order, (packet, at, keys) => {
      const shuffled = (whole: Uint8Array) =>
        fragments(
          whole,
          [...at].sort((a, b) => a - b),
        )
          .map((piece, i) => ({ piece, key: keys[i]! }))
          .sort((a, b) => a.key - b.key)
          .map(({ piece }) => piece);
      withNat({}, 3, (nat) => {
        const out = throughInPieces(nat, shuffled(packet));
        checkOutbound(packet, out);
        const back = throughInPieces(nat, shuffled(replyTo(out, { ttl: 64 })));
        assert.equal(hex(back), hex(replyTo(packet, { ttl: 63 })), describe(packet));
      });
    }),
    700,
  );
});

test("endpoints of different hosts never share a public endpoint", () => {
  const flows = fc.array(fc.tuple(host, port), { minLength: 2, maxLength: 40 });
  check(
    fc.property(flows, fc.nat(), (all, seed) => {
      withNat({}, seed, (nat) => {
        const owner = new Map<string, string>();
        for (const [source, sport] of all) {
          const out = through(nat, udp({ src: `${source}:${sport}`, dst: "198.51.100.1:53" })).packet;
          const outside = endpointText(endpoints(decode(out)).src);
          const inside = `${source}:${sport}`;
          assert.equal(owner.get(outside) ?? inside, inside, `${outside} is shared`);
          owner.set(outside, inside);
        }
      });
    }),
    300,
  );
});
