// A test lab of two peers, each behind a NAT of its own, without a network: who can connect by hole punching?
// Run: node two-peers.js
// Prints:
//   full cone            with full cone            yes
//   full cone            with restricted cone      yes
//   full cone            with port-restricted cone yes
//   full cone            with symmetric            yes
//   restricted cone      with restricted cone      yes
//   restricted cone      with port-restricted cone yes
//   restricted cone      with symmetric            yes
//   port-restricted cone with port-restricted cone yes
//   port-restricted cone with symmetric            no
//   symmetric            with symmetric            no
const { Nat, packetOfFlow } = require("napt");

const EI = "endpoint-independent";
const APD = "address-and-port-dependent";
const KINDS = {
  "full cone": { mapping: EI, filtering: EI },
  "restricted cone": { mapping: EI, filtering: "address-dependent" },
  "port-restricted cone": { mapping: EI, filtering: APD },
  symmetric: { mapping: APD, filtering: APD },
};
const STUN = "192.0.2.1:3478";
const sourceOf = (packet) => `${packet.subarray(12, 16).join(".")}:${(packet[20] << 8) | packet[21]}`;

/** A host, and the NAT that it is behind. */
function peer(kind, outside) {
  const nat = new Nat({ inside: ["192.168.0.0/24"], outside: [outside], ...KINDS[kind] });
  return {
    /** Sends to an endpoint; what that endpoint sees the packet come from. */
    sendTo(endpoint) {
      const packet = packetOfFlow(`udp 192.168.0.2:4000 > ${endpoint}`);
      nat.translate(packet, { now: 0 });
      return sourceOf(packet);
    },
    hears: (from, to) => nat.translate(packetOfFlow(`udp ${from} > ${to}`), { now: 0 }).verdict === "forwarded",
    close: () => nat.close(),
  };
}

function connects(one, other) {
  const [a, b] = [peer(one, "203.0.113.1"), peer(other, "198.51.100.1")];
  const seen = [a.sendTo(STUN), b.sendTo(STUN)]; // what the STUN server tells each of the other
  const from = [a.sendTo(seen[1]), b.sendTo(seen[0])]; // both open their NATs
  const aHears = a.hears(from[1], seen[0]);
  const bHears = b.hears(from[0], seen[1]);
  // Who has heard the other answers to where that really came from.
  const both = (aHears && b.hears(a.sendTo(from[1]), from[1])) || (bHears && a.hears(b.sendTo(from[0]), from[0]));
  for (const one of [a, b]) one.close();
  return both;
}

const kinds = Object.keys(KINDS);
for (const [i, one] of kinds.entries()) {
  for (const other of kinds.slice(i)) {
    console.log(`${one.padEnd(20)} with ${other.padEnd(20)} ${connects(one, other) ? "yes" : "no"}`);
  }
}
