// What a gateway's config says of its logs, and how its own log is written.
import { deepEqual, equal, match } from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, test } from "node:test";
import type { NatConfig } from "../../src/config/schema.js";
import type { ConfigError } from "../../src/errors.js";
import { parseGatewayConfig } from "../../src/gateway/config.js";
import { checkLogFiles, EventExports } from "../../src/logs/exports.js";
import { GatewayLog } from "../../src/logs/gateway-log.js";
import { Nat } from "../../src/nat.js";
import { udp } from "../support/packets.js";

const CONFIG: NatConfig = { inside: ["192.168.226.0/24"], outside: ["203.0.113.1"] };
const NETWORKS = {
  inside: { interface: "lan0", address: "192.168.226.2/24" },
  outside: { interface: "wan0", address: "203.0.113.1/24" },
};

const parse = (rest: object, nat: object = {}) =>
  parseGatewayConfig({ ...CONFIG, ...nat, gateway: { ...NETWORKS, ...rest } }, "t");

function faultsOf(rest: object, nat: object = {}): string[] {
  try {
    parse(rest, nat);
    return [];
  } catch (error) {
    return (error as ConfigError).issues.map(({ path, message }) => `${path}: ${message}`);
  }
}

describe("gateway.log and gateway.export", () => {
  test("have these defaults", () => {
    const { log, export: none } = parse({});
    deepEqual([log, none], [{ level: "info", format: "text" }, {}]);
    const all = parse({
      export: {
        ipfix: { to: "udp://192.0.2.5" },
        syslog: { to: "unix:/run/log.sock" },
        file: { path: "/var/log/x" },
      },
    });
    deepEqual(all.export, {
      ipfix: { to: "udp://192.0.2.5", what: "bindings", domain: 1, messageSize: 1400, templateInterval: 60 },
      syslog: { to: "unix:/run/log.sock", what: "bindings", facility: "local0", sdId: "nat@32473" },
      file: { path: "/var/log/x", what: "bindings" },
    });
  });

  test("tell what is wrong, and what would be right", () => {
    deepEqual(
      faultsOf({
        log: { level: "loud", file: "napt.log" },
        export: {
          ipfix: { to: "192.0.2.5", what: "flows", messageSize: 100 },
          syslog: { to: "http://192.0.2.5", sdId: "nat", facilty: "local1" },
          file: { path: "/var/log/", what: "sessions" },
          kafka: {},
        },
      }),
      [
        'gateway.log.level: "loud" is not "info", "warn" or "error"',
        'gateway.log.file: "napt.log" is not the path of a file; give one such as "/var/log/napt"',
        'gateway.export.ipfix.to: "192.0.2.5" is not a destination; give one such as "udp://192.0.2.5:4739"',
        'gateway.export.ipfix.what: "flows" is not "sessions", "bindings" or "blocks"',
        "gateway.export.ipfix.messageSize: 100 is not a count; give a whole number from 512 to 65507",
        'gateway.export.syslog.to: "http://192.0.2.5" is not a destination; give one such as "tcp://192.0.2.5:601"',
        'gateway.export.syslog.sdId: "nat" is not a name with the number of an enterprise; give one such as "nat@32473"',
        "gateway.export.syslog.facilty: unknown key; did you mean facility?",
        'gateway.export.file.path: "/var/log/" is not the path of a file; give one such as "/var/log/napt"',
        "gateway.export.kafka: unknown key; known are ipfix, syslog, file",
      ],
    );
    deepEqual(faultsOf({ export: { ipfix: { to: "unix:/run/x" } } }), [
      'gateway.export.ipfix.to: "unix:/run/x" is not a destination; give one such as "udp://192.0.2.5:4739"',
    ]);
  });

  test("name blocks only where there are any", () => {
    const logs = {
      export: {
        ipfix: { to: "udp://[2001:db8::5]:4739", what: "blocks" },
        file: { path: "/x", what: "blocks" },
      },
    };
    const why = '"blocks": without portAssignment.blockSize there are none; give one, or "bindings"';
    deepEqual(faultsOf(logs), [`gateway.export.ipfix.what: ${why}`, `gateway.export.file.what: ${why}`]);
    deepEqual(faultsOf(logs, { portAssignment: { blockSize: 512 } }), []);
  });
});

const directory = mkdtempSync(join(tmpdir(), "napt-logs-"));
after(() => rmSync(directory, { recursive: true }));

test("files that can't be written are told before anything is changed, by their keys", () => {
  const log = { level: "info", format: "text" } as const;
  const path = join(directory, "there");
  deepEqual(checkLogFiles({ ...log, file: path }, { file: { path: `${path}.2`, what: "bindings" } }), [
    path,
    `${path}.2`,
  ]);
  equal(readFileSync(path, "utf8"), "");
  const gone = join(directory, "gone/events");
  const refused = (wrong: () => unknown) => {
    try {
      wrong();
      return "";
    } catch (error) {
      return (error as Error).message;
    }
  };
  match(
    refused(() => checkLogFiles(log, { file: { path: gone, what: "bindings" } })),
    /^gateway\.export\.file\.path: ".*gone\/events" can't be written: ENOENT/,
  );
  match(
    refused(() => checkLogFiles({ ...log, file: directory }, {})),
    /^gateway\.log\.file: ".*" can't be written: EISDIR/,
  );
});

describe("the gateway's own log", () => {
  /** What it writes to standard error. */
  const written = (config: object) => {
    const program = join(directory, "log.ts");
    const module = join(__dirname, "../../src/logs/gateway-log.js");
    writeFileSync(
      program,
      `import { GatewayLog } from ${JSON.stringify(module)};
       const log = new GatewayLog(${JSON.stringify({ level: "info", format: "text", ...config })});
       log.tell("info", "start", "starting");
       log.tell("info", "address", "the address is 192.0.2.1 now", { address: "192.0.2.1" });
       log.tell("warn", "warning", "it is \\"odd\\"");
       log.tell("error", "reload", "no such file");
       log.close();`,
    );
    const { stdout, stderr } = spawnSync(process.execPath, ["--require", "tsx/cjs", program], {
      encoding: "utf8",
    });
    equal(stdout, "");
    return stderr.split("\n").filter(Boolean);
  };

  test("is text for people, without what they see elsewhere", () => {
    deepEqual(written({}), ["napt: the address is 192.0.2.1 now", 'napt: it is "odd"', "napt: no such file"]);
    deepEqual(written({ level: "warn" }), ['napt: it is "odd"', "napt: no such file"]);
  });

  test("is JSON where that is asked for", () => {
    const lines = written({ format: "json" }).map((line) => JSON.parse(line));
    deepEqual(
      lines.map(({ level, event, msg }) => [level, event, msg]),
      [
        ["info", "start", "starting"],
        ["info", "address", "the address is 192.0.2.1 now"],
        ["warn", "warning", 'it is "odd"'],
        ["error", "reload", "no such file"],
      ],
    );
    const [, { name, address, time, pid }] = lines;
    deepEqual([name, address, typeof pid], ["napt", "192.0.2.1", "number"]);
    match(time, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);
  });

  test("goes to a file as JSON, and on in another one when that is said", async () => {
    const [one, two] = [join(directory, "one"), join(directory, "two")];
    const log = new GatewayLog({ level: "info", format: "text", file: one });
    log.tell("info", "ready", "ready");
    await log.change({ level: "warn", format: "text", file: two });
    log.tell("info", "reload", "not worth a line");
    log.tell("warn", "warning", "worth it");
    await log.close();
    deepEqual(
      [one, two].map((path) => JSON.parse(readFileSync(path, "utf8")).msg),
      ["ready", "worth it"],
    );
    equal(log.lost, 0);
  });

  test("counts what a full disk does not take", async () => {
    const log = new GatewayLog({ level: "info", format: "json", file: "/dev/full" });
    for (let i = 0; i < 3; i++) log.tell("info", "ready", "ready");
    await log.close();
    equal(log.lost, 3);
  });
});

test("exports follow the config: what stays goes on, what is new begins, what is gone ends with all that it was told", async () => {
  using nat = new Nat(CONFIG);
  const exports = new EventExports(nat.conntrack, () => {});
  const [one, two] = [join(directory, "export1"), join(directory, "export2")];
  const lines = (path: string) =>
    readFileSync(path, "utf8")
      .split("\n")
      .filter(Boolean)
      .map((line) => JSON.parse(line).type);
  let sport = 4000;
  const open = () => {
    const packet = udp({ src: `192.168.226.135:${sport++}`, dst: "198.51.100.7:53" });
    equal(nat.translate(packet, { now: 0 }).verdict, "forwarded");
  };
  open(); // nobody listens
  await exports.change({ file: { path: one, what: "bindings" } });
  open();
  await exports.change({ file: { path: one, what: "bindings" } });
  open();
  await exports.change({ file: { path: two, what: "sessions" } });
  open();
  nat.conntrack.sweep(1e9);
  await exports.close();
  open();
  deepEqual(lines(one), ["log-begun", "binding-created", "binding-created"]);
  deepEqual(lines(two), ["log-begun", "session-opened", ...Array(4).fill("session-expired")]);
  deepEqual([...exports.stats()], [["file", { exported: 7, lost: 0 }]]);
});
