// What README.md says is so.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, test } from "node:test";
import { presetsMarkdown } from "../support/presets.js";
import { EVENTS_PAGE, GATEWAY_PAGE, PRESETS_PAGE, README, withGeneratedParts } from "../support/readme.js";

const text = readFileSync(README, "utf8");
const blocks = [...text.matchAll(/```js\n([\s\S]*?)```/g)].map((match) => match[1] ?? "");
const INDEX = require.resolve("../../src/index.ts");

/** Runs code with `require("napt")` meaning this package. */
function run(code: string): string {
  const script = code.replace('require("napt")', `require(${JSON.stringify(INDEX)})`);
  return execFileSync(process.execPath, ["--import", "tsx", "-e", script], { encoding: "utf8" });
}

describe("README", () => {
  test("has the config table and the drop reasons as they are (npm run docs)", () => {
    for (const name of ["config table", "drop reasons"]) assert.ok(text.includes(`<!-- ${name} -->\n`));
    assert.equal(text, withGeneratedParts(text));
    const gateway = readFileSync(GATEWAY_PAGE, "utf8");
    for (const name of ["gateway table", "metrics"]) assert.ok(gateway.includes(`<!-- ${name} -->\n`));
    assert.equal(gateway, withGeneratedParts(gateway));
    const events = readFileSync(EVENTS_PAGE, "utf8");
    assert.ok(events.includes("<!-- events -->\n"));
    assert.equal(events, withGeneratedParts(events));
  });

  test("has an example of ten lines that prints what its comments say", () => {
    const example = blocks[0] ?? "";
    assert.ok(example.trim().split("\n").length <= 11);
    const promised = [...example.matchAll(/console\.log\(.*\);\s*\/\/ (.*)/g)].map((match) => match[1]);
    assert.equal(promised.length, 3);
    assert.deepEqual(run(example).trim().split("\n"), promised);
  });

  test("has a batch example that runs", () => {
    const setup = (blocks[0] ?? "").split("console.log")[0];
    const output = run(
      `${setup}\nconst now = 1; const send = () => {};\n${blocks[1]}\nconsole.log(batch.verdict(0).direction);`,
    );
    assert.match(output, /outbound\n$/);
  });

  test("has an example of a snapshot that runs and prints what its comment says", () => {
    const setup = (blocks[0] ?? "").replace("nat.close();", "");
    const example = blocks[2] ?? "";
    const files = `const written = []; const open = async () => ({ write: async (chunk) => written.push(chunk) });
      const readFile = async () => Buffer.concat(written); const next = new Nat(nat.config);`;
    const output = run(`${setup}\n${files}\nvoid (async () => {${example}})();`);
    assert.equal(output.trim().split("\n").at(-1), /\/\/ (\{.*)/.exec(example)![1]);
  });

  test("has an example of mappings on request that runs", () => {
    const setup = (blocks[0] ?? "").split("console.log")[0];
    const control = (blocks[3] ?? "").replace(/.*require\("napt"\);/, "");
    const socket = `{ send: (answer) => console.log(answer[3]), on: (_, take) => take(Buffer.from([0, 0]), { address: "192.168.226.135" }) }`;
    const output = run(
      `${setup!.replace("{ Nat }", "{ Nat, PcpServer }")}\nconst now = 1; const socket = ${socket};\n${control}\nconsole.log(outside.address);`,
    );
    assert.equal(output, "0\n203.0.113.1\n");
  });

  test("has an example of shards that runs", () => {
    const setup = (blocks[0] ?? "")
      .split("console.log")[0]!
      .replace("{ Nat }", "{ ShardedNat, ShardProducer }");
    const packet = setup.slice(setup.indexOf("const packet"));
    const shards = (blocks[4] ?? "").replace(/.*require\("napt"\);/, "");
    const imports = setup.split("\n")[0];
    const output = run(
      `${imports}\n${packet}\nconst now = 1; const packets = [Buffer.from(packet)];\nvoid (async () => {${shards}})();`,
    );
    assert.match(
      output,
      /active: 1[\s\S]*\} 1\n\{ verdict: 'forwarded', direction: 'outbound', reason: null \}\n$/,
    );
  });
});

describe("README's explanations", () => {
  const examples = [
    ...text.matchAll(/```sh\nnapt explain "(.*)" --config nat\.yaml (.*)\n```\n```text\n([\s\S]*?)```/g),
  ];

  test("are of a packet that is dropped and one that goes on", () => {
    assert.deepEqual(
      examples.map(([, , , answer]) => answer?.split(" ")[0]),
      ["dropped", "forwarded"],
    );
  });

  for (const [, flow, options, answer] of examples) {
    test(`${flow} is answered as printed`, () => {
      const directory = mkdtempSync(join(tmpdir(), "napt-"));
      try {
        const config = join(directory, "nat.yaml");
        writeFileSync(config, "inside: [192.168.226.0/24]\noutside: [203.0.113.1]\n");
        const main = require.resolve("../../src/cli/main.ts");
        const words = ["explain", flow!, "--config", config, ...options!.split(" ")];
        assert.equal(
          execFileSync(process.execPath, ["--import", "tsx", main, ...words], { encoding: "utf8" }),
          answer,
        );
      } finally {
        rmSync(directory, { recursive: true });
      }
    });
  }
});

test("docs/presets.md has the presets as they are (npm run docs)", () => {
  assert.equal(readFileSync(PRESETS_PAGE, "utf8"), presetsMarkdown());
});
