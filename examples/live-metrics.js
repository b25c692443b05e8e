// Metrics for Prometheus of a NAT in your program, while packets go through it.
// Run: node live-metrics.js         (a real service goes on: leave out the last lines)
// Prints:
//   napt_packets_total{direction="outbound"} 100
//   napt_drops_total{reason="no-mapping"} 3
//   napt_sessions{protocol="udp",state="none"} 100
//   napt_ports_used{address="203.0.113.1",protocol="udp"} 100
const { createServer, get } = require("node:http");
const { Nat, metricsOf, packetOfFlow } = require("napt");

// Ports from 1024 on, so that those below belong to nobody.
const nat = new Nat({ inside: ["10.0.0.0/8"], outside: ["203.0.113.1"] });
const metrics = metricsOf(nat); // a registry of prom-client: merge it with your own

const server = createServer(async (_request, response) => {
  response.setHeader("content-type", metrics.contentType);
  response.end(await metrics.metrics()); // counters are read now, not with each packet
});

for (let host = 1; host <= 100; host++) nat.translate(packetOfFlow(`udp 10.0.0.${host}:4000 > 198.51.100.7:53`));
for (let port = 1; port <= 3; port++) nat.translate(packetOfFlow(`udp 198.51.100.7:53 > 203.0.113.1:${port}`));

server.listen(0, "127.0.0.1", () => {
  get({ port: server.address().port, path: "/metrics" }, async (response) => {
    const text = (await response.toArray()).join("");
    const wanted = /^napt_(packets_total.*outbound|drops_total.*no-mapping|sessions\{.*udp|ports_used.*udp)/;
    for (const line of text.split("\n")) if (wanted.test(line)) console.log(line);
    server.close();
    nat.close();
  });
});
