// `napt gateway`: a live NAT between two interfaces, in the foreground.
import type { Command } from "commander";
import { collectDefaultMetrics } from "prom-client";
import type { ConfigSource } from "../config/document.js";
import { loadConfigFile } from "../config/load.js";
import { GatewayApi } from "../gateway/api.js";
import { type GatewayConfig, parseGatewayConfig } from "../gateway/config.js";
import { ControlServer } from "../gateway/control.js";
import { Gateway } from "../gateway/gateway.js";
import { HttpServer } from "../gateway/http.js";
import { tellNotices } from "../gateway/notices.js";
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
config again, sessions stay; SIGINT and SIGTERM end it.

Exit status: 0 ended by a signal, 1 an interface can't be used, 2 wrong usage or config.`,
    )
    .action(runGateway);
}

async function runGateway({ config }: GatewayOptions): Promise<void> {
  const tell = (text: string) => process.stderr.write(`napt: ${text}\n`);
  const gateway = new Gateway(...read(config));
  const metrics = metricsOf(gateway);
  collectDefaultMetrics({ register: metrics });
  const putInForce = async () => {
    const [value, source] = read(config);
    const next = parseGatewayConfig(value, source);
    const before = gateway.config.http;
    await http.listen(next.http);
    try {
      gateway.reconfigure(value, source);
    } catch (error) {
      await http.listen(before);
      throw error;
    }
    tell(`${config} is in force`);
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
    reload().catch((error: Error) => tell(`${error.message}; the config before stays in force`));
  };
  // From the beginning, so that nothing is left where it is ended while it starts.
  const ended = new Promise<void>((resolve) => {
    process.once("SIGINT", resolve);
    process.once("SIGTERM", resolve);
  });
  let control: ControlServer | undefined;
  try {
    tellNotices(gateway, tell);
    control = await ControlServer.open(api, gateway.config.control);
    await http.listen(gateway.config.http);
    await gateway.start();
    process.on("SIGHUP", hangup);
    const { inside, outside, user, control: socket, http: page } = gateway.config;
    if (user !== null) become(user, inside.kind === "qemu" ? [socket, inside.name] : [socket]);
    process.stdout.write(`ready: ${inside.name} (inside) to ${outside.name} (outside)\n`);
    if (page !== null) process.stdout.write(`dashboard: http://${page.address}:${page.port}/\n`);
    const status = new StatusLine(gateway);
    await ended;
    status.end();
  } finally {
    process.off("SIGHUP", hangup);
    await control?.close();
    await last;
    await http.close();
    gateway.close();
  }
}

function read(path: string): [GatewayConfig, ConfigSource] {
  const { value, source } = loadConfigFile(path);
  return [value as GatewayConfig, source];
}
