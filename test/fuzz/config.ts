// Any bytes as a config: they give one, or a ConfigError that says where each fault is.
import assert from "node:assert/strict";
import { compileConfig } from "../../src/config/compile.js";
import { parseConfigText } from "../../src/config/document.js";
import { parseConfig } from "../../src/config/load.js";
import { ConfigError } from "../../src/errors.js";
import type { Target } from "./driver.js";

const texts = [
  '{"inside":["192.168.226.0/24"],"outside":["203.0.113.1"]}',
  `inside: [192.168.226.0/24]
outside: [{ address: 203.0.113.1, ports: 1024-65535 }]
filtering: endpoint-independent        # a "full cone" NAT
forwards: [{ protocol: tcp, outside: "203.0.113.1:8080", inside: "192.168.226.135:80" }]
`,
  `inside:
  - 10.0.0.0/8
outside: [203.0.113.64/28, {address: 203.0.113.1, ports: "5000"}]
mapping: address-dependent
portAssignment: {order: sequential, preserve: true, parity: false, blockSize: 1}
pooling: arbitrary
hairpinning: false
static: [{outside: 203.0.113.99, inside: 10.0.0.9}]
timeouts: {udp: 0.5, tcpEstablished: 7440, tcpTransitory: 240, tcpTimeWait: 1e3, icmp: 60, fragment: 30}
limits: &l {sessions: 0, sessionsPerHost: 10, fragments: 1}
ttl: keep
icmpErrors: true
inboundRefresh: true
tcpPickup: false
verifyHeaderChecksum: false
unmatched: pass
`,
  "a: &a [1, *a]\n<<: {b: !!str c}\n? {x: 1}\n: |+\n  text\n\n--- %TAG\n...\n",
];

const pieces = [
  "[",
  "]",
  "{",
  "}",
  ": ",
  ", ",
  "- ",
  "\n",
  "\n  ",
  "#",
  '"',
  "'",
  "&a ",
  "*a",
  "!!",
  "|",
  ">",
  "? ",
  "<<: ",
]
  .concat([
    "---\n",
    "...\n",
    "%YAML 1.2\n",
    "\t",
    "\\u0000",
    "\u00e9",
    "\ud83d\ude00",
    "null",
    "true",
    "~",
    "0x10",
    "1e309",
  ])
  .concat([
    ".nan",
    "-.inf",
    "4294967296",
    "0.0.0.0/0",
    "255.255.255.255",
    "224.0.0.0/4",
    "203.0.113.1:0",
    "65536",
    "1-65535",
  ])
  .concat(["__proto__", "constructor", "toString", "203.0.113.1/24", "10.0.0.0/33", "127.0.0.1"]);

export const target: Target = {
  folders: ["src/config"],
  seeds: () => texts.map((text) => new Uint8Array(Buffer.from(text))),
  words: () => pieces.map((piece) => new Uint8Array(Buffer.from(piece))),
  async run(input) {
    try {
      const { value, source } = parseConfigText(input, "fuzz");
      const config = parseConfig(value, source);
      assert.deepEqual(parseConfig(config), config, "the result is no config, or another");
      assert.deepEqual(parseConfig(JSON.parse(JSON.stringify(config))), config, "as JSON it is another");
      compileConfig(config);
    } catch (error) {
      if (!(error instanceof ConfigError)) throw error;
      assert(error.issues.length > 0, "an error without a fault");
      for (const { path, message } of error.issues) {
        assert(typeof path === "string" && typeof message === "string" && message !== "");
        assert(error.message.includes(path) && error.message.includes(message));
      }
    }
  },
};
