// What users get: packs the package, installs it into an empty project as npm does, and uses it from CommonJS,
// from ES modules and from the shell. Its examples print what they say they do.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const root = join(dirname(fileURLToPath(import.meta.url)), "..");
const project = mkdtempSync(join(tmpdir(), "napt-package-"));
const run = (command, ...args) =>
  execFileSync(command, args, { cwd: project, encoding: "utf8", stdio: ["ignore", "pipe", "inherit"] });

try {
  const packed = execFileSync("npm", ["pack", "--silent", "--pack-destination", project], {
    cwd: root,
    encoding: "utf8",
  });
  const archive = join(project, packed.trim().split("\n").pop());
  writeFileSync(join(project, "package.json"), '{ "name": "user", "version": "1.0.0", "private": true }');
  run("npm", "install", "--no-audit", "--no-fund", "--loglevel", "error", archive);
  const use =
    'const nat = new Nat({ inside: ["10.0.0.0/8"], outside: ["203.0.113.1"] }); console.log(nat.conntrack.size);';
  assert.equal(run("node", "-e", `const { Nat } = require("napt"); ${use}`), "0\n");
  writeFileSync(join(project, "use.mjs"), `import { Nat } from "napt"; ${use}`);
  assert.equal(run("node", "use.mjs"), "0\n");
  writeFileSync(
    join(project, "use.mts"),
    'import { Nat, type Verdict } from "napt";\nconst v: Verdict = new Nat({ inside: [], outside: [] }).translate(new Uint8Array(20));\nexport default v.reason;\n',
  );
  const tsc = join(root, "node_modules/typescript/bin/tsc");
  const types = join(root, "node_modules/@types");
  run(
    "node",
    tsc,
    "--noEmit",
    "--strict",
    "--module",
    "nodenext",
    "--target",
    "es2022",
    "--lib",
    "es2023,esnext.disposable",
    "--typeRoots",
    types,
    "--types",
    "node",
    "use.mts",
  );
  assert.match(run("npx", "napt", "demo", "--fast"), /all gone/);
  const files = run(
    "node",
    "-p",
    '[...require("./node_modules/napt/dist/dashboard/files.js").pageFiles().keys()].join()',
  ).trim();
  for (const file of ["/", "/main.js", "/style.css", "/uplot.js"])
    assert.ok(files.split(",").includes(file), file);
  const examples = join(project, "node_modules/napt/examples");
  const programs = readdirSync(examples).filter((file) => file.endsWith(".js"));
  assert.ok(programs.length >= 4, `examples: ${programs.join(", ")}`);
  for (const program of programs) {
    const source = readFileSync(join(examples, program), "utf8");
    const promised = [...source.matchAll(/^\/\/ {3}(.*)$/gm)].map(([, line]) => `${line}\n`).join("");
    assert.notEqual(promised, "", `${program} does not say what it prints`);
    assert.ok(source.split("\n").length <= 60, `${program} has 60 lines or more`);
    assert.equal(run("node", join(examples, program)), promised, program);
  }
  console.log("the package installs and works: require, import, types, command, examples");
} finally {
  rmSync(project, { recursive: true, force: true });
}
