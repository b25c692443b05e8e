// `napt gateway`: a live NAT between two interfaces, in the foreground.
import { resolve } from "node:path";
import type { Command } from "commander";
import { collectDefaultMetrics } from "prom-client";
import type { ConfigSource } from "../config/document.js";
import { loadConfigFile } from "../config/load.js";
import { isObject } from "../config/merge.js";
import { GatewayApi } from "../control/api.js";
import { HttpServer } from "../control/http.js";
import { ControlServer } from "../control/socket.js";
import { NatError } from "../errors.js";
import { type GatewayConfig, isGateways, parseGatewayConfig } from "../gateway/config.js";
import { Gateway } from "../gateway/gateway.js";
import { tellNotices } from "../gateway/notices.js";
import { checkLogFiles, EventExports } from "../logs/exports.js";
import { GatewayLog } from "../logs/gateway-log.js";
import { addLogMetrics } from "../metrics/log-metrics.js";
import { metricsOf } from "../metrics/metrics.js";
import { toWhole } from "./numbers.js";
import { become } from "./privileges.js";
import { onEndSignal } from "./signals.js";
import { StatusLine } from "./status-line.js";

interface GatewayOptions {
  readonly config: string;
  readonly capture?: string;
  readonly captureFilter?: string;
  readonly captureSize?: number;
  readonly captureFiles?: number;
  readonly snaplen?: number;
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
    .option("--capture <file>", "write packets as they came and as they left to a pcapng file")
    .option("--capture-filter <terms>", "which packets; all without (`napt capture --help` has the terms)")
    .option(
      "--capture-size <bytes>",
      "begin another file, numbered, when one has so many",
      toWhole(65_536, 2 ** 40),
    )
    .option("--capture-files <n>", "keep the last n of them; 0 for all (default: 10)", toWhole(0, 100_000))
    .option("--snaplen <bytes>", "most bytes of a packet to write", toWhole(1, 262_144))
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

With \`http: {}\` under \`gateway\` there is a dashboard at http://127.0.0.1:9469/.

Needs root, or CAP_NET_RAW, and CAP_NET_ADMIN for devices and the host's address. SIGHUP reads the
config again, sessions stay; files of logs are opened anew. SIGINT and SIGTERM end it.

Exit status: 0 ended by a signal, 1 an interface can't be used, 2 wrong usage or config.`,
    )
    .action(runGateway);
}

async function runGateway(options: GatewayOptions): Promise<void> {
  const { config } = options;
  const read = () => configOf(options);
  const gateway = new Gateway(...read());
  const logFiles = checkLogFiles(gateway.config.log, gateway.config.export);
  const log = new GatewayLog(gateway.config.log);
  // To the log and to the dashboard, as all warnings.
  const exports = new EventExports(gateway.nat.conntrack, (text) => void gateway.emit("warning", text));
  const metrics = metricsOf(gateway);
  // Its watch over the event loop would wake an idle gateway a hundred times a second.
  collectDefaultMetrics({ register: metrics, eventLoopMonitoringPrecision: 100 });
  addLogMetrics(metrics, { exports, log });
  const putInForce = async () => {
    const [value, source] = read();
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
  const api = new GatewayApi(gateway, { reload, metrics });
  const http = new HttpServer(gateway, api, metrics);
  const hangup = () => {
    reload().catch(({ message }: Error) =>
      log.tell("error", "reload", `${message}; the config before stays in force`, { config }),
    );
  };
  // From the beginning, so that nothing is left where it is ended while it starts.
  const ended = new Promise<void>((resolve) => onEndSignal(() => resolve()));
  let control: ControlServer | undefined;
  try {
    tellNotices(gateway, ({ level, event, text, fields }) => log.tell(level, event, text, fields));
    log.tell("info", "start", `starting with ${config}`, { config });
    await exports.change(gateway.config.export);
    control = await ControlServer.open(api, gateway.config.control);
    await http.listen(gateway.config.http);
    await gateway.start();
    process.on("SIGHUP", hangup);
    const { inside, outside, user, control: socket, http: page } = gateway.config;
    const files = [socket, ...logFiles];
    if (inside.kind === "qemu") files.push(inside.name);
    if (gateway.status.capture !== null) files.push(gateway.status.capture.file);
    if (user !== null) become(user, files);
    const ready = `${inside.name} (inside) to ${outside.name} (outside)`;
    log.tell("info", "ready", `ready: ${ready}`, { inside: inside.name, outside: outside.name });
    process.stdout.write(`ready: ${ready}\n`);
    if (page !== null) process.stdout.write(`dashboard: http://${page.address}:${page.port}/\n`);
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

/** The config of a file, with what the command line says in place of its own. */
function configOf(options: GatewayOptions): [GatewayConfig, ConfigSource] {
  const { value, source } = loadConfigFile(options.config);
  const { capture: path, captureFilter: filter, captureSize: size, captureFiles: files, snaplen } = options;
  const given = { file: path && resolve(path), filter, size, files, snaplen };
  const flags = Object.entries(given).filter(([, one]) => one !== undefined);
  if (flags.length === 0 || !isGateways(value) || !isObject(value.gateway)) {
    return [value as GatewayConfig, source];
  }
  const { capture } = value.gateway;
  if (path === undefined && capture === undefined) {
    throw new NatError(
      "NAT_ERR_ARGUMENT",
      "how to capture is said, and not where to: give --capture FILE, or gateway.capture in the config",
    );
  }
  const gateway = { ...value.gateway, capture: { ...(capture as object), ...Object.fromEntries(flags) } };
  return [{ ...(value as object), gateway } as GatewayConfig, source];
}
