// What README.md and the pages of reference say is so. Guides are done as they stand: test/docs.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { basename } from "node:path";
import { describe, test } from "node:test";
import { presetsMarkdown } from "../support/presets.js";
import {
  CONFIG_PAGE,
  EVENTS_PAGE,
  GATEWAY_PAGE,
  LIBRARY_PAGE,
  PRESETS_PAGE,
  README,
  withGeneratedParts,
} from "../support/readme.js";

const jsOf = (page: string) =>
  [...readFileSync(page, "utf8").matchAll(/```js\n([\s\S]*?)```/g)].map((match) => match[1] ?? "");
const INDEX = require.resolve("../../src/index.ts");

/** Runs code with `require("napt")` meaning this package. */
function run(code: string): string {
  const script = code.replace('require("napt")', `require(${JSON.stringify(INDEX)})`);
  return execFileSync(process.execPath, ["--require", "tsx/cjs", "-e", script], { encoding: "utf8" });
}

for (const [page, ...parts] of [
  [CONFIG_PAGE, "config table", "drop reasons"],
  [GATEWAY_PAGE, "gateway table", "metrics"],
  [EVENTS_PAGE, "events"],
] as const) {
  test(`docs/${basename(page)} has its generated parts as they are (npm run docs)`, () => {
    const text = readFileSync(page, "utf8");
    for (const name of parts) assert.ok(text.includes(`<!-- ${name} -->\n`));
    assert.equal(text, withGeneratedParts(text));
  });
}

describe("README", () => {
  test("has an example of ten lines that prints what its comments say", () => {
    const example = jsOf(README)[0] ?? "";
    assert.ok(example.trim().split("\n").length <= 11);
    const promised = [...example.matchAll(/console\.log\(.*\);\s*\/\/ (.*)/g)].map((match) => match[1]);
    assert.equal(promised.length, 3);
    assert.deepEqual(run(example).trim().split("\n"), promised);
  });
});

describe("docs/library.md", () => {
  const blocks = jsOf(LIBRARY_PAGE);

  test("has the README's example", () => assert.equal(blocks[0], jsOf(README)[0]));

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

test("docs/presets.md has the presets as they are (npm run docs)", () => {
  assert.equal(readFileSync(PRESETS_PAGE, "utf8"), presetsMarkdown());
});
