// A web server outside, and those who want much of it.
import { doesNotMatch, equal, match } from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { test } from "node:test";
import { Lab, OUTSIDE_HOST, whyNoLab } from "./lab.js";
import { startNginx } from "./nginx.js";

const skip = whyNoLab("nginx", "wrk", "curl", "sha256sum");

async function webLab(): Promise<Lab> {
  const lab = await Lab.create();
  try {
    await lab.gateway();
    await startNginx(lab);
    return lab;
  } catch (error) {
    await lab.close();
    throw error;
  }
}

test("wrk gets all that it asks for, on connections that stay and on new ones", { skip }, async () => {
  await using lab = await webLab();
  writeFileSync(lab.path("page"), "x".repeat(1000));
  for (const header of ["Connection: keep-alive", "Connection: close"]) {
    const load = ["-t", "1", "-c", "64", "-d", "2s", "--timeout", "30s", "-H", header];
    const report = await lab.exec("in", "wrk", ...load, `http://${OUTSIDE_HOST}/page`);
    match(report, /^ +[1-9]\d+ requests in /m);
    doesNotMatch(report, /Socket errors|Non-2xx/);
  }
});

test("a large file arrives as it was, both ways", { skip }, async () => {
  await using lab = await webLab();
  const file = lab.path("large");
  await lab.exec("out", "sh", "-c", `head -c 100000000 /dev/urandom > ${file}`);
  const sum = async (place: string, command: string) =>
    (await lab.exec(place, "sh", "-c", `${command} | sha256sum`)).split(" ")[0];
  const expected = await sum("out", `cat ${file}`);
  equal(await sum("in", `curl -sSf http://${OUTSIDE_HOST}/large`), expected);
  await lab.exec("in", "curl", "-sSf", "-T", file, `http://${OUTSIDE_HOST}/back`);
  equal(await sum("out", `cat ${lab.path("back")}`), expected);
});
