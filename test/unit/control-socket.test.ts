// Where the control socket can't be made.
import { equal, rejects } from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, test } from "node:test";
import { GatewayApi } from "../../src/control/api.js";
import { ControlServer, Gateway } from "../../src/index.js";

const gateway = new Gateway({
  inside: ["192.168.226.0/24"],
  outside: ["203.0.113.1"],
  gateway: {
    inside: { interface: "lan0", address: "192.168.226.2/24" },
    outside: { interface: "wan0", address: "203.0.113.1/24" },
  },
});

async function inFolder(work: (path: string) => Promise<void>): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), "napt-"));
  try {
    await work(join(folder, "control.sock"));
  } finally {
    rmSync(folder, { recursive: true });
  }
}
const open = (path: string) => ControlServer.open(new GatewayApi(gateway, { reload: () => {} }), path);

describe("the control socket", { skip: process.platform !== "linux" && "the gateway is Linux's" }, () => {
  test("leaves a file alone that is no socket, and says so", () =>
    inFolder(async (path) => {
      writeFileSync(path, "precious");
      await rejects(
        open(path).then((control) => control.close()),
        {
          code: "NAT_ERR_GATEWAY",
          message: `${path}: the control socket can't be made: there is something else; name another with gateway.control`,
        },
      );
      equal(readFileSync(path, "utf8"), "precious");
    }));

  test("is not taken from another gateway", () =>
    inFolder(async (path) => {
      const control = await open(path);
      await rejects(
        open(path).then((control) => control.close()),
        /another gateway answers there/,
      );
      await control.close();
      equal(existsSync(path), false);
    }));

  test("takes the place of one that a killed gateway left", () =>
    inFolder(async (path) => {
      const listen = `require("node:net").createServer().listen(${JSON.stringify(path)}, () => process.kill(process.pid, "SIGKILL"))`;
      spawnSync(process.execPath, ["-e", listen]);
      equal(existsSync(path), true);
      const control = await open(path);
      await control.close();
    }));
});
