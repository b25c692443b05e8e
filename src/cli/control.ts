// What a running gateway is asked: `napt status`, `sessions`, `forward`, `reload`.
import { setTimeout as sleep } from "node:timers/promises";
import Table from "cli-table3";
import type { Command } from "commander";
import type { Session } from "../conntrack.js";
import type { Forward } from "../gateway/gateway.js";
import type { GatewayStatus } from "../gateway/status.js";
import type { ToldSession } from "../gateway/told-session.js";
import { ask, askOnce, controlOption } from "./control-client.js";

interface Asking {
  readonly control: string;
  readonly json?: true;
}

interface SessionsOptions extends Asking {
  readonly watch?: true;
  readonly kill?: true;
}

const WATCH_EVERY = 1000;

export function registerControl(program: Command): void {
  program
    .command("status")
    .summary("how a running gateway fares")
    .description("Prints what a running gateway has done so far.")
    .addOption(controlOption())
    .option("--json", "print it as JSON")
    .action(async ({ control, json }: Asking) => {
      const status = await askOnce<GatewayStatus>(control, "/status");
      print(json ? JSON.stringify(status) : statusInWords(status));
    });

  program
    .command("sessions")
    .summary("the sessions of a running gateway")
    .description(
      "Lists the sessions of a running gateway that fit all filters: a protocol (tcp), a state (established), an " +
        "address or prefix (192.168.226.0/24), an endpoint (203.0.113.8:443) or a port (:443) of any of their ends.",
    )
    .argument("[filter...]", "what they have to fit, all of it")
    .addOption(controlOption())
    .option("--json", "print one JSON object a line")
    .option("--watch", "print them anew every second")
    .option("--kill", "end them; needs a filter")
    .addHelpText(
      "after",
      "\nExamples:\n  napt sessions udp :53\n  napt sessions 192.168.226.135 established --kill",
    )
    .action(runSessions);

  const forward = program
    .command("forward")
    .summary("forwards of a running gateway")
    .description(
      "Forwards of a running gateway. One that is added lasts until the gateway ends; the config's are changed there.",
    );
  forward
    .command("list")
    .description("Lists all forwards in force.")
    .addOption(controlOption())
    .option("--json", "print them as JSON")
    .action(async ({ control, json }: Asking) => {
      const forwards = await askOnce<Forward[]>(control, "/forwards");
      const lines = forwards.map(({ protocol, outside, inside }) => `${protocol} ${outside} to ${inside}`);
      print(json ? JSON.stringify(forwards) : lines.join("\n"));
    });
  forward
    .command("add")
    .description("Leads a public port to an inside endpoint.")
    .argument("<protocol>", "tcp or udp")
    .argument("<outside>", "the public endpoint, such as 203.0.113.1:8080")
    .argument("<inside>", "the inside endpoint, such as 192.168.226.135:80")
    .addOption(controlOption())
    .action(async (protocol: string, outside: string, inside: string, { control }: Asking) => {
      await askOnce(control, "/forwards", { method: "POST", body: { protocol, outside, inside } });
    });
  forward
    .command("remove")
    .description("Removes a forward that was added; its sessions end.")
    .argument("<protocol>", "tcp or udp")
    .argument("<outside>", "the public endpoint")
    .addOption(controlOption())
    .action(async (protocol: string, outside: string, { control }: Asking) => {
      const query = [
        ["protocol", protocol],
        ["outside", outside],
      ] as const;
      await askOnce(control, "/forwards", { method: "DELETE", query });
    });

  program
    .command("reload")
    .summary("have a running gateway read its config again")
    .description(
      "Has a running gateway read its config again. With a fault in it the config before stays in force.",
    )
    .addOption(controlOption())
    .action(async ({ control }: Asking) => {
      await askOnce(control, "/reload", { method: "POST" });
    });
}

async function runSessions(filter: string[], options: SessionsOptions, command: Command): Promise<void> {
  const { control, json, watch, kill } = options;
  const query = filter.map((term) => ["q", term] as const);
  if (kill) {
    if (filter.length === 0) command.error("error: --kill needs a filter; 0.0.0.0/0 fits all");
    const { ended } = await askOnce<{ ended: number }>(control, "/sessions", { method: "DELETE", query });
    print(json ? JSON.stringify({ ended }) : `${ended} ended`);
    return;
  }
  for (;;) {
    const lines: string[] = [];
    for await (const session of ask(control, "/sessions", { query })) {
      const line = json ? JSON.stringify(session) : sessionInWords(session as ToldSession);
      if (watch) lines.push(line);
      else print(line);
    }
    if (!watch) return;
    if (process.stdout.isTTY) process.stdout.write("\x1b[H\x1b[2J");
    print(lines.join("\n"));
    await sleep(WATCH_EVERY);
  }
}

/** `tcp established 192.168.226.135:4000 > 203.0.113.8:80 as 203.0.113.1:40000, 3/2 packets, ends in 7440 s` */
function sessionInWords({
  protocol,
  state,
  inside,
  remote,
  public: outside,
  packets,
  bytes,
  expiresIn,
}: ToldSession): string {
  const at = ({ address, port }: Session["inside"]) => `${address}:${port}`;
  const end = expiresIn === null ? "" : `, ends in ${expiresIn.toFixed(0)} s`;
  return (
    `${protocol}${state === null ? "" : ` ${state}`} ${at(inside)} > ${at(remote)} as ${at(outside)}, ` +
    `${packets.outbound} packets (${bytes.outbound} bytes) out, ${packets.inbound} (${bytes.inbound}) in${end}`
  );
}

function statusInWords({ uptime, inside, outside, nat, gateway }: GatewayStatus): string {
  const table = new Table({ style: { head: [], border: [], compact: true }, colWidths: [] });
  const drops = Object.entries(nat.drops).map(([reason, count]) => `${reason} ${count}`);
  const port = (side: "inside" | "outside") => {
    const { received = 0, sent = 0, lost = 0, refused = 0, tooLong = 0 } = gateway?.[side] ?? {};
    return `${received} received, ${sent} sent, ${lost + refused + tooLong} lost`;
  };
  table.push(
    ["up", `${uptime.toFixed(0)} s`],
    [
      "inside",
      `${inside.interface} ${inside.address}, ${inside.neighbours} neighbours; frames: ${port("inside")}`,
    ],
    [
      "outside",
      `${outside.interface} ${outside.address}, ${outside.neighbours} neighbours; frames: ${port("outside")}`,
    ],
    ["public", outside.public.join(", ")],
    [
      "sessions",
      `${nat.sessions.active} (${nat.sessions.created} made, at most ${nat.sessions.peak} at once)`,
    ],
    ["packets", `${nat.packets.outbound} out, ${nat.packets.inbound} in, ${nat.packets.hairpin} hairpinned`],
    ["dropped", drops.length === 0 ? "none" : drops.join(", ")],
  );
  return table.toString();
}

function print(text: string): void {
  if (text !== "") process.stdout.write(`${text}\n`);
}
