// Sessions as lines.
import { deepEqual, equal, match } from "node:assert/strict";
import { describe, test } from "node:test";
import { CSV_HEADER, conntrackLine, csvLine } from "../../src/cli/session-lines.js";
import { toldSession } from "../../src/control/told-session.js";
import type { Session } from "../../src/index.js";
import { NOW, session } from "../support/sessions.js";

const told = (other: Partial<Session> = {}) => toldSession(session(other), NOW);
/** Without the padding, as scripts that split at spaces see it. */
const line = (other: Partial<Session> = {}) => conntrackLine(told(other)).replace(/ +/g, " ");

describe("as conntrack prints it", () => {
  test("an established connection", () => {
    equal(
      line(),
      "tcp 6 7420 ESTABLISHED src=192.168.226.135 dst=198.51.100.7 sport=4000 dport=443 packets=3 bytes=180 " +
        "src=198.51.100.7 dst=203.0.113.1 sport=443 dport=40000 packets=2 bytes=1200000 [ASSURED]",
    );
  });

  test("one that began outside has the remote as the first source", () => {
    const inside = { address: "192.168.226.135", port: 80 };
    equal(
      line({ direction: "inbound", inside, permanent: true }),
      "tcp 6 7420 ESTABLISHED src=198.51.100.7 dst=203.0.113.1 sport=443 dport=40000 packets=2 bytes=1200000 " +
        "src=192.168.226.135 dst=198.51.100.7 sport=80 dport=443 packets=3 bytes=180 [ASSURED] [PERMANENT]",
    );
  });

  test("unreplied ones, and states by conntrack's names", () => {
    const packets = { outbound: 1, inbound: 0 };
    match(
      line({ protocol: "udp", state: null, packets }),
      /^udp 17 7420 src=.* \[UNREPLIED\] src=.*bytes=\d+$/,
    );
    const names = (["opening", "half-closed", "closing", "time-wait", "reset"] as const).map(
      (state) => line({ state }).split(" ")[3],
    );
    deepEqual(names, ["SYN_RECV", "FIN_WAIT", "LAST_ACK", "TIME_WAIT", "CLOSE"]);
    equal(line({ state: "opening", packets }).split(" ")[3], "SYN_SENT");
    equal(line({ state: "opening" }).includes("[ASSURED]"), false);
  });

  test("queries have identifiers; what has no ports has none", () => {
    const query = {
      protocol: "icmp",
      state: null,
      inside: { address: "192.168.226.135", port: 7 },
      public: { address: "203.0.113.1", port: 9 },
      remote: { address: "198.51.100.7", port: 0 },
    } as const;
    match(line(query), /^icmp 1 7420 src=192.168.226.135 dst=198.51.100.7 id=7 .* dst=203.0.113.1 id=9 /);
    match(line({ ...query, protocol: "gre" }), /^gre 47 7420 src=\S+ dst=\S+ packets=/);
    match(line({ ...query, protocol: "ip-4" }), /^ip-4 4 7420 src=/);
  });

  test("hairpins and mappings are marked; what lasts has no time left", () => {
    match(line({ hairpin: true }), / \[ASSURED\] \[HAIRPIN\]$/);
    const remote = { address: "0.0.0.0", port: 0 };
    const packets = { outbound: 0, inbound: 0 };
    const mapping = line({ state: null, remote, packets, expiresAt: Infinity });
    match(mapping, /^tcp 6 - src=.* \[MAPPING\]$/);
    equal(mapping.includes("UNREPLIED"), false);
  });

  test("columns line up", () => {
    const starts = (text: string) =>
      [...text.matchAll(/(src|dst|sport|dport|packets|bytes)=/g)].map(({ index }) => index);
    const packets = { outbound: 1, inbound: 0 };
    deepEqual(
      starts(conntrackLine(told({ protocol: "udp", state: null, packets, expiresAt: 101_000 }))),
      starts(conntrackLine(told())),
    );
  });
});

describe("as CSV", () => {
  test("has a value for each column, nothing for null", () => {
    equal(
      CSV_HEADER,
      "protocol,number,state,direction,inside_address,inside_port,public_address,public_port,remote_address," +
        "remote_port,packets_out,packets_in,bytes_out,bytes_in,age,idle,expires,permanent,hairpin",
    );
    equal(
      csvLine(told()),
      "tcp,6,established,outbound,192.168.226.135,4000,203.0.113.1,40000,198.51.100.7,443,3,2,180,1200000,90,20,7420,false,false",
    );
    match(csvLine(told({ state: null, expiresAt: Infinity })), /^tcp,6,,outbound,.*,20,,false,false$/);
  });
});
