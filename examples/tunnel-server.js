// A tunnel server: clients send IP packets in datagrams, and reach the world by one public address.
// docs/guides/embed.md makes a service of it. At the end are two clients and a world, to try it.
// Prints:
//   the world sees 203.0.113.1
//   the world sees 203.0.113.1
//   10.8.0.2:4000 has an answer
//   10.8.0.3:4000 has an answer
const { createSocket } = require("node:dgram");
const { Nat, FROM_OUTSIDE, packetOfFlow } = require("napt");

const nat = new Nat({ inside: ["10.8.0.0/16"], outside: ["203.0.113.1"], mtu: { inside: 1400 }, clampMss: true });
const [batch, clients] = [nat.batch({ slots: 256 }), new Map()]; // clients: who has which inside address
const [tunnel, uplink, world] = [1, 2, 3].map(() => createSocket("udp4"));

/** Packets of one turn of the event loop are translated together. */
function translateSoon(packet, flags) {
  if (packet.length < 20 || packet.length > 1500) return;
  if (batch.count === 0) setImmediate(translateNow);
  batch.push(packet, { flags });
  if (batch.count === batch.slots) translateNow();
}
function translateNow() {
  nat.translateBatch(batch);
  for (let slot = 0; slot < batch.count; slot++) {
    const { verdict, direction } = batch.verdict(slot);
    if (verdict === "forwarded") send(batch.packet(slot), direction === "outbound" ? "outside" : "inside");
  }
  batch.clear();
  if (nat.pending) for (const { kind, packet, side } of nat.take()) if (kind !== "discarded") send(packet, side);
}
function send(packet, side) {
  const bytes = Buffer.from(packet); // the batch is used again before the socket is done
  if (side === "outside") return uplink.send(bytes, 5001, "127.0.0.1");
  const client = clients.get(bytes.subarray(16, 20).join("."));
  if (client !== undefined) tunnel.send(bytes, client.port, client.address);
}

tunnel.on("message", (packet, client) => {
  clients.set(packet.subarray(12, 16).join("."), client); // a real one asks who he is first
  translateSoon(packet, 0);
});
uplink.on("message", (packet) => translateSoon(packet, FROM_OUTSIDE));
tunnel.bind(5000, "127.0.0.1");

const ends = (p) => [12, 16].map((at, i) => `${p.subarray(at, at + 4).join(".")}:${p.readUInt16BE(20 + 2 * i)}`);
world.bind(5001, "127.0.0.1").on("message", (packet, from) => {
  const [source, destination] = ends(packet);
  console.log(`the world sees ${source.split(":")[0]}`);
  const answer = packetOfFlow(`udp ${destination} > ${source}`);
  setTimeout(() => world.send(answer, from.port, from.address), 100);
});
let waiting = 2;
for (const address of ["10.8.0.2", "10.8.0.3"]) {
  const client = createSocket("udp4").on("message", (packet) => {
    console.log(`${ends(packet)[1]} has an answer`);
    if (--waiting === 0) process.exit();
  });
  client.send(packetOfFlow(`udp ${address}:4000 > 198.51.100.7:53`), 5000, "127.0.0.1");
}
