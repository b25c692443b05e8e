// Who uses a NAT most: rates between one look at the table and the next.
import { deepEqual, equal, ok, rejects, throws } from "node:assert/strict";
import { describe, test } from "node:test";
import { TopReader } from "../../src/control/top.js";
import { Nat } from "../../src/index.js";
import { base } from "../support/config.js";
import { replyTo, udp } from "../support/packets.js";

const HOSTS = ["192.168.226.10", "192.168.226.11", "192.168.226.12"] as const;
const REMOTE = "198.51.100.7";
const QUERY = { filter: [], sort: "rate", limit: 10 } as const;

/** A NAT with a clock of its own, and a reader that may look as often as it likes. */
class World {
  now = 1_000_000;
  readonly nat: Nat;
  readonly top: TopReader;

  constructor() {
    this.nat = new Nat({ ...base, portAssignment: { holdDown: 0 } }, { clock: () => this.now });
    this.top = new TopReader(this.nat, () => this.now);
  }

  /** Packets of 100 bytes from a host, and as many replies as asked for. */
  send(src: string, packets: number, replies = 0, dst = `${REMOTE}:53`): void {
    for (let i = 0; i < packets; i++) {
      const packet = udp({ src, dst, payload: new Uint8Array(72) });
      equal(this.nat.translate(packet, { now: this.now }).verdict, "forwarded");
      if (i >= replies) continue;
      equal(this.nat.translate(replyTo(packet), { now: this.now }).verdict, "forwarded");
    }
  }

  [Symbol.dispose](): void {
    this.nat.close();
  }
}

/** Different questions are answered anew, the same ones from memory: so each has a limit of its own. */
let asked = 10;
const anew = () => ({ ...QUERY, limit: asked++ });

describe("who uses a NAT most", () => {
  test("is nobody at first, and then those with the highest rates", async () => {
    using world = new World();
    world.send(`${HOSTS[0]}:4000`, 50);
    const first = await world.top.read(anew());
    equal(first.seconds, 0);
    deepEqual(first.hosts, [
      { address: HOSTS[0], sessions: 1, rate: { outbound: 0, inbound: 0, packets: 0 } },
    ]);
    world.now += 2000;
    world.send(`${HOSTS[0]}:4000`, 10, 10);
    world.send(`${HOSTS[1]}:4000`, 30, 1);
    world.send(`${HOSTS[1]}:4001`, 5, 0, "198.51.100.8:53");
    const { seconds, hosts, remotes, sessions, fitting } = await world.top.read(anew());
    deepEqual([seconds, fitting], [2, 3]);
    deepEqual(hosts, [
      { address: HOSTS[1], sessions: 2, rate: { outbound: 14_000, inbound: 400, packets: 18 } },
      { address: HOSTS[0], sessions: 1, rate: { outbound: 4000, inbound: 4000, packets: 10 } },
    ]);
    deepEqual(
      remotes.map(({ address, sessions: count, rate }) => [address, count, rate.outbound + rate.inbound]),
      [
        [REMOTE, 2, 20_400],
        ["198.51.100.8", 1, 2000],
      ],
    );
    deepEqual(
      sessions.map(({ inside, rate }) => [`${inside.address}:${inside.port}`, rate.outbound]),
      [
        [`${HOSTS[1]}:4000`, 12_000],
        [`${HOSTS[0]}:4000`, 4000],
        [`${HOSTS[1]}:4001`, 2000],
      ],
    );
    world.now += 1000;
    const idle = await world.top.read(anew());
    ok(idle.sessions.every(({ rate }) => rate.outbound + rate.inbound + rate.packets === 0));
    equal(idle.hosts[0]!.address, HOSTS[1], "where nothing goes through, sessions count");
  });

  test("is told of what fits, sorted, and no more than asked for", async () => {
    using world = new World();
    world.send(`${HOSTS[0]}:4000`, 1);
    world.now += 10_000;
    world.send(`${HOSTS[1]}:4000`, 5);
    world.now += 10_000;
    world.send(`${HOSTS[2]}:4000`, 3);
    const order = async (sort: "bytes" | "packets" | "age" | "idle" | "expires", limit = 10) => {
      const { sessions } = await world.top.read({ filter: [], sort, limit });
      return sessions.map(({ inside }) => HOSTS.indexOf(inside.address as (typeof HOSTS)[number]));
    };
    deepEqual(await order("bytes"), [1, 2, 0]);
    deepEqual(await order("packets"), [1, 2, 0]);
    deepEqual(await order("age"), [0, 1, 2]);
    deepEqual(await order("idle"), [0, 1, 2]);
    deepEqual(await order("expires"), [0, 1, 2]);
    deepEqual(await order("bytes", 1), [1]);
    const fitting = await world.top.read({ filter: [HOSTS[2]], sort: "rate", limit: 10 });
    deepEqual([fitting.fitting, fitting.hosts.map(({ address }) => address)], [1, [HOSTS[2]]]);
  });

  test("is not who was here long before, in another place of the table", async () => {
    using world = new World();
    const { conntrack } = world.nat;
    world.send(`${HOSTS[0]}:4000`, 10);
    world.now += 10_000;
    await world.top.read(anew());
    const snapshot = Buffer.concat([...conntrack.snapshot({ now: world.now, wall: 0 })]);
    world.now += 1000;
    conntrack.delete([...conntrack][0]!);
    // It takes the slot, and what it has sent it has sent since.
    world.send(`${HOSTS[1]}:4000`, 2);
    equal(conntrack.restore(snapshot, { now: world.now, wall: 1000 }).restored, 1);
    const { hosts } = await world.top.read(anew());
    deepEqual(hosts, [
      { address: HOSTS[1], sessions: 1, rate: { outbound: 1600, inbound: 0, packets: 2 } },
      { address: HOSTS[0], sessions: 1, rate: { outbound: 0, inbound: 0, packets: 0 } },
    ]);
  });

  test("is the same for all who ask at once, and costs no more", async () => {
    using world = new World();
    world.send(`${HOSTS[0]}:4000`, 1);
    const query = anew();
    const both = [world.top.read(query), world.top.read({ ...query })];
    equal(both[0], both[1]);
    await Promise.all(both);
    world.send(`${HOSTS[0]}:4000`, 1);
    equal(world.top.read(query), both[0], "for a moment it is still good");
  });

  test("is not told to too many who ask different things, nor of nonsense", async () => {
    using world = new World();
    throws(() => world.top.read({ ...QUERY, filter: ["tpc"] }), /says nothing about sessions/);
    const waiting = Array.from({ length: 8 }, () => world.top.read(anew()));
    throws(() => world.top.read(anew()), /8 others wait for an answer; ask again later/);
    await Promise.all(waiting);
    await world.top.read(anew());
  });

  test("is nobody's of a NAT that is closed", async () => {
    using world = new World();
    world.nat.close();
    await rejects(world.top.read(anew()), { code: "NAT_ERR_CLOSED" });
  });

  test("is found in a large table in parts: others have their turn", async () => {
    using world = new World();
    for (let host = 0; host < 250; host++) {
      for (let port = 0; port < 40; port++) world.send(`192.168.226.${host + 1}:${5000 + port}`, 1);
    }
    let turns = 0;
    const count = () => {
      turns++;
      timer = setImmediate(count);
    };
    let timer = setImmediate(count);
    const { fitting, hosts } = await world.top.read(anew());
    clearImmediate(timer);
    deepEqual([fitting, hosts[0]!.sessions], [10_000, 40]);
    ok(turns >= 4, `${turns} turns`);
  });
});
