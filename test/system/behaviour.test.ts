// What kind of NAT the gateway is, by RFC 5780's discovery: coturn's client inside asks coturn's server outside.
import { deepEqual, doesNotMatch, equal, match, ok } from "node:assert/strict";
import { describe, test } from "node:test";
import { Lab, OUTSIDE_HOST, whyNoLab } from "./lab.js";

const skip = whyNoLab("turnserver", "turnutils_natdiscovery", "stdbuf");
const OTHER_ADDRESS = "203.0.113.9";

/** RFC 4787's behaviours in coturn's words. */
const WORDS = {
  "endpoint-independent": "Endpoint Independent",
  "address-dependent": "Address Dependent",
  "address-and-port-dependent": "Address and Port Dependent",
} as const;
const BEHAVIOURS = Object.keys(WORDS) as (keyof typeof WORDS)[];
const PAIRS = BEHAVIOURS.flatMap((mapping) => BEHAVIOURS.map((filtering) => ({ mapping, filtering })));

/** The first, second, ... inside host. */
const hostOf = (i: number) => `192.168.226.${10 + i}`;

/** A lab with a STUN server outside, and inside hosts that each have a policy of their own. */
async function discoveryLab(policies: readonly object[]): Promise<Lab> {
  const lab = await Lab.create();
  try {
    await lab.exec("out", "ip", "addr", "add", `${OTHER_ADDRESS}/24`, "dev", "out0");
    for (const i of policies.keys()) {
      await lab.exec("in", "ip", "addr", "add", `${hostOf(i)}/24`, "dev", "in0");
    }
    await lab.gateway({
      policies: policies.map((policy, i) => ({ inside: [`${hostOf(i)}/32`], ...policy })),
    });
    // One thread: with more it does not answer as RFC 5780 says.
    const server = ["turnserver", "-n", "-m", "0", "--stun-only", "-L", OUTSIDE_HOST, "-L", OTHER_ADDRESS];
    const files = ["--log-file", "stdout", "--pidfile", lab.path("pid"), "--userdb", lab.path("db")];
    const without = ["--no-cli", "--no-tls", "--no-dtls", "--no-tcp"];
    await lab.start("out", /DB connection success/, "stdbuf", "-oL", ...server, ...files, ...without);
    return lab;
  } catch (error) {
    await lab.close();
    throw error;
  }
}

/** What the client finds out about an inside host. */
const discover = (lab: Lab, i: number, ...what: string[]) =>
  lab.exec("in", "turnutils_natdiscovery", ...what, "-L", hostOf(i), OUTSIDE_HOST);

// The client waits long for what filtering keeps from it: all at a time.
describe("RFC 5780", { concurrency: true }, () => {
  test("each pair of mapping and filtering is found to be what was configured", { skip }, async () => {
    await using lab = await discoveryLab(PAIRS);
    const reports = await Promise.all(PAIRS.map((_, i) => discover(lab, i, "-m", "-f")));
    deepEqual(
      reports.map((report) => report.match(/NAT with .*(?=!)/g)),
      PAIRS.map(({ mapping, filtering }) => [
        `NAT with ${WORDS[mapping]} Mapping`,
        `NAT with ${WORDS[filtering]} Filtering`,
      ]),
    );
  });

  test("hairpinning, fragments, and ports that are kept are found, too", { skip }, async () => {
    const filtering = "endpoint-independent";
    await using lab = await discoveryLab([
      { filtering, hairpinning: true },
      { filtering, hairpinning: false },
      { filtering, portAssignment: { preserve: true } },
      { filtering, portAssignment: { preserve: true } },
    ]);
    const [hairpin, none, padded, collision] = await Promise.all([
      discover(lab, 0, "-H"),
      discover(lab, 1, "-H"),
      discover(lab, 2, "-m", "-f", "-P", "-l", "4321"),
      discover(lab, 2, "-c", "-A", hostOf(3), "-l", "4331"),
    ]);
    match(hairpin, /successful hairpinning/);
    doesNotMatch(none, /successful hairpinning/);
    equal(padded.match(/NAT with Endpoint Independent (?:Mapping|Filtering)/g)?.length, 2);
    match(padded, /reflexive addr: 203\.0\.113\.1:4321\n/);
    // Two hosts want the same port: one has it, the other any.
    const ports = [...collision.matchAll(/reflexive addr: 203\.0\.113\.1:(\d+)$/gm)].map(([, port]) =>
      Number(port),
    );
    equal(new Set(ports).size, 2);
    ok(ports.includes(4331));
  });
});
