// What a NAT's events say there is: who folds them all has its table.
import assert from "node:assert/strict";
import type { EventSession, EventStream, Nat, NatEvent, Session } from "../../src/index.js";

type Endpoint = Session["inside"];
const text = ({ address, port }: Endpoint) => `${address}:${port}`;
const flowOf = ({ protocol, inside, remote }: EventSession) =>
  `${protocol} ${text(inside)} > ${text(remote)}`;
const lineOf = (session: EventSession) =>
  `${flowOf(session)} as ${text(session.public)} since ${session.createdAt}`;
const bindingOf = (one: { protocol: string; inside: Endpoint; public: Endpoint }) =>
  `${one.protocol} ${text(one.inside)} as ${text(one.public)}`;

export class Told {
  readonly #events: EventStream;
  readonly #nat: Nat;
  readonly #sessions = new Map<string, string>();
  readonly #bindings = new Map<string, number>();

  /** Listens from now on; there must be no session yet. */
  constructor(nat: Nat) {
    this.#nat = nat;
    this.#events = nat.conntrack.events({ capacity: 1 << 20 });
  }

  /** Fails where the table is another than told. Sessions that are due must have been swept. */
  check(): void {
    for (const event of this.#events.take()) this.#hear(event);
    assert.equal(this.#events.lost, 0);
    const table = [...this.#nat.conntrack];
    assert.deepEqual([...this.#sessions.values()].toSorted(), table.map(lineOf).toSorted());
    const bindings = new Set(table.filter(({ permanent }) => !permanent).map(bindingOf));
    assert.deepEqual([...this.#bindings.keys()].toSorted(), [...bindings].toSorted());
  }

  #hear(event: NatEvent): void {
    const told = JSON.stringify(event);
    switch (event.type) {
      case "session-opened":
        assert.ok(!this.#sessions.has(flowOf(event.session)), `opened twice: ${told}`);
        this.#sessions.set(flowOf(event.session), lineOf(event.session));
        break;
      case "session-established":
      case "session-closed":
      case "session-expiring":
        assert.equal(this.#sessions.get(flowOf(event.session)), lineOf(event.session), told);
        break;
      case "session-expired":
      case "session-evicted":
      case "session-deleted":
        assert.equal(this.#sessions.get(flowOf(event.session)), lineOf(event.session), told);
        this.#sessions.delete(flowOf(event.session));
        break;
      case "binding-created":
        this.#bindings.set(bindingOf(event), (this.#bindings.get(bindingOf(event)) ?? 0) + 1);
        break;
      case "binding-released": {
        const left = (this.#bindings.get(bindingOf(event)) ?? 0) - 1;
        assert.ok(left >= 0, `released twice: ${told}`);
        if (left === 0) this.#bindings.delete(bindingOf(event));
        else this.#bindings.set(bindingOf(event), left);
        break;
      }
    }
  }
}
