// A UDP echo through a NAT, in memory: what the server sees, and how its answer finds the way back.
// Run: node udp-echo.js
// Prints:
//   the server sees 203.0.113.1:45924
//   the client gets the answer of 198.51.100.7:7 at 192.168.226.135:4000
//   a stranger's packet is dropped: filtered
//   five minutes later the answer is dropped: no-mapping
const { Nat, packetOfFlow } = require("napt");

const nat = new Nat({ inside: ["192.168.226.0/24"], outside: ["203.0.113.1"] }, { seed: 1 });

const source = (packet) => `${packet.subarray(12, 16).join(".")}:${(packet[20] << 8) | packet[21]}`;
const destination = (packet) => `${packet.subarray(16, 20).join(".")}:${(packet[22] << 8) | packet[23]}`;

const question = packetOfFlow("udp 192.168.226.135:4000 > 198.51.100.7:7");
nat.translate(question, { now: 0 }); // rewritten in place; times are ms by any clock
console.log(`the server sees ${source(question)}`);

const answer = packetOfFlow(`udp ${destination(question)} > ${source(question)}`);
nat.translate(answer, { now: 20 });
console.log(`the client gets the answer of ${source(answer)} at ${destination(answer)}`);

const stranger = packetOfFlow(`udp 198.51.100.66:7 > ${source(question)}`);
console.log(`a stranger's packet is dropped: ${nat.translate(stranger, { now: 30 }).reason}`);

const late = packetOfFlow(`udp ${destination(question)} > ${source(question)}`);
console.log(`five minutes later the answer is dropped: ${nat.translate(late, { now: 300_020 }).reason}`);
nat.close();
