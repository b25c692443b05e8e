// `nat.explain`: what it says of packets of every kind. That it is so, and leaves no trace: test/model/explain.test.ts.
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { remedyFor } from "../../src/explain/remedies.js";
import {
  type Explanation,
  explanationInWords,
  FROM_OUTSIDE,
  Nat,
  type NatConfig,
  NatError,
  packetOfFlow,
  REASONS,
  told,
} from "../../src/index.js";
import { decode, errorAbout, hex, replyTo, tcp, udp } from "../support/packets.js";

const CONFIG = { inside: ["192.168.226.0/24"], outside: ["203.0.113.1"] } satisfies NatConfig;
const QUESTION = "udp 192.168.226.135:4000 > 198.51.100.7:53";

const natOf = (config: Partial<NatConfig> = {}) => new Nat({ ...CONFIG, ...config }, { seed: 1 });
const ask = (nat: Nat, flow: string, now = 0, flags = 0): Explanation =>
  nat.explain(packetOfFlow(flow), { now, flags });
/** Sends a flow's packet and returns it as it left. */
function send(nat: Nat, flow: string, now = 0): Uint8Array {
  const packet = packetOfFlow(flow);
  assert.equal(nat.translate(packet, { now }).verdict, "forwarded", flow);
  return packet;
}
const portOf = (packet: Uint8Array) => packet[20]! * 256 + packet[21]!;
const rules = ({ rules: all }: Explanation) => all.map(({ key, value }) => `${key}: ${value}`);

describe("a packet that would be translated", () => {
  test("of a new flow tells what it would make, and what the next draw gives", () => {
    using nat = natOf();
    const said = ask(nat, QUESTION);
    assert.deepEqual(
      [said.verdict, said.direction, said.reason, said.why],
      ["forwarded", "outbound", null, null],
    );
    assert.deepEqual(rules(said), ["mapping: endpoint-independent"]);
    const [session, ...others] = said.sessions;
    assert.deepEqual(others, []);
    assert.deepEqual(session!.drawn, { order: "random", ports: "203.0.113.1:1024-65535" });
    assert.deepEqual(session!.expiresIn, { before: null, after: 300 });
    assert.equal(nat.conntrack.size, 0);
    assert.equal(hex(send(nat, QUESTION)), hex(said.packet));
  });

  test("of a session tells its state and its time, before and after", () => {
    using nat = natOf();
    const flow = "tcp 192.168.226.135:4000 > 198.51.100.7:80";
    const out = send(nat, flow);
    const [session] = ask(nat, `${flow} [A]`, 40_000).sessions;
    assert.deepEqual(session!.state, { before: "opening", after: "opening" });
    assert.deepEqual(session!.expiresIn, { before: 200, after: 240 });
    assert.equal(session!.isNew, false);
    assert.equal(session!.drawn, null);
    const answer = ask(nat, `tcp 198.51.100.7:80 > 203.0.113.1:${portOf(out)} [SA]`, 1000);
    assert.deepEqual(answer.sessions[0]!.public, { address: "203.0.113.1", port: portOf(out) });
  });

  test("of a binding that there is has a certain public endpoint", () => {
    using nat = natOf();
    const port = portOf(send(nat, QUESTION));
    const [session] = ask(nat, "udp 192.168.226.135:4000 > 198.51.100.8:53").sessions;
    assert.deepEqual([session!.isNew, session!.drawn, session!.public.port], [true, null, port]);
  });

  test("has every field before and after", () => {
    using nat = natOf();
    const said = ask(nat, QUESTION);
    const before = decode(packetOfFlow(QUESTION));
    const after = decode(said.packet);
    const hex16 = (value: number) => `0x${value.toString(16).padStart(4, "0")}`;
    assert.ok(before.body.kind === "udp" && after.body.kind === "udp");
    assert.deepEqual(said.fields, [
      { name: "source address", before: before.src, after: "203.0.113.1" },
      { name: "source port", before: 4000, after: after.body.sport },
      { name: "destination address", before: before.dst, after: after.dst },
      { name: "destination port", before: 53, after: 53 },
      { name: "TTL", before: 64, after: 63 },
      { name: "IP ID", before: 0, after: 0 },
      { name: "IPv4 checksum", before: hex16(before.headerChecksum), after: hex16(after.headerChecksum) },
      { name: "UDP checksum", before: hex16(before.body.checksum), after: hex16(after.body.checksum) },
    ]);
  });

  test("and is an ICMP error has the fields of the packet that it quotes, too", () => {
    using nat = natOf();
    const sent = send(nat, QUESTION);
    const error = errorAbout(sent, { src: "192.0.2.1", dst: "203.0.113.1", type: 3, code: 3 });
    const said = nat.explain(error, { now: 1000 });
    assert.equal(said.verdict, "forwarded");
    const quoted = said.fields.find(({ name }) => name === "quoted source address");
    assert.deepEqual(quoted, {
      name: "quoted source address",
      before: "203.0.113.1",
      after: "192.168.226.135",
    });
    assert.equal(said.sessions[0]!.remote.address, "198.51.100.7");
  });

  test("tells of other bytes that change, such as the MSS", () => {
    using nat = natOf({ clampMss: true, mtu: { outside: 600 } });
    const syn = tcp({
      src: "192.168.226.135:4000",
      dst: "198.51.100.7:80",
      flags: "S",
      tcpOptions: Uint8Array.of(2, 4, 0x05, 0xb4),
    });
    const change = nat.explain(syn, { now: 0 }).fields.at(-1);
    assert.deepEqual(change, { name: "bytes 42 to 43", before: "0x05b4", after: "0x0230" });
  });

  const EXEMPT: NatConfig["exempt"] = [
    { destination: "198.51.100.0/24", protocol: "tcp" },
    { destination: "198.51.100.0/24", protocol: "udp", ports: "1-49" },
    "198.51.100.8/32",
    { destination: "198.51.100.0/24", protocol: "udp", ports: "50-53" },
    "198.51.100.7/32",
  ];
  const configured: [config: Partial<NatConfig>, flow: string, rules: string[]][] = [
    [
      { forwards: [{ protocol: "udp", outside: "203.0.113.1:53", inside: "192.168.226.135:5353" }] },
      "udp 198.51.100.7:9 > 203.0.113.1:53",
      ["forwards[0]: 203.0.113.1:53 leads to 192.168.226.135:5353"],
    ],
    [
      { static: [{ outside: "203.0.113.65", inside: "192.168.226.135" }] },
      QUESTION,
      ["static[0]: 203.0.113.65 is 192.168.226.135's"],
    ],
    [
      { static: [{ outside: "203.0.113.65", inside: "192.168.226.10" }] },
      "udp 192.168.226.135:4000 > 203.0.113.65:53",
      ["mapping: endpoint-independent", "hairpinning: true", "static[0]: 203.0.113.65 is 192.168.226.10's"],
    ],
    [
      { policies: [{ inside: ["192.168.226.128/25"], mapping: "address-dependent" }] },
      QUESTION,
      ["policies[0].mapping: address-dependent"],
    ],
    [{ mapping: { udp: "address-dependent" } }, QUESTION, ["mapping: address-dependent"]],
    [{ exempt: ["198.51.100.0/24"] }, QUESTION, ["exempt[0]: 198.51.100.0/24"]],
    ...(
      [
        [QUESTION, ["exempt[3]: 198.51.100.0/24 udp 50-53"]],
        ["udp 192.168.226.135:4000 > 198.51.100.7:54", ["exempt[4]: 198.51.100.7/32"]],
        ["tcp 192.168.226.135:4000 > 198.51.100.7:53", ["exempt[0]: 198.51.100.0/24 tcp"]],
        ["udp 198.51.100.7:53 > 192.168.226.135:54", ["exempt[3]: 198.51.100.0/24 udp 50-53"]],
      ] as const
    ).map(([flow, rule]): [Partial<NatConfig>, string, string[]] => [{ exempt: EXEMPT }, flow, [...rule]]),
    [{}, "udp 192.168.226.135:1 > 192.168.226.136:2", ["inside: both ends are inside"]],
    [{ unmatched: "pass" }, "udp 192.0.2.1:1 > 192.0.2.2:2", ["unmatched: pass"]],
  ];
  for (const [config, flow, expected] of configured) {
    test(`${flow} is decided by ${expected.join(", ")}`, () => {
      using nat = natOf(config);
      const said = ask(nat, flow);
      assert.notEqual(said.verdict, "dropped");
      assert.deepEqual(rules(said), expected);
      const isDrawn = said.sessions.map(({ drawn }) => drawn !== null);
      assert.equal(isDrawn.includes(true), expected[0]!.includes("mapping"));
    });
  }

  test("for an explicit mapping names it", () => {
    using nat = natOf();
    const inside = { address: "192.168.226.135", port: 4000 };
    const granted = nat.mappings.request({ protocol: "udp", inside, lifetime: 60_000 }, 0);
    assert.ok(granted.reason === null);
    const said = ask(nat, QUESTION);
    assert.deepEqual(rules(said), ["mappings: the host asked for it"]);
    assert.deepEqual([said.sessions[0]!.public, said.sessions[0]!.drawn], [granted.outside, null]);
  });
});

describe("a packet that would be dropped", () => {
  test("tells why, and what to change", () => {
    using nat = natOf({ policies: [{ inside: ["192.168.226.128/25"], filtering: "address-dependent" }] });
    const port = portOf(send(nat, QUESTION));
    const said = ask(nat, `udp 198.51.100.8:53 > 203.0.113.1:${port}`);
    assert.equal(said.reason, "filtered");
    assert.equal(said.why!.meaning, "the filtering behaviour does not let this remote in");
    assert.equal(said.why!.key, "policies[0].filtering");
    assert.deepEqual(rules(said), ["policies[0].filtering: address-dependent"]);
    assert.deepEqual(said.owner, {
      inside: { address: "192.168.226.135", port: 4000 },
      public: { address: "203.0.113.1", port },
    });
    assert.equal(hex(said.packet), hex(packetOfFlow(`udp 198.51.100.8:53 > 203.0.113.1:${port}`)));
  });

  const cases: [
    config: Partial<NatConfig>,
    flow: string,
    reason: string,
    key: string | null,
    rules: string[],
  ][] = [
    [{}, "udp 198.51.100.8:53 > 203.0.113.1:9", "no-mapping", "forwards", []],
    [{}, "udp 192.0.2.1:1 > 192.0.2.2:2", "unmatched", "inside", []],
    [
      { hairpinning: false },
      "udp 192.168.226.1:1 > 203.0.113.1:9",
      "hairpinning-off",
      "hairpinning",
      ["hairpinning: false"],
    ],
    [
      { tcpPickup: false },
      "tcp 192.168.226.1:1 > 192.0.2.1:9 [A]",
      "tcp-no-session",
      "tcpPickup",
      ["tcpPickup: false"],
    ],
    [
      { forwards: [{ protocol: "tcp", outside: "203.0.113.1:80", inside: "192.168.226.1:80" }] },
      "tcp 192.0.2.1:9 > 203.0.113.1:80 [A]",
      "tcp-no-session",
      null,
      ["forwards[0]: 203.0.113.1:80 leads to 192.168.226.1:80"],
    ],
    [{}, "udp 127.0.0.1:9 > 203.0.113.1:80", "invalid-source", null, []],
  ];
  for (const [config, flow, reason, key, expected] of cases) {
    test(`${flow}: ${reason}`, () => {
      using nat = natOf(config);
      const said = ask(nat, flow);
      assert.deepEqual([said.reason, said.why!.key, rules(said)], [reason, key, expected]);
      assert.notEqual(said.why!.advice, "");
    });
  }

  test("by the side that it comes in on", () => {
    using nat = natOf();
    assert.equal(ask(nat, QUESTION, 0, FROM_OUTSIDE).reason, "invalid-source");
  });

  test("tells which ICMP error it would bring about", () => {
    using nat = natOf({ icmpErrors: true });
    const late = udp({ src: "192.168.226.135:4000", dst: "198.51.100.7:53", ttl: 1 });
    const { reason, why, emits } = nat.explain(late, { now: 0 });
    assert.deepEqual([reason, why!.key, emits.length], ["ttl-expired", "ttl", 1]);
    assert.deepEqual(
      [emits[0]!.kind, emits[0]!.side, decode(emits[0]!.packet).dst],
      ["icmp", "inside", "192.168.226.135"],
    );
    assert.equal(nat.pending, 0);
    // What waits to be taken already is not this packet's.
    nat.translate(late.slice(), { now: 0 });
    assert.deepEqual(ask(nat, QUESTION).emits, []);
    assert.equal(nat.explain(late, { now: 0 }).emits.length, 1);
    assert.equal(nat.pending, 1);
  });

  test("when it makes no sense at all", () => {
    using nat = natOf();
    const { reason, fields, sessions } = nat.explain(Uint8Array.of(1, 2, 3), { now: 0 });
    assert.deepEqual([reason, fields, sessions], ["malformed", [], []]);
    assert.equal(nat.explain(new Uint8Array(0), { now: 0 }).reason, "malformed");
  });

  test("for any reason has advice, and a key that there is", () => {
    using nat = natOf();
    for (const reason of REASONS) {
      if (reason === "none") continue;
      for (const direction of ["none", "outbound", "inbound", "hairpin"] as const) {
        const { key, advice } = remedyFor(reason, direction);
        assert.notEqual(advice, "", reason);
        const value = key
          ?.split(".")
          .reduce<unknown>((at, part) => (at as Record<string, unknown>)?.[part], nat.config);
        if (key !== null) assert.notEqual(value, undefined, `${reason}: ${key}`);
      }
    }
  });
});

test("in words: a drop says first why and what to change", () => {
  using nat = natOf();
  const port = portOf(send(nat, QUESTION));
  const asked = packetOfFlow(`udp 198.51.100.8:53 > 203.0.113.1:${port}`);
  assert.equal(
    explanationInWords(told(asked, nat.explain(asked, { now: 0 }))),
    `dropped   filtered, inbound: the filtering behaviour does not let this remote in
change    filtering: loosen it, add a forward, or let the inside host send to this remote first
packet    udp 198.51.100.8:53 > 203.0.113.1:${port}
by        filtering: address-and-port-dependent
binding   203.0.113.1:${port} is 192.168.226.135:4000's`,
  );
});

test("in words: a packet of a session, whose time it renews", () => {
  using nat = natOf();
  const port = portOf(send(nat, QUESTION));
  const asked = packetOfFlow(QUESTION);
  const words = explanationInWords(told(asked, nat.explain(asked, { now: 7000 }))).split("\n");
  assert.deepEqual(words.slice(0, 5), [
    `forwarded ${QUESTION}, outbound`,
    `as        udp 203.0.113.1:${port} > 198.51.100.7:53`,
    "by        mapping: endpoint-independent",
    `session   ${QUESTION} as 203.0.113.1:${port}, ends in 300 s, without it in 293 s`,
    "changes   source address  192.168.226.135 > 203.0.113.1",
  ]);
  assert.equal(words.at(-1), "keeps     destination address 198.51.100.7, destination port 53, IP ID 0");
});

test("a time that was only asked about is no time passed", () => {
  using nat = natOf();
  ask(nat, QUESTION, 1e9);
  const answer = replyTo(send(nat, QUESTION, 1000));
  assert.equal(ask(nat, QUESTION, 1e9).sessions[0]!.isNew, true);
  assert.equal(nat.translate(answer.slice(), { now: 300_999 }).verdict, "forwarded");
  assert.equal(nat.translate(answer.slice(), { now: 301_000 }).verdict, "dropped");
  assert.equal(ask(nat, QUESTION, 5).at, 301_000);
});

test("what can't be asked is refused", () => {
  const nat = natOf();
  const code = (expected: string) => (error: unknown) => error instanceof NatError && error.code === expected;
  assert.throws(() => nat.explain("45" as never), code("NAT_ERR_ARGUMENT"));
  assert.throws(() => ask(nat, QUESTION, Number.NaN), code("NAT_ERR_ARGUMENT"));
  nat.close();
  assert.throws(() => ask(nat, QUESTION), code("NAT_ERR_CLOSED"));
});
