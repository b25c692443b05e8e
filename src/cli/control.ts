// What a running gateway is asked: `napt status`, `forward`, `reload`.
import type { Command } from "commander";
import type { Forward } from "../gateway/gateway.js";
import type { GatewayStatus } from "../gateway/status.js";
import { askOnce, controlOption } from "./control-client.js";
import { statusInWords } from "./status.js";
import { paintFor } from "./style.js";

interface Asking {
  readonly control: string;
  readonly json?: true;
}

export function registerControl(program: Command): void {
  program
    .command("status")
    .summary("how a running gateway fares")
    .description("Prints what a running gateway has done so far.")
    .addOption(controlOption())
    .option("--json", "print it as JSON")
    .action(async ({ control, json }: Asking) => {
      const status = await askOnce<GatewayStatus>(control, "/status");
      print(json ? JSON.stringify(status) : statusInWords(status, paintFor(process.stdout)));
    });

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

function print(text: string): void {
  if (text !== "") process.stdout.write(`${text}\n`);
}
