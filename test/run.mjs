// Runs the test files: all of test/, or those whose path contains one of the arguments.
import { spawnSync } from "node:child_process";
import { readdirSync } from "node:fs";
import { availableParallelism } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const root = dirname(fileURLToPath(import.meta.url));
const wanted = process.argv.slice(2);
const files = readdirSync(root, { recursive: true })
  .map((file) => join(root, file))
  .filter((file) => file.endsWith(".test.ts"))
  .filter((file) => wanted.length === 0 || wanted.some((part) => file.includes(part)))
  .sort();
if (files.length === 0) {
  console.error(`no test file matches ${wanted.join(" ")}`);
  process.exit(2);
}
// More than there are processors: much of a live test is waiting.
const concurrency = `--test-concurrency=${availableParallelism() + 1}`;
const { status } = spawnSync(process.execPath, ["--require", "tsx/cjs", "--test", concurrency, ...files], {
  stdio: "inherit",
});
process.exit(status ?? 1);
