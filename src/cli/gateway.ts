// `napt gateway`: a live NAT between two interfaces, in the foreground.
import type { Command } from "commander";
import { collectDefaultMetrics } from "prom-client";
import type { ConfigSource } from "../config/document.js";
import { loadConfigFile } from "../config/load.js";
import type { Restored } from "../conntrack.js";
import { type GatewayConfig, parseGatewayConfig } from "../gateway/config.js";
import { ControlServer } from "../gateway/control.js";
import { Gateway } from "../gateway/gateway.js";
import { HttpServer } from "../gateway/http.js";
import { checkLogFiles, EventExports } from "../logs/exports.js";
import { GatewayLog } from "../logs/gateway-log.js";
import { addLogMetrics } from "../metrics/log-metrics.js";
import { metricsOf } from "../metrics/metrics.js";
import { become } from "./privileges.js";
import { StatusLine } from "./status-line.js";

interface GatewayOptions {
  readonly config: string;
}

export function registerGateway(program: Command): void {
  program
    .command("gateway")
    .summary("translate between two interfaces, live")
    .description(
      "A NAT router in one process, between an inside and an outside network. Each is reached by an Ethernet interface " +
        "that is the gateway's own (give it no address in the system), or by a TAP or TUN device; the inside may be " +
        "virtual machines on a socket, the outside the host's own address.",
    )
    .requiredOption("--config <file>", "a NAT's config, with the two networks under `gateway`")
    .addHelpText(
      "after",
      `
A config:
  inside: ["192.168.226.0/24"]
  outside: ["203.0.113.1"]
  gateway:
    inside: { interface: lan0, address: 192.168.226.2/24 }
    outside: { interface: wan0, address: 203.0.113.1/24, router: 203.0.113.254 }

Virtual machines (qemu -netdev stream,server=off,addr.type=unix,addr.path=/run/vm.sock,id=n0 -device
virtio-net-pci,netdev=n0) with the host's address, as NAT mode has it:
  inside: ["192.168.226.0/24"]
  gateway:
    inside:
      qemu: /run/vm.sock
      address: 192.168.226.2/24
      dhcp: { range: 192.168.226.100-192.168.226.199 }
      dns: {}
    outside: { host: eth0 }

Needs root, or CAP_NET_RAW, and CAP_NET_ADMIN for devices and the host's address. SIGHUP reads the
config again, sessions stay; files of logs are opened anew. SIGINT and SIGTERM end it.

Exit status: 0 ended by a signal, 1 an interface can't be used, 2 wrong usage or config.`,
    )
    .action(runGateway);
}

async function runGateway({ config }: GatewayOptions): Promise<void> {
  const gateway = new Gateway(...read(config));
  const logFiles = checkLogFiles(gateway.config.log, gateway.config.export);
  const log = new GatewayLog(gateway.config.log);
  const warn = (text: string) => log.tell("warn", "warning", text);
  const exports = new EventExports(gateway.nat.conntrack, warn);
  const metrics = metricsOf(gateway);
  collectDefaultMetrics({ register: metrics });
  addLogMetrics(metrics, { exports, log });
  const http = new HttpServer(gateway, metrics);
  const putInForce = async () => {
    const [value, source] = read(config);
    const next = parseGatewayConfig(value, source);
    const before = gateway.config.http;
    checkLogFiles(next.log, next.export);
    await http.listen(next.http);
    try {
      gateway.reconfigure(value, source);
    } catch (error) {
      await http.listen(before);
      throw error;
    }
    await Promise.all([exports.change(next.export), log.change(next.log)]);
    log.tell("info", "reload", `${config} is in force`, { config });
  };
  // One after the other, whoever asks for it.
  let last: Promise<unknown> = Promise.resolve();
  const reload = () => {
    const reloading = last.then(putInForce);
    last = reloading.catch(() => {});
    return reloading;
  };
  const hangup = () => {
    reload().catch(({ message }: Error) =>
      log.tell("error", "reload", `${message}; the config before stays in force`, { config }),
    );
  };
  // From the beginning, so that nothing is left where it is ended while it starts.
  const ended = new Promise<void>((resolve) => {
    process.once("SIGINT", resolve);
    process.once("SIGTERM", resolve);
  });
  let control: ControlServer | undefined;
  try {
    gateway.on("conflict", (address: string) =>
      log.tell("warn", "conflict", `another station says that it has our address ${address}`, { address }),
    );
    gateway.on("warning", warn);
    gateway.on("restored", (restored: Restored) =>
      log.tell("info", "restored", restoredInWords(restored), restored),
    );
    gateway.on("address", (address: string) =>
      log.tell("info", "address", `the host's address is ${address} now`, { address }),
    );
    log.tell("info", "start", `starting with ${config}`, { config });
    await exports.change(gateway.config.export);
    control = await ControlServer.open(gateway, gateway.config.control, { reload, metrics });
    await http.listen(gateway.config.http);
    await gateway.start();
    process.on("SIGHUP", hangup);
    const { inside, outside, user, control: socket } = gateway.config;
    if (user !== null) become(user, [socket, ...(inside.kind === "qemu" ? [inside.name] : []), ...logFiles]);
    const ready = `${inside.name} (inside) to ${outside.name} (outside)`;
    log.tell("info", "ready", `ready: ${ready}`, { inside: inside.name, outside: outside.name });
    process.stdout.write(`ready: ${ready}\n`);
    const status = new StatusLine(gateway);
    await ended;
    status.end();
    log.tell("info", "end", "ended by a signal");
  } catch (error) {
    log.tell("error", "failed", (error as Error).message);
    throw error;
  } finally {
    process.off("SIGHUP", hangup);
    await control?.close();
    await last;
    await http.close();
    gateway.stop();
    await exports.close();
    gateway.close();
    await log.close();
  }
}

function restoredInWords({ restored, expired, refused }: Restored): string {
  return `${restored} sessions restored, ${expired} expired meanwhile, ${refused} refused`;
}

function read(path: string): [GatewayConfig, ConfigSource] {
  const { value, source } = loadConfigFile(path);
  return [value as GatewayConfig, source];
}
